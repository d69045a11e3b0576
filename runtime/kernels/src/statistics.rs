//! Statistics pooling: the mean and the deviation of each column of some rows (Snyder et al. 2017, "Deep neural network
//! embeddings for text-independent speaker verification").

use crate::error::ShapeError;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Simd};

/// Panels of columns that go by together, so that no sum waits for itself.
const PANELS: usize = 4;

/// Writes the mean `m = sum_t w[t] x[t]` of each column of `x`, `[T, D]`, and behind all means the deviations
/// `sqrt(max(sum_t w[t] (x[t] - m)^2, floor))`: `out` is `[2 D]`, `weights` `[T]`.
///
/// # Errors
/// Slices of lengths that do not fit each other.
pub fn statistics_pooling(
    isa: Isa,
    x: &[f32],
    weights: &[f32],
    floor: f32,
    out: &mut [f32],
) -> Result<(), ShapeError> {
    let width = out.len() / 2;
    ShapeError::check("means and deviations", out.len(), 2 * width)?;
    ShapeError::check("values of all rows", x.len(), weights.len() * width)?;
    let (means, deviations) = out.split_at_mut(width);
    isa.run(Apply { x, weights, floor, means, deviations });
    Ok(())
}

/// Writes the mean `sum_t w[t] x[t]` of each column of `x`, `[T, D]`, to `out`, `[D]`; `weights` are `[T]`.
///
/// # Errors
/// Slices of lengths that do not fit each other.
pub fn weighted_mean(
    isa: Isa,
    x: &[f32],
    weights: &[f32],
    out: &mut [f32],
) -> Result<(), ShapeError> {
    ShapeError::check("values of all rows", x.len(), weights.len() * out.len())?;
    isa.run(Apply { x, weights, floor: 0.0, means: out, deviations: &mut [] });
    Ok(())
}

struct Apply<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    floor: f32,
    means: &'a mut [f32],
    /// As many, or none.
    deviations: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { means, deviations, .. } = self;
        let width = means.len();
        let floor = simd.splat(self.floor);
        for first in (0..width).step_by(PANELS * LANES) {
            let columns = first..width.min(first + PANELS * LANES);
            let mut mean = [simd.splat(0.0); PANELS];
            for (row, weight) in self.x.chunks_exact(width).zip(self.weights) {
                let weight = simd.splat(*weight);
                for (mean, x) in mean.iter_mut().zip(row[columns.clone()].chunks(LANES)) {
                    *mean = simd.fma(simd.load_first(x), weight, *mean);
                }
            }
            let places = means[columns.clone()].chunks_mut(LANES);
            for (mean, place) in mean.iter().zip(places) {
                simd.store_first(*mean, place);
            }
            if deviations.is_empty() {
                continue;
            }
            let mut variance = [simd.splat(0.0); PANELS];
            for (row, weight) in self.x.chunks_exact(width).zip(self.weights) {
                let weight = simd.splat(*weight);
                let panels = row[columns.clone()].chunks(LANES);
                for ((variance, mean), x) in variance.iter_mut().zip(&mean).zip(panels) {
                    let from_mean = simd.sub(simd.load_first(x), *mean);
                    *variance = simd.fma(simd.mul(from_mean, from_mean), weight, *variance);
                }
            }
            for (variance, place) in variance.iter().zip(deviations[columns].chunks_mut(LANES)) {
                // In this order NaN passes.
                let variance = simd.lanes(simd.max(floor, *variance));
                for (place, variance) in place.iter_mut().zip(variance) {
                    *place = variance.sqrt();
                }
            }
        }
    }
}
