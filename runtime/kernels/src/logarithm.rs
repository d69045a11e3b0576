//! The logarithm of vectors.

use crate::simd::{LANES, Simd};

/// Bits of the root of a half: mantissas are taken from there to the root of two.
const ROOT_OF_HALF: u32 = 0x3f35_04f3;

/// Coefficients of the series of `log((1 + s) / (1 - s))`, minimax as in FreeBSD's `e_logf.c`.
const COEFFICIENTS: [f32; 4] = [0.242_790_79, 0.284_987_87, 0.400_009_72, 0.666_666_6];

/// The decimal logarithm of positive normal lanes, within 2e-7 relative to the larger of it and 1; NaN stays NaN.
#[inline(always)]
pub(crate) fn log10<S: Simd>(simd: S, v: S::F) -> S::F {
    let lanes = simd.lanes(v);
    let (mut mantissas, mut exponents) = ([0.0; LANES], [0.0; LANES]);
    for i in 0..LANES {
        let bits = lanes[i].to_bits().wrapping_sub(ROOT_OF_HALF);
        mantissas[i] = f32::from_bits((bits & 0x007f_ffff).wrapping_add(ROOT_OF_HALF));
        #[expect(clippy::cast_precision_loss, reason = "an exponent is a small whole number")]
        let exponent = (bits.cast_signed() >> 23) as f32;
        exponents[i] = exponent;
    }
    let f = simd.sub(simd.load(&mantissas), simd.splat(1.0));
    let s = simd.div(f, simd.add(f, simd.splat(2.0)));
    let z = simd.mul(s, s);
    let mut r = simd.splat(COEFFICIENTS[0]);
    for coefficient in &COEFFICIENTS[1..] {
        r = simd.fma(r, z, simd.splat(*coefficient));
    }
    let half_square = simd.mul(simd.mul(f, f), simd.splat(0.5));
    let of_mantissa = simd.fma(s, simd.fma(r, z, half_square), simd.sub(f, half_square));
    let exponent = simd.mul(simd.load(&exponents), simd.splat(std::f32::consts::LOG10_2));
    let log = simd.fma(of_mantissa, simd.splat(std::f32::consts::LOG10_E), exponent);
    // Bits taken apart would make a number of what is none.
    simd.add(log, simd.sub(v, v))
}
