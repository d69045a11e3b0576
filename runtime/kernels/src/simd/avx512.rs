//! AVX-512 with VNNI: a vector is one register; `vpdpbusd` multiplies 64 pairs of bytes and adds them up by fours.

use std::arch::x86_64::{
    __m128i, __m256i, __m512, __m512i, _CMP_GT_OQ, _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128,
    _mm_set1_epi8, _mm_storeu_si128, _mm_xor_si128, _mm256_storeu_si256, _mm512_abs_ps,
    _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps,
    _mm512_cvtps_epi32, _mm512_div_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_epu32, _mm512_max_ps, _mm512_min_ps,
    _mm512_mul_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps,
};

use super::{Kernel, LANES, Simd, of_pair};

/// The proof that this machine has AVX-512 F, BW, VL and VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512vnni"))
        .then_some(Self(()))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the features.
        unsafe { with_features(self, kernel) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
fn with_features<K: Kernel>(simd: Avx512, kernel: K) {
    kernel.run(simd);
}

/// Calls an intrinsic that touches registers alone.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` proves that the machine has the feature.
        unsafe { $call }
    };
}

impl Simd for Avx512 {
    type F = __m512;
    type Sums = __m512i;
    type Weights = __m512i;
    type Pairs = __m512i;

    const OFFSET: i32 = 128; // `vpdpbusd` takes the row's levels without a sign
    const ROWS: usize = 12;
    const PANELS: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        op!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::F {
        // SAFETY: `self` proves the feature; the array has the 16 values that are read.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn load_levels(self, levels: &[i8; LANES]) -> Self::F {
        // SAFETY: `self` proves the feature; the array has the 16 bytes that are read.
        let levels = unsafe { _mm_loadu_si128(levels.as_ptr().cast::<__m128i>()) };
        let whole = op!(_mm512_cvtepi8_epi32(levels));
        op!(_mm512_cvtepi32_ps(whole))
    }

    #[inline(always)]
    fn store(self, v: Self::F, values: &mut [f32; LANES]) {
        // SAFETY: `self` proves the feature; the array has room for the 16 values that are written.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        op!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        op!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        op!(_mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(v))
    }

    #[inline(always)]
    fn power_of_two(self, v: Self::F) -> Self::F {
        op!(_mm512_scalef_ps(_mm512_set1_ps(1.0), v))
    }

    #[inline(always)]
    fn max_magnitude(self, a: Self::F, b: Self::F) -> Self::F {
        let a = op!(_mm512_castps_si512(_mm512_abs_ps(a)));
        let b = op!(_mm512_castps_si512(_mm512_abs_ps(b)));
        let larger = op!(_mm512_max_epu32(a, b));
        op!(_mm512_castsi512_ps(larger))
    }

    #[inline(always)]
    fn beyond(self, v: Self::F, limits: Self::F) -> u16 {
        op!(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(_mm512_abs_ps(v), limits))
    }

    #[inline(always)]
    fn store_levels(self, v: Self::F, levels: &mut [u8; LANES]) {
        let whole = op!(_mm512_cvtps_epi32(v));
        let bytes = op!(_mm512_cvtepi32_epi8(whole));
        let sign = op!(_mm_set1_epi8(i8::MIN));
        let stored = op!(_mm_xor_si128(bytes, sign));
        // SAFETY: `self` proves the feature; the array has room for the 16 bytes that are written.
        unsafe { _mm_storeu_si128(levels.as_mut_ptr().cast::<__m128i>(), stored) }
    }

    #[inline(always)]
    fn store_words(self, v: Self::F, words: &mut [i16; LANES]) {
        let whole = op!(_mm512_cvtps_epi32(v));
        let stored = op!(_mm512_cvtepi32_epi16(whole));
        // SAFETY: `self` proves the feature; the array has room for the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast::<__m256i>(), stored) }
    }

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        op!(_mm512_setzero_si512())
    }

    #[inline(always)]
    fn weights(self, levels: &[u8; 4 * LANES]) -> Self::Weights {
        // SAFETY: `self` proves the feature; the array has the 64 bytes that are read.
        unsafe { _mm512_loadu_si512(levels.as_ptr().cast::<__m512i>()) }
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums {
        let row = op!(_mm512_set1_epi32(i32::from_le_bytes(row)));
        op!(_mm512_dpbusd_epi32(sums, row, weights))
    }

    #[inline(always)]
    fn less(self, sums: Self::Sums, others: Self::Sums) -> Self::Sums {
        op!(_mm512_sub_epi32(sums, others))
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        // SAFETY: `self` proves the feature; the array has the 64 bytes that are read.
        unsafe { _mm512_loadu_si512(levels.as_ptr().cast::<__m512i>()) }
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        let row = op!(_mm512_set1_epi32(of_pair(row)));
        op!(_mm512_dpwssd_epi32(sums, row, pairs))
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, corrections: &[i32; LANES]) -> Self::F {
        // SAFETY: `self` proves the feature; the array has the 64 bytes that are read.
        let corrections = unsafe { _mm512_loadu_si512(corrections.as_ptr().cast::<__m512i>()) };
        let sums = op!(_mm512_sub_epi32(sums, corrections));
        op!(_mm512_cvtepi32_ps(sums))
    }
}
