//! Layer norm over the last dimension.

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Simd};

/// Normalises each row to mean 0 and variance 1, then scales and shifts it, as ONNX's `LayerNormalization`:
/// `(x - mean) / sqrt(variance + epsilon) scale + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    scale: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// `scale` and `bias` have one value a column.
    ///
    /// # Errors
    /// Slices of different lengths.
    pub fn new(scale: Vec<f32>, bias: Vec<f32>, epsilon: f32) -> Result<Self, ShapeError> {
        ShapeError::check("bias", bias.len(), scale.len())?;
        Ok(Self { scale, bias, epsilon })
    }

    /// Values of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.scale.len()
    }

    /// Bytes of scale and bias.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<f32>() * (self.scale.len() + self.bias.len())
    }

    /// `x` and `out` are `[rows, width]`.
    ///
    /// # Errors
    /// Slices of another length.
    pub fn apply(&self, isa: Isa, x: &[f32], out: &mut [f32]) -> Result<(), ShapeError> {
        let width = self.width().max(1);
        ShapeError::check("values of all rows", x.len(), x.len() / width * width)?;
        ShapeError::check("outputs", out.len(), x.len())?;
        isa.run(Apply { norm: self, x, out });
        Ok(())
    }

    /// Normalises one row.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a row's width is a small whole number")]
    pub(crate) fn row<S: Simd>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        let width = self.width() as f32;
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut sum = simd.load_first(rest);
        for chunk in chunks {
            sum = simd.add(sum, simd.load(chunk));
        }
        let mean = simd.splat(simd.sum(sum) / width);
        let mut squares = simd.splat(0.0);
        for chunk in chunks {
            let from_mean = simd.sub(simd.load(chunk), mean);
            squares = simd.fma(from_mean, from_mean, squares);
        }
        let mut squares = simd.sum(squares);
        for value in simd.lanes(simd.sub(simd.load_first(rest), mean)).iter().take(rest.len()) {
            squares += value * value;
        }
        let factor = simd.splat((squares / width + self.epsilon).sqrt().recip());
        for (((place, x), scale), bias) in out
            .chunks_mut(LANES)
            .zip(x.chunks(LANES))
            .zip(self.scale.chunks(LANES))
            .zip(self.bias.chunks(LANES))
        {
            let y = simd.mul(simd.sub(simd.load_first(x), mean), factor);
            let y = simd.fma(y, simd.load_first(scale), simd.load_first(bias));
            simd.store_first(y, place);
        }
    }
}

struct Apply<'a> {
    norm: &'a LayerNorm,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.norm.width().max(1);
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            self.norm.row(simd, x, out);
        }
    }
}
