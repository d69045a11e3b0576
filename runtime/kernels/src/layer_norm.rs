//! Layer norm over the last dimension.

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Simd};

/// Normalises each row of `x` to mean 0 and variance 1, then scales and shifts it, as ONNX's `LayerNormalization`.
///
/// `(x - mean) / sqrt(variance + epsilon) scale + bias`. `x` and `out` `[rows, width]`, `scale` and `bias` `[width]`.
///
/// # Errors
/// Slices of another length.
pub fn layer_norm(
    isa: Isa,
    x: &[f32],
    scale: &[f32],
    bias: &[f32],
    epsilon: f32,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    let width = scale.len().max(1);
    ShapeError::check("bias", bias.len(), scale.len())?;
    ShapeError::check("values of all rows", x.len(), x.len() / width * width)?;
    ShapeError::check("outputs", out.len(), x.len())?;
    isa.run(LayerNorm { x, scale, bias, epsilon, out });
    Ok(())
}

struct LayerNorm<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    epsilon: f32,
    out: &'a mut [f32],
}

impl Kernel for LayerNorm<'_> {
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a row's width is a small whole number")]
    fn run<S: Simd>(self, simd: S) {
        let width = self.scale.len().max(1);
        let ((scales, scale_rest), (biases, bias_rest)) =
            (self.scale.as_chunks::<LANES>(), self.bias.as_chunks::<LANES>());
        let (scale_rest, bias_rest) = (simd.load_first(scale_rest), simd.load_first(bias_rest));
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut sum = simd.load_first(rest);
            for chunk in chunks {
                sum = simd.add(sum, simd.load(chunk));
            }
            let mean = simd.sum(sum) / width as f32;
            let mean = simd.splat(mean);
            let mut squares = simd.splat(0.0);
            for chunk in chunks {
                let from_mean = simd.sub(simd.load(chunk), mean);
                squares = simd.fma(from_mean, from_mean, squares);
            }
            let mut squares = simd.sum(squares);
            for value in simd.lanes(simd.sub(simd.load_first(rest), mean)).iter().take(rest.len()) {
                squares += value * value;
            }
            let variance = squares / width as f32;
            let factor = simd.splat((variance + self.epsilon).sqrt().recip());
            let normalised =
                |x, scale, bias| simd.fma(simd.mul(simd.sub(x, mean), factor), scale, bias);
            let (places, place_rest) = out.as_chunks_mut::<LANES>();
            for (((place, chunk), scale), bias) in
                places.iter_mut().zip(chunks).zip(scales).zip(biases)
            {
                simd.store(normalised(simd.load(chunk), simd.load(scale), simd.load(bias)), place);
            }
            if !rest.is_empty() {
                simd.store_first(
                    normalised(simd.load_first(rest), scale_rest, bias_rest),
                    place_rest,
                );
            }
        }
    }
}
