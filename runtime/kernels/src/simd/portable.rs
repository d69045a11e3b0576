//! Plain Rust, for any machine. What the compiler makes of it is as fast as the target that it compiles for.

use super::{Kernel, LANES, Simd, products, products_of_pairs};

/// No instruction set in particular, but for the loops of `L`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable<L>(pub(super) L);

/// The loops over products of whole numbers, [`Simd::multiply`] and [`Simd::multiply_pairs`].
pub(crate) trait Loops: Copy {
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        simd: Portable<Self>,
        levels: &[u8],
        panels: [&[[i8; 4 * LANES]]; C],
    ) -> [[[i32; LANES]; C]; R] {
        products(simd, levels, panels)
    }

    #[inline(always)]
    fn multiply_pairs<const R: usize, const C: usize>(
        simd: Portable<Self>,
        rows: [&[[i16; 2]]; R],
        panels: [&[[i16; 2 * LANES]]; C],
    ) -> [[[i32; LANES]; C]; R] {
        products_of_pairs(simd, rows, panels)
    }
}

/// Loops in plain Rust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain;

impl Loops for Plain {}

impl Portable<Plain> {
    /// What every machine has.
    pub(crate) const PLAIN: Self = Self(Plain);
}

impl<L: Loops> Portable<L> {
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }
}

/// A float of this size has no fraction bits: adding and taking it away rounds, halves to even.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

impl<L: Loops> Simd for Portable<L> {
    type F = [f32; LANES];
    type Sums = [i32; LANES];
    type Weights = [i8; 4 * LANES];
    type Pairs = [i16; 2 * LANES];

    const OFFSET: i32 = 0;
    const ROWS: usize = 4;
    const PANELS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, values: &[f32; LANES]) -> Self::F {
        *values
    }

    #[inline(always)]
    fn load_levels(self, levels: &[i8; LANES]) -> Self::F {
        lanewise(|i| f32::from(levels[i]))
    }

    #[inline(always)]
    fn store(self, v: Self::F, values: &mut [f32; LANES]) {
        *values = v;
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| a[i] / b[i])
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::suboptimal_flops,
        reason = "the product is exact in double precision, so that one rounding is left, as in the instruction that others have"
    )]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanewise(|i| (f64::from(a[i]) * f64::from(b[i]) + f64::from(c[i])) as f32)
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        lanewise(|i| v[i] + ROUNDER - ROUNDER)
    }

    #[inline(always)]
    fn power_of_two(self, v: Self::F) -> Self::F {
        // The rounder's last bits hold the whole number; the exponent's bias is 127.
        lanewise(|i| f32::from_bits((v[i] + (ROUNDER + 127.0)).to_bits() << 23))
    }

    #[inline(always)]
    fn max_magnitude(self, a: Self::F, b: Self::F) -> Self::F {
        lanewise(|i| f32::from_bits(a[i].abs().to_bits().max(b[i].abs().to_bits())))
    }

    #[inline(always)]
    fn beyond(self, v: Self::F, limits: Self::F) -> u16 {
        let mut bits = 0;
        for i in (0..LANES).rev() {
            bits = bits << 1 | u16::from(v[i].abs() > limits[i]);
        }
        bits
    }

    #[inline(always)]
    fn store_levels(self, v: Self::F, levels: &mut [u8; LANES]) {
        for (level, value) in levels.iter_mut().zip(v) {
            *level = (value + ROUNDER).to_bits().to_le_bytes()[0];
        }
    }

    #[inline(always)]
    fn store_words(self, v: Self::F, words: &mut [i16; LANES]) {
        for (word, value) in words.iter_mut().zip(v) {
            let [low, high, ..] = (value + ROUNDER).to_bits().to_le_bytes();
            *word = i16::from_le_bytes([low, high]);
        }
    }

    #[inline(always)]
    fn no_sums(self) -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    fn weights(self, levels: &[i8; 4 * LANES]) -> Self::Weights {
        *levels
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums {
        let row = row.map(|level| i32::from(level.cast_signed()));
        for (sum, column) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
            let column = column.map(i32::from);
            *sum +=
                row[0] * column[0] + row[1] * column[1] + row[2] * column[2] + row[3] * column[3];
        }
        sums
    }

    #[inline(always)]
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs {
        *levels
    }

    #[inline(always)]
    fn dot_pairs(self, mut sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums {
        let row = row.map(i32::from);
        for (sum, column) in sums.iter_mut().zip(pairs.as_chunks::<2>().0) {
            let column = column.map(i32::from);
            // Only what is not a number has levels whose sums overflow.
            *sum = sum.wrapping_add(row[0] * column[0]).wrapping_add(row[1] * column[1]);
        }
        sums
    }

    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        self,
        levels: &[u8],
        panels: [&[[i8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        L::multiply(self, levels, panels)
    }

    #[inline(always)]
    fn multiply_pairs<const R: usize, const C: usize>(
        self,
        rows: [&[[i16; 2]]; R],
        panels: [&[[i16; 2 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        L::multiply_pairs(self, rows, panels)
    }

    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "rounding to the next float is meant")]
    fn finish(self, sums: Self::Sums, corrections: &[i32; LANES]) -> Self::F {
        lanewise(|i| sums[i].wrapping_sub(corrections[i]) as f32)
    }
}

#[inline(always)]
fn lanewise(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = f(i);
    }
    lanes
}
