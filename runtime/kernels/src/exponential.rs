//! The exponential function of vectors.

use crate::simd::Simd;

/// Below this the exponential is taken as that of this: 1.2e-38, the smallest normal float.
const LOWEST: f32 = -87.336_54;

/// `e^v` for lanes of at most 0, within 2e-7 of it; NaN stays NaN.
///
/// By `2^n e^r` with a whole `n`, so that `r` is at most half of `ln 2`, where a Taylor polynomial of degree 6 is exact enough.
#[inline(always)]
pub(crate) fn exp_of_negative<S: Simd>(simd: S, v: S::F) -> S::F {
    // In this order NaN passes.
    let v = simd.max(simd.splat(LOWEST), v);
    let n = simd.round(simd.mul(v, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, of which the first times n is exact.
    let r = simd.fma(n, simd.splat(-0.693_359_4), v);
    let r = simd.fma(n, simd.splat(2.121_944_4e-4), r);
    let mut p = simd.splat(1.0 / 720.0);
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = simd.fma(p, r, simd.splat(coefficient));
    }
    simd.mul(p, simd.power_of_two(n))
}
