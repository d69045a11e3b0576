//! Layer norm over the last dimension.

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Simd, in_pairs};

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

    /// Normalises `x`, `[rows, width]`, in its place.
    ///
    /// # Errors
    /// A slice of another length.
    pub fn apply(&self, isa: Isa, x: &mut [f32]) -> Result<(), ShapeError> {
        let width = self.width().max(1);
        ShapeError::check("values of all rows", x.len(), x.len() / width * width)?;
        isa.run(Apply { norm: self, x });
        Ok(())
    }

    /// Normalises one row.
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a row's width is a small whole number")]
    pub(crate) fn row<S: Simd>(&self, simd: S, x: &mut [f32]) {
        let width = self.width() as f32;
        let (chunks, rest) = x.as_chunks::<LANES>();
        // Four sums, so that none waits for itself.
        let mut sums = [simd.load_first(rest), simd.splat(0.0), simd.splat(0.0), simd.splat(0.0)];
        let (fours, last) = chunks.as_chunks::<4>();
        for four in fours {
            for i in 0..4 {
                sums[i] = simd.add(sums[i], simd.load(&four[i]));
            }
        }
        for (sum, chunk) in sums.iter_mut().zip(last) {
            *sum = simd.add(*sum, simd.load(chunk));
        }
        let mean = simd.splat(simd.sum(in_pairs(simd, sums)) / width);
        let mut squares = [simd.splat(0.0); 4];
        for four in fours {
            for i in 0..4 {
                let from_mean = simd.sub(simd.load(&four[i]), mean);
                squares[i] = simd.fma(from_mean, from_mean, squares[i]);
            }
        }
        for (squares, chunk) in squares.iter_mut().zip(last) {
            let from_mean = simd.sub(simd.load(chunk), mean);
            *squares = simd.fma(from_mean, from_mean, *squares);
        }
        let mut squares = simd.sum(in_pairs(simd, squares));
        for value in simd.lanes(simd.sub(simd.load_first(rest), mean)).iter().take(rest.len()) {
            squares += value * value;
        }
        let factor = simd.splat((squares / width + self.epsilon).sqrt().recip());
        let constants = self.scale.chunks(LANES).zip(self.bias.chunks(LANES));
        for (place, (scale, bias)) in x.chunks_mut(LANES).zip(constants) {
            let y = simd.mul(simd.sub(simd.load_first(place), mean), factor);
            let y = simd.fma(y, simd.load_first(scale), simd.load_first(bias));
            simd.store_first(y, place);
        }
    }
}

struct Apply<'a> {
    norm: &'a LayerNorm,
    x: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.norm.width().max(1);
        for x in self.x.chunks_exact_mut(width) {
            self.norm.row(simd, x);
        }
    }
}
