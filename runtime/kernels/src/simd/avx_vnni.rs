//! AVX2 with AVX-VNNI, which x86-64 processors have that lack AVX-512: `vpdpbusd` multiplies 32 pairs of bytes and adds them up
//! by fours.

use std::arch::x86_64::{__m256i, _mm256_dpbusd_avx_epi32};

use super::Kernel;
use super::avx2::{Avx2, Products, Signs, both};

/// Dot products of four bytes each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vnni(());

impl Avx2<Vnni> {
    pub(crate) fn detect() -> Option<Self> {
        Avx2::<Signs>::detect()?;
        std::arch::is_x86_feature_detected!("avxvnni").then_some(Self(Vnni(())))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the features.
        unsafe { with_features(self, kernel) }
    }
}

#[target_feature(enable = "avx2,fma,avxvnni")]
fn with_features<K: Kernel>(simd: Avx2<Vnni>, kernel: K) {
    kernel.run(simd);
}

impl Products for Vnni {
    type Weights = [__m256i; 2];

    const OFFSET: i32 = 128; // `vpdpbusd` takes the row's levels without a sign
    // Of 16 registers, sums take 12 and weights 2.
    const ROWS: usize = 6;

    #[inline(always)]
    fn weights(self, levels: [__m256i; 2]) -> Self::Weights {
        levels
    }

    #[inline(always)]
    fn dot(self, sums: [__m256i; 2], row: __m256i, weights: Self::Weights) -> [__m256i; 2] {
        both!(|i| _mm256_dpbusd_avx_epi32(sums[i], row, weights[i]))
    }
}
