//! The exponential function of vectors.

use crate::simd::Simd;

/// Powers of two below this are taken as this: 1.2e-38, the smallest normal float.
const LOWEST: f32 = -126.0;

/// Minimax polynomial of `2^r` for `r` from -1/2 to 1/2, highest power first; its relative error is at most 2.7e-6.
const POLYNOMIAL: [f32; 5] = [9.570_101e-3, 5.591_786e-2, 0.240_247_44, 0.693_121_8, 0.999_999_3];

/// `2^v` for lanes of at most 126, within 3e-6 of it; NaN stays NaN.
///
/// By `2^n 2^r` with a whole `n`, so that `r` is at most a half.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, v: S::F) -> S::F {
    // In this order NaN passes.
    let v = simd.max(simd.splat(LOWEST), v);
    let n = simd.round(v);
    let r = simd.sub(v, n);
    let mut p = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        p = simd.fma(p, r, simd.splat(*coefficient));
    }
    simd.mul(p, simd.power_of_two(n))
}
