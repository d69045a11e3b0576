//! NEON, which every aarch64 has: a vector is four registers. How whole numbers are multiplied depends on the core and is a
//! parameter: [`Long`] with the multiplications that all have.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, int32x4_t, vabsq_f32, vaddq_f32, vaddq_s32, vaddvq_u16,
    vandq_u16, vbslq_f32, vcgtq_f32, vcltq_f32, vcombine_s8, vcombine_s16, vcombine_u16,
    vcvtnq_s32_f32, vcvtq_f32_s32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vfmaq_f32, vget_low_s8,
    vget_low_s16, vld1q_f32, vld1q_s8, vld1q_s16, vld1q_s32, vld1q_u16, vmaxq_u32, vmlal_high_s16,
    vmlal_s16, vmovl_high_s8, vmovl_high_s16, vmovl_s8, vmovl_s16, vmovn_s16, vmovn_s32, vmovn_u32,
    vmull_high_s8, vmull_s8, vmulq_f32, vpadalq_s16, vpaddq_s32, vreinterpretq_f32_s32,
    vreinterpretq_f32_u32, vreinterpretq_s8_s32, vreinterpretq_s16_s32, vreinterpretq_u32_f32,
    vrndnq_f32, vshlq_n_s32, vst1q_f32, vst1q_s8, vst1q_s16, vsubq_f32, vsubq_s32,
};
use std::arch::asm;

use super::{Kernel, LANES, Simd, of_pair, products};

/// NEON, and how it multiplies whole numbers. A value is the proof that this machine has the instructions of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon<P>(pub(super) P);

/// What of [`Simd`] depends on the multiplication of whole numbers, by the same names. Levels are stored as they are.
pub(crate) trait Products: Copy {
    type Sums: Copy;
    type Pairs: Copy;

    const ROWS: usize;

    fn no_sums(self) -> Self::Sums;
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: [int8x16_t; 4]) -> Self::Sums;
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        simd: Neon<Self>,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        products(simd, levels, panels)
    }
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs;
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums;
    /// The finished sums.
    fn totals(self, sums: Self::Sums) -> [int32x4_t; 4];
}

/// Long multiplications: products of bytes have 16 bits, and are added by twos to sums of 32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Long(());

impl Neon<Long> {
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(Long(())))
    }

    /// NEON is among the features that this crate is compiled with on aarch64.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }
}

/// Calls an intrinsic that touches registers alone.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: `self` proves that the machine has the feature.
        unsafe { $call }
    };
}

/// Calls an intrinsic on each of four registers: one that touches registers alone, or loads the quarter of an array that
/// `quarters` gives.
macro_rules! four {
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
            {
                let $i = 2;
                // SAFETY: `self` proves that the machine has the feature.
                unsafe { $call }
            },
            {
                let $i = 3;
                // SAFETY: `self` proves that the machine has the feature.
                unsafe { $call }
            },
        ]
    };
}
pub(super) use {four, op};

impl<P> Neon<P> {
    /// Lanes rounded to whole numbers, halves to even, that 16 bits hold.
    #[inline(always)]
    fn words(self, v: [float32x4_t; 4]) -> [int16x8_t; 2] {
        let halves = four!(|i| vmovn_s32(vcvtnq_s32_f32(v[i])));
        [op!(vcombine_s16(halves[0], halves[1])), op!(vcombine_s16(halves[2], halves[3]))]
    }
}

impl<P: Products> Simd for Neon<P> {
    type F = [float32x4_t; 4];
    type Sums = P::Sums;
    type Weights = [int8x16_t; 4];
    type Pairs = P::Pairs;

    const OFFSET: i32 = 0;
    const ROWS: usize = P::ROWS;
    const PANELS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [op!(vdupq_n_f32(value)); 4]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::F {
        let quarters = quarters(values);
        four!(|i| vld1q_f32(quarters[i].as_ptr()))
    }

    #[inline(always)]
    fn load_levels(self, levels: &[i8; LANES]) -> Self::F {
        // SAFETY: `self` proves the feature; the array has the 16 bytes that are read.
        let levels = unsafe { vld1q_s8(levels.as_ptr()) };
        let [low, high] = [op!(vmovl_s8(vget_low_s8(levels))), op!(vmovl_high_s8(levels))];
        let whole = [
            op!(vmovl_s16(vget_low_s16(low))),
            op!(vmovl_high_s16(low)),
            op!(vmovl_s16(vget_low_s16(high))),
            op!(vmovl_high_s16(high)),
        ];
        four!(|i| vcvtq_f32_s32(whole[i]))
    }

    #[inline(always)]
    fn store(self, v: Self::F, values: &mut [f32; LANES]) {
        for (quarter, v) in values.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            // SAFETY: `self` proves the feature; a quarter has room for the 4 values that are written.
            unsafe { vst1q_f32(quarter.as_mut_ptr(), v) }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vaddq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vsubq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vmulq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vdivq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        four!(|i| vfmaq_f32(c[i], a[i], b[i]))
    }

    // Not `vmaxq_f32` and `vminq_f32`, which give NaN where either is.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        four!(|i| vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i]))
    }

    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        four!(|i| vrndnq_f32(v[i]))
    }

    #[inline(always)]
    fn power_of_two(self, v: Self::F) -> Self::F {
        let bias = op!(vdupq_n_s32(127));
        let exponent = four!(|i| vaddq_s32(vcvtnq_s32_f32(v[i]), bias));
        four!(|i| vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent[i])))
    }

    #[inline(always)]
    fn max_magnitude(self, a: Self::F, b: Self::F) -> Self::F {
        let a = four!(|i| vreinterpretq_u32_f32(vabsq_f32(a[i])));
        let b = four!(|i| vreinterpretq_u32_f32(vabsq_f32(b[i])));
        four!(|i| vreinterpretq_f32_u32(vmaxq_u32(a[i], b[i])))
    }

    #[inline(always)]
    fn beyond(self, v: Self::F, limits: Self::F) -> u16 {
        let beyond = four!(|i| vcgtq_f32(vabsq_f32(v[i]), limits[i]));
        let low = op!(vcombine_u16(vmovn_u32(beyond[0]), vmovn_u32(beyond[1])));
        let high = op!(vcombine_u16(vmovn_u32(beyond[2]), vmovn_u32(beyond[3])));
        // Each lane's own bit of those that are all ones.
        let bits = [1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: `self` proves the feature; the array has the 8 values that are read.
        let bits = unsafe { vld1q_u16(bits.as_ptr()) };
        let low = op!(vaddvq_u16(vandq_u16(low, bits)));
        let high = op!(vaddvq_u16(vandq_u16(high, bits)));
        high << 8 | low
    }

    #[inline(always)]
    fn store_levels(self, v: Self::F, levels: &mut [u8; LANES]) {
        let [low, high] = self.words(v);
        let bytes = op!(vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        // SAFETY: `self` proves the feature; the array has room for the 16 bytes that are written.
        unsafe { vst1q_s8(levels.as_mut_ptr().cast::<i8>(), bytes) }
    }

    #[inline(always)]
    fn store_words(self, v: Self::F, words: &mut [i16; LANES]) {
        let halves = self.words(v);
        for (half, v) in words.as_chunks_mut::<8>().0.iter_mut().zip(halves) {
            // SAFETY: `self` proves the feature; a half has room for the 8 values that are written.
            unsafe { vst1q_s16(half.as_mut_ptr(), v) }
        }
    }

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        self.0.no_sums()
    }

    #[inline(always)]
    fn weights(self, levels: &[u8; 4 * LANES]) -> Self::Weights {
        let quarters = quarters(levels);
        four!(|i| vld1q_s8(quarters[i].as_ptr().cast::<i8>()))
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums {
        self.0.dot(sums, row, weights)
    }

    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        self,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        P::multiply(self, levels, panels)
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        self.0.pairs(levels)
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        self.0.dot_pairs(sums, row, pairs)
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, corrections: &[i32; LANES]) -> Self::F {
        let totals = self.0.totals(sums);
        let quarters = quarters(corrections);
        let corrections = four!(|i| vld1q_s32(quarters[i].as_ptr()));
        four!(|i| vcvtq_f32_s32(vsubq_s32(totals[i], corrections[i])))
    }
}

impl Products for Long {
    /// Each column's sum in two.
    type Sums = [[int32x4_t; 2]; 4];
    type Pairs = [int16x8_t; 4];

    // Of 32 registers, sums take 16, weights 8, levels of rows 4 and products 4.
    const ROWS: usize = 2;

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        [[op!(vdupq_n_s32(0)); 2]; 4]
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: [int8x16_t; 4]) -> Self::Sums {
        let row = op!(vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(row))));
        let low = four!(|i| vmull_s8(vget_low_s8(weights[i]), vget_low_s8(row)));
        let high = four!(|i| vmull_high_s8(weights[i], row));
        four!(|i| [vpadalq_s16(sums[i][0], low[i]), vpadalq_s16(sums[i][1], high[i])])
    }

    /// Takes two steps at once.
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        simd: Neon<Self>,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        let mut sums = [[simd.no_sums(); C]; R];
        for c in 0..C {
            let (twos, last) = panels[c].as_chunks::<2>();
            let (levels, rest) = levels.split_at(8 * R * twos.len());
            for (rows, [a, b]) in levels.chunks_exact(8 * R).zip(twos) {
                let rows = rows.as_chunks::<4>().0;
                let weights = [simd.weights(a), simd.weights(b)];
                for r in 0..R {
                    sums[r][c] = simd.0.dot_twice(sums[r][c], [rows[r], rows[R + r]], weights);
                }
            }
            for (rows, four) in rest.chunks_exact(4 * R).zip(last) {
                let rows = rows.as_chunks::<4>().0;
                for r in 0..R {
                    sums[r][c] = simd.dot(sums[r][c], rows[r], simd.weights(four));
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        let quarters = quarters(levels);
        four!(|i| vld1q_s16(quarters[i].as_ptr()))
    }

    #[inline(always)]
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        let row = op!(vreinterpretq_s16_s32(vdupq_n_s32(of_pair(row))));
        let low = four!(|i| vmlal_s16(sums[i][0], vget_low_s16(pairs[i]), vget_low_s16(row)));
        four!(|i| [low[i], vmlal_high_s16(sums[i][1], pairs[i], row)])
    }

    #[inline(always)]
    fn totals(self, sums: Self::Sums) -> [int32x4_t; 4] {
        four!(|i| vpaddq_s32(sums[i][0], sums[i][1]))
    }
}

impl Long {
    /// [`Products::dot`] of two steps: two products of a level of at most 127 and a weight of at least -128 have room in 16 bits.
    #[inline(always)]
    fn dot_twice(
        self,
        mut sums: <Self as Products>::Sums,
        rows: [[u8; 4]; 2],
        [a, b]: [[int8x16_t; 4]; 2],
    ) -> <Self as Products>::Sums {
        let [first, second] =
            rows.map(|row| op!(vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(row)))));
        for i in [0, 2] {
            let (sums, a, b) = (&mut sums[i..i + 2], &a[i..i + 2], &b[i..i + 2]);
            let [mut s0, mut s1, mut s2, mut s3] = [sums[0][0], sums[0][1], sums[1][0], sums[1][1]];
            // The compiler would take all products before it adds the first, and spill them. Four at a time are also what a
            // core that works in order does not wait for. SAFETY: `self` proves the feature; registers alone are touched.
            unsafe {
                asm!(
                    "smull {p0:v}.8h, {a0:v}.8b, {first:v}.8b",
                    "smull2 {p1:v}.8h, {a0:v}.16b, {first:v}.16b",
                    "smull {p2:v}.8h, {a1:v}.8b, {first:v}.8b",
                    "smull2 {p3:v}.8h, {a1:v}.16b, {first:v}.16b",
                    "smlal {p0:v}.8h, {b0:v}.8b, {second:v}.8b",
                    "smlal2 {p1:v}.8h, {b0:v}.16b, {second:v}.16b",
                    "smlal {p2:v}.8h, {b1:v}.8b, {second:v}.8b",
                    "smlal2 {p3:v}.8h, {b1:v}.16b, {second:v}.16b",
                    "sadalp {s0:v}.4s, {p0:v}.8h",
                    "sadalp {s1:v}.4s, {p1:v}.8h",
                    "sadalp {s2:v}.4s, {p2:v}.8h",
                    "sadalp {s3:v}.4s, {p3:v}.8h",
                    s0 = inout(vreg) s0, s1 = inout(vreg) s1, s2 = inout(vreg) s2, s3 = inout(vreg) s3,
                    p0 = out(vreg) _, p1 = out(vreg) _, p2 = out(vreg) _, p3 = out(vreg) _,
                    a0 = in(vreg) a[0], a1 = in(vreg) a[1], b0 = in(vreg) b[0], b1 = in(vreg) b[1],
                    first = in(vreg) first, second = in(vreg) second,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
            sums.copy_from_slice(&[[s0, s1], [s2, s3]]);
        }
        sums
    }
}

/// The quarters of an array, each for a register.
#[inline(always)]
pub(super) fn quarters<T, const N: usize>(values: &[T; N]) -> [&[T]; 4] {
    let (low, high) = values.split_at(N / 2);
    let ((first, second), (third, fourth)) = (low.split_at(N / 4), high.split_at(N / 4));
    [first, second, third, fourth]
}
