//! AVX2 with FMA: a vector is two registers. How bytes are multiplied depends on the processor and is a parameter: [`Signs`] with
//! what all have.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _CMP_GT_OQ, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _mm_add_epi8, _mm_loadl_epi64, _mm_packs_epi16, _mm_packs_epi32, _mm_set1_epi8,
    _mm_storeu_si128, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps,
    _mm256_castps_si256, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps,
    _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_div_ps,
    _mm256_extracti128_si256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epu32, _mm256_max_ps, _mm256_min_ps,
    _mm256_movemask_ps, _mm256_mul_ps, _mm256_packs_epi32, _mm256_permute4x64_epi64,
    _mm256_round_ps, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_si256,
    _mm256_sign_epi8, _mm256_slli_epi32, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_epi32,
    _mm256_sub_ps,
};

use super::{Kernel, LANES, Simd, of_pair};

/// AVX2 and FMA, and how they multiply bytes. A value is the proof that this machine has the instructions of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2<P>(pub(super) P);

/// What of [`Simd`] depends on the multiplication of bytes, by the same names.
pub(crate) trait Products: Copy {
    type Weights: Copy;

    const OFFSET: i32;
    const ROWS: usize;

    fn weights(self, levels: [__m256i; 2]) -> Self::Weights;
    /// The row's levels are in every lane.
    fn dot(self, sums: [__m256i; 2], row: __m256i, weights: Self::Weights) -> [__m256i; 2];
}

/// `vpmaddubsw` multiplies 32 pairs of bytes and adds them up by twos, one side without a sign: the weight gives its sign to the
/// row's level first. Levels of at most 127 never overflow the 16 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs(());

impl Avx2<Signs> {
    pub(crate) fn detect() -> Option<Self> {
        (std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"))
            .then_some(Self(Signs(())))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the features.
        unsafe { with_features(self, kernel) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn with_features<K: Kernel>(simd: Avx2<Signs>, kernel: K) {
    kernel.run(simd);
}

/// Calls an intrinsic on both halves: one that touches registers alone, or loads the half of an array that `halves` gives.
macro_rules! both {
    (|$i:ident| $call:expr) => {
        [
            {
                let $i = 0;
                // SAFETY: `self` proves that the machine has the feature.
                unsafe { $call }
            },
            {
                let $i = 1;
                // SAFETY: `self` proves that the machine has the feature.
                unsafe { $call }
            },
        ]
    };
}

pub(super) use both;

impl<P: Products> Simd for Avx2<P> {
    type F = [__m256; 2];
    type Sums = [__m256i; 2];
    type Weights = P::Weights;
    type Pairs = [__m256i; 2];

    const OFFSET: i32 = P::OFFSET;
    const ROWS: usize = P::ROWS;
    const PANELS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        both!(|_i| _mm256_set1_ps(value))
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::F {
        let halves = halves(values);
        both!(|i| _mm256_loadu_ps(halves[i].as_ptr()))
    }

    #[inline(always)]
    fn load_levels(self, levels: &[i8; LANES]) -> Self::F {
        let halves = halves(levels);
        let bytes = both!(|i| _mm_loadl_epi64(halves[i].as_ptr().cast::<__m128i>()));
        let whole = both!(|i| _mm256_cvtepi8_epi32(bytes[i]));
        both!(|i| _mm256_cvtepi32_ps(whole[i]))
    }

    #[inline(always)]
    fn store(self, v: Self::F, values: &mut [f32; LANES]) {
        let (low, high) = values.split_at_mut(8);
        // SAFETY: `self` proves the feature; the half has room for the 8 values that are written.
        unsafe { _mm256_storeu_ps(low.as_mut_ptr(), v[0]) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(high.as_mut_ptr(), v[1]) };
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_add_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_sub_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_mul_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_div_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(|i| _mm256_fmadd_ps(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_max_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        both!(|i| _mm256_min_ps(a[i], b[i]))
    }

    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        both!(|i| _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v[i]))
    }

    #[inline(always)]
    fn power_of_two(self, v: Self::F) -> Self::F {
        let whole = both!(|i| _mm256_cvtps_epi32(v[i]));
        let bias = both!(|_i| _mm256_set1_epi32(127));
        let exponent = both!(|i| _mm256_add_epi32(whole[i], bias[i]));
        let bits = both!(|i| _mm256_slli_epi32::<23>(exponent[i]));
        both!(|i| _mm256_castsi256_ps(bits[i]))
    }

    #[inline(always)]
    fn max_magnitude(self, a: Self::F, b: Self::F) -> Self::F {
        let unsigned = self.splat(f32::from_bits(i32::MAX.cast_unsigned()));
        let a = both!(|i| _mm256_castps_si256(_mm256_and_ps(a[i], unsigned[i])));
        let b = both!(|i| _mm256_castps_si256(_mm256_and_ps(b[i], unsigned[i])));
        let larger = both!(|i| _mm256_max_epu32(a[i], b[i]));
        both!(|i| _mm256_castsi256_ps(larger[i]))
    }

    #[inline(always)]
    fn beyond(self, v: Self::F, limits: Self::F) -> u16 {
        let unsigned = self.splat(f32::from_bits(i32::MAX.cast_unsigned()));
        let magnitudes = both!(|i| _mm256_and_ps(v[i], unsigned[i]));
        let beyond = both!(|i| _mm256_cmp_ps::<_CMP_GT_OQ>(magnitudes[i], limits[i]));
        let [low, high] = both!(|i| _mm256_movemask_ps(beyond[i]));
        u16::from_le_bytes([low, high].map(|bits| bits.to_le_bytes()[0]))
    }

    #[inline(always)]
    fn store_levels(self, v: Self::F, levels: &mut [u8; LANES]) {
        let whole = both!(|i| _mm256_cvtps_epi32(v[i]));
        let low = both!(|i| _mm256_castsi256_si128(whole[i]));
        let high = both!(|i| _mm256_extracti128_si256::<1>(whole[i]));
        let words = both!(|i| _mm_packs_epi32(low[i], high[i]));
        // SAFETY: `self` proves that the machine has the feature.
        let bytes = unsafe { _mm_packs_epi16(words[0], words[1]) };
        let [offset, ..] = P::OFFSET.to_le_bytes();
        // SAFETY: as above.
        let offsets = unsafe { _mm_set1_epi8(offset.cast_signed()) };
        // SAFETY: as above.
        let stored = unsafe { _mm_add_epi8(bytes, offsets) };
        // SAFETY: `self` proves the feature; the array has room for the 16 bytes that are written.
        unsafe { _mm_storeu_si128(levels.as_mut_ptr().cast::<__m128i>(), stored) }
    }

    #[inline(always)]
    fn store_words(self, v: Self::F, words: &mut [i16; LANES]) {
        let whole = both!(|i| _mm256_cvtps_epi32(v[i]));
        // SAFETY: `self` proves that the machine has the feature.
        let packed = unsafe { _mm256_packs_epi32(whole[0], whole[1]) };
        // The packing goes by halves of registers. SAFETY: as above.
        let stored = unsafe { _mm256_permute4x64_epi64::<0b11_01_10_00>(packed) };
        // SAFETY: `self` proves the feature; the array has room for the 32 bytes that are written.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast::<__m256i>(), stored) }
    }

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        both!(|_i| _mm256_setzero_si256())
    }

    #[inline(always)]
    fn weights(self, levels: &[u8; 4 * LANES]) -> Self::Weights {
        let halves = halves(levels);
        self.0.weights(both!(|i| _mm256_loadu_si256(halves[i].as_ptr().cast::<__m256i>())))
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums {
        // SAFETY: `self` proves that the machine has the feature.
        let row = unsafe { _mm256_set1_epi32(i32::from_le_bytes(row)) };
        self.0.dot(sums, row, weights)
    }

    #[inline(always)]
    fn less(self, sums: Self::Sums, others: Self::Sums) -> Self::Sums {
        both!(|i| _mm256_sub_epi32(sums[i], others[i]))
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        let halves = halves(levels);
        both!(|i| _mm256_loadu_si256(halves[i].as_ptr().cast::<__m256i>()))
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        let row = both!(|_i| _mm256_set1_epi32(of_pair(row)));
        let products = both!(|i| _mm256_madd_epi16(row[i], pairs[i]));
        both!(|i| _mm256_add_epi32(sums[i], products[i]))
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, corrections: &[i32; LANES]) -> Self::F {
        let halves = halves(corrections);
        let corrections = both!(|i| _mm256_loadu_si256(halves[i].as_ptr().cast::<__m256i>()));
        let sums = both!(|i| _mm256_sub_epi32(sums[i], corrections[i]));
        both!(|i| _mm256_cvtepi32_ps(sums[i]))
    }
}

impl Products for Signs {
    /// The levels, and their magnitudes.
    type Weights = [[__m256i; 2]; 2];

    const OFFSET: i32 = 0;
    const ROWS: usize = 4;

    #[inline(always)]
    fn weights(self, levels: [__m256i; 2]) -> Self::Weights {
        [levels, both!(|i| _mm256_abs_epi8(levels[i]))]
    }

    #[inline(always)]
    fn dot(self, sums: [__m256i; 2], row: __m256i, weights: Self::Weights) -> [__m256i; 2] {
        let [levels, magnitudes] = weights;
        let signed = both!(|i| _mm256_sign_epi8(row, levels[i]));
        let pairs = both!(|i| _mm256_maddubs_epi16(magnitudes[i], signed[i]));
        let ones = both!(|_i| _mm256_set1_epi16(1));
        let fours = both!(|i| _mm256_madd_epi16(pairs[i], ones[i]));
        both!(|i| _mm256_add_epi32(sums[i], fours[i]))
    }
}

#[inline(always)]
fn halves<T, const N: usize>(values: &[T; N]) -> [&[T]; 2] {
    let (low, high) = values.split_at(N / 2);
    [low, high]
}
