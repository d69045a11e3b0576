//! NEON with dot products: `sdot` multiplies 16 pairs of bytes and adds them up by fours.

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int16x8x2_t, int32x4_t, vdup_n_s32, vdupq_n_s32, vget_low_s16, vld1q_s8,
    vld2q_s16, vmlal_high_lane_s16, vmlal_lane_s16, vreinterpret_s16_s32, vreinterpretq_s8_s32,
};
use std::arch::asm;

use super::neon::{Neon, Products, four, op};
use super::{Kernel, LANES, Simd, of_pair};

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
        four!(|i| sdot::<0>(sums[i], weights[i], row))
    }

    /// Loads the levels of four rows at once.
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        simd: Neon<Self>,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        let mut sums = [[simd.no_sums(); C]; R];
        for c in 0..C {
            for (rows, four) in levels.chunks_exact(4 * R).zip(panels[c]) {
                let weights = simd.weights(four);
                let (fours, _) = rows.as_chunks::<16>();
                for (rows, sums) in fours.iter().zip(sums.as_chunks_mut::<4>().0) {
                    let rows = op!(vld1q_s8(rows.as_ptr().cast::<i8>()));
                    sums[0][c] = four!(|i| sdot::<0>(sums[0][c][i], weights[i], rows));
                    sums[1][c] = four!(|i| sdot::<1>(sums[1][c][i], weights[i], rows));
                    sums[2][c] = four!(|i| sdot::<2>(sums[2][c][i], weights[i], rows));
                    sums[3][c] = four!(|i| sdot::<3>(sums[3][c][i], weights[i], rows));
                }
                let rows = rows.as_chunks::<4>().0;
                for r in R / 4 * 4..R {
                    sums[r][c] = simd.dot(sums[r][c], rows[r], weights);
                }
            }
        }
        sums
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

/// The instruction, whose intrinsic is not stable yet, with four bytes of `b` against all fours of `a`.
#[inline]
#[target_feature(enable = "dotprod")]
fn sdot<const FOUR: i32>(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the function has the instruction, which touches the three registers alone.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.4b[{four}]",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            four = const FOUR,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
