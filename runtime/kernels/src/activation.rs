//! What a linear layer does to its sums.

use crate::simd::Simd;

/// A function of each output of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// None.
    #[default]
    Identity,
    /// `x / 2 (1 + erf(x / sqrt 2))`, within 4e-7 (1 + |x|) of it.
    Gelu,
}

/// Numerator and denominator of `erf(x) = x P(x^2) / Q(x^2)`, highest powers first: the minimax approximation of Eigen
/// (`generic_fast_erf_float`, `Eigen/src/Core/MathFunctionsImpl.h`), for |x| of at most 4, beyond which the float is 1.
const ERF_NUMERATOR: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_4e-5,
    -7.349_906_3e-4,
    -2.954_6e-3,
    -1.609_603_3e-2,
];
const ERF_DENOMINATOR: [f32; 5] =
    [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];

/// The Gelu of each lane; NaN stays NaN.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::F) -> S::F {
    let root = simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    // In this order NaN passes.
    let root = simd.max(simd.splat(-4.0), simd.min(simd.splat(4.0), root));
    let square = simd.mul(root, root);
    let numerator = simd.mul(root, polynomial(simd, square, ERF_NUMERATOR));
    let denominator = polynomial(simd, square, ERF_DENOMINATOR);
    let erf = simd.div(numerator, denominator);
    let half = simd.mul(x, simd.splat(0.5));
    simd.fma(half, erf, half)
}

#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::F, coefficients: [f32; N]) -> S::F {
    let mut p = simd.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        p = simd.fma(p, x, simd.splat(*coefficient));
    }
    p
}
