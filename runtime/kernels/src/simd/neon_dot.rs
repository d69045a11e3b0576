//! NEON with dot products: `sdot` multiplies 16 pairs of bytes and adds them up by fours.

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int16x8x2_t, int32x4_t, vdup_n_s32, vdupq_n_s32, vget_low_s16, vld2q_s16,
    vmlal_high_lane_s16, vmlal_lane_s16, vreinterpret_s16_s32, vreinterpretq_s8_s32,
};
use std::arch::asm;

use super::neon::{Neon, Products, four, op};
use super::{Kernel, LANES, of_pair};

/// Dot products of four bytes each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dot(());

impl Neon<Dot> {
    pub(crate) fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("dotprod").then_some(Self(Dot(())))
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: `self` proves that the machine has the feature.
        unsafe { with_features(self, kernel) }
    }
}

#[target_feature(enable = "dotprod")]
fn with_features<K: Kernel>(simd: Neon<Dot>, kernel: K) {
    kernel.run(simd);
}

impl Products for Dot {
    type Sums = [int32x4_t; 4];
    /// The first levels of all columns, and the second.
    type Pairs = [[int16x8_t; 2]; 2];

    // Of 32 registers, sums take 24 and weights 4.
    const ROWS: usize = 6;

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        [op!(vdupq_n_s32(0)); 4]
    }

    #[inline(always)]
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: [int8x16_t; 4]) -> Self::Sums {
        let row = op!(vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(row))));
        four!(|i| sdot(sums[i], weights[i], row))
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        let [low, high] = [0, 16].map(|i| levels[i..].as_ptr());
        // SAFETY: `self` proves the feature; a half has the 16 values that are read.
        let int16x8x2_t(first, second) = unsafe { vld2q_s16(low) };
        // SAFETY: as above.
        let int16x8x2_t(third, fourth) = unsafe { vld2q_s16(high) };
        [[first, third], [second, fourth]]
    }

    #[inline(always)]
    fn dot_pairs(self, mut sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        let row = op!(vreinterpret_s16_s32(vdup_n_s32(of_pair(row))));
        let [first, second] = pairs;
        for i in 0..2 {
            sums[2 * i] = op!(vmlal_lane_s16::<0>(sums[2 * i], vget_low_s16(first[i]), row));
            sums[2 * i + 1] = op!(vmlal_high_lane_s16::<0>(sums[2 * i + 1], first[i], row));
            sums[2 * i] = op!(vmlal_lane_s16::<1>(sums[2 * i], vget_low_s16(second[i]), row));
            sums[2 * i + 1] = op!(vmlal_high_lane_s16::<1>(sums[2 * i + 1], second[i], row));
        }
        sums
    }

    #[inline(always)]
    fn totals(self, sums: Self::Sums) -> [int32x4_t; 4] {
        sums
    }
}

/// The instruction, whose intrinsic is not stable yet.
#[inline]
#[target_feature(enable = "dotprod")]
fn sdot(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut totals = sums;
    // SAFETY: the function has the instruction, which touches the three registers alone.
    unsafe {
        asm!(
            "sdot {totals:v}.4s, {a:v}.16b, {b:v}.16b",
            totals = inout(vreg) totals,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    totals
}
