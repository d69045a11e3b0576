//! A matrix that is stored in int8 and needed in floats: embeddings of tokens, positions.

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::output::Sum;
use crate::simd::{Kernel, LANES, Simd};

/// Rows of levels with one scale each.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    width: usize,
    levels: Vec<i8>,
    scales: Vec<f32>,
}

impl Table {
    /// A scale for each row of `levels`, `[rows, width]`.
    ///
    /// # Errors
    /// Slices of lengths that do not fit each other.
    pub fn new(levels: Vec<i8>, scales: Vec<f32>) -> Result<Self, ShapeError> {
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

    /// Bytes of the levels and scales.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.levels.len() + size_of::<f32>() * self.scales.len()
    }

    /// Writes all rows to `out`, `[rows, width]`, or adds them to it.
    ///
    /// # Errors
    /// A slice of another length.
    pub fn unfold(&self, isa: Isa, sum: Sum, out: &mut [f32]) -> Result<(), ShapeError> {
        ShapeError::check("values of all rows", out.len(), self.levels.len())?;
        isa.run(Unfold { table: self, chosen: None, sum, out });
        Ok(())
    }

    /// Writes the rows of these numbers to `out`, `[count, width]`; numbers below 0 count from behind. Numbers are whole, as
    /// floats.
    ///
    /// # Errors
    /// A number that no row has, a slice of another length.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    #[expect(clippy::cast_precision_loss, reason = "a float tells no more")]
    pub fn look_up(&self, isa: Isa, numbers: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
        ShapeError::check("values of the rows", out.len(), numbers.len() * self.width)?;
        let rows = self.rows() as f32;
        for number in numbers {
            if !(-rows..rows).contains(number) {
                let (found, expected) = (number.abs() as usize, self.rows());
                return Err(ShapeError { what: "number of a row", found, expected });
            }
        }
        isa.run(Unfold { table: self, chosen: Some(numbers), sum: Sum::None, out });
        Ok(())
    }

    /// The row of a number that is one's.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked")]
    fn number(&self, number: f32) -> usize {
        if number < 0.0 { self.rows() - (-number) as usize } else { number as usize }
    }
}

struct Unfold<'a> {
    table: &'a Table,
    /// Numbers of rows; all rows without.
    chosen: Option<&'a [f32]>,
    sum: Sum,
    out: &'a mut [f32],
}

impl Kernel for Unfold<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Table { width, levels, scales } = self.table;
        for (i, out) in self.out.chunks_exact_mut((*width).max(1)).enumerate() {
            let row = match self.chosen {
                Some(chosen) => self.table.number(chosen[i]),
                None => i,
            };
            let scale = simd.splat(scales[row]);
            let levels = &levels[row * width..][..*width];
            for (levels, place) in levels.chunks(LANES).zip(out.chunks_mut(LANES)) {
                let levels = match levels.first_chunk() {
                    Some(levels) => simd.load_levels(levels),
                    None => {
                        let mut all = [0; LANES];
                        for (level, first) in all.iter_mut().zip(levels) {
                            *level = *first;
                        }
                        simd.load_levels(&all)
                    }
                };
                let mut y = simd.mul(levels, scale);
                if self.sum == Sum::Residual {
                    y = simd.add(simd.load_first(place), y);
                }
                simd.store_first(y, place);
            }
        }
    }
}
