//! A matrix that is stored in int8 and needed in floats: embeddings of tokens, positions.

use std::borrow::Cow;

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::output::Sum;
use crate::simd::{Kernel, LANES, Simd};

/// Rows of levels with one scale each.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    width: usize,
    /// A signed byte each.
    levels: Cow<'static, [u8]>,
    scales: Vec<f32>,
}

impl Table {
    /// A scale for each row of `levels`, `[rows, width]`, a signed byte each.
    ///
    /// # Errors
    /// Slices of lengths that do not fit each other.
    pub fn new(levels: Cow<'static, [u8]>, scales: Vec<f32>) -> Result<Self, ShapeError> {
        let width = levels.len() / scales.len().max(1);
        ShapeError::check("levels of all rows", levels.len(), width * scales.len())?;
        Ok(Self { width, levels, scales })
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Values of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the levels, wherever they lie, and scales.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels.len() + size_of::<f32>() * self.scales.len()
    }

    /// Writes all rows to `out`, `[rows, width]`, or adds them to it.
    ///
    /// # Errors
    /// A slice of another length.
    pub fn unfold(&self, isa: Isa, sum: Sum, out: &mut [f32]) -> Result<(), ShapeError> {
        ShapeError::check("values of all rows", out.len(), self.levels.len())?;
        isa.run(Unfold { table: self, sum, out });
        Ok(())
    }
}

/// Writes one row to `out`: its levels, a byte each, times its scale.
///
/// # Errors
/// Slices of different lengths.
pub fn unfold_row(isa: Isa, levels: &[u8], scale: f32, out: &mut [f32]) -> Result<(), ShapeError> {
    ShapeError::check("values of the row", out.len(), levels.len())?;
    isa.run(UnfoldRow { levels, scale, out });
    Ok(())
}

struct Unfold<'a> {
    table: &'a Table,
    sum: Sum,
    out: &'a mut [f32],
}

impl Kernel for Unfold<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Table { width, levels, scales } = self.table;
        let width = (*width).max(1);
        let rows = self.out.chunks_exact_mut(width).zip(levels.chunks_exact(width));
        for ((out, levels), scale) in rows.zip(scales) {
            for (levels, place) in levels.chunks(LANES).zip(out.chunks_mut(LANES)) {
                let mut y = times(simd, levels, *scale);
                if self.sum == Sum::Residual {
                    y = simd.add(simd.load_first(place), y);
                }
                simd.store_first(y, place);
            }
        }
    }
}

struct UnfoldRow<'a> {
    levels: &'a [u8],
    scale: f32,
    out: &'a mut [f32],
}

impl Kernel for UnfoldRow<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (levels, place) in self.levels.chunks(LANES).zip(self.out.chunks_mut(LANES)) {
            simd.store_first(times(simd, levels, self.scale), place);
        }
    }
}

/// At most a vector of levels times their scale.
#[inline(always)]
fn times<S: Simd>(simd: S, levels: &[u8], scale: f32) -> S::F {
    let mut all = [0; LANES];
    for (place, level) in all.iter_mut().zip(levels) {
        *place = level.cast_signed();
    }
    simd.mul(simd.load_levels(&all), simd.splat(scale))
}
