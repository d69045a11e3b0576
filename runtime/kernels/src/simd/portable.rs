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
        panels: [&[[u8; 4 * LANES]]; C],
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
    type Weights = [u8; 4 * LANES];
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
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanewise(|i| fused(a[i], b[i], c[i]))
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
    fn weights(self, levels: &[u8; 4 * LANES]) -> Self::Weights {
        *levels
    }

    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums {
        let row = row.map(|level| i32::from(level.cast_signed()));
        for (sum, column) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
            let column = column.map(|level| i32::from(level.cast_signed()));
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
        panels: [&[[u8; 4 * LANES]]; C],
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

/// `a b + c`, rounded once: the product is exact in 64 bits, and the sum is rounded to odd there, so that rounding it again to 32 bits
/// gives the number next to it (Boldo and Melquiond 2008, "Emulation of a FMA and correctly rounded sums"). `f32::mul_add` is a
/// call for each value where the processor has no instruction for it.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let of_c = sum - product;
    let lost = (product - (sum - of_c)) + (c - of_c);
    let bits = sum.to_bits();
    // What is lost of infinity is no number.
    let is_even = bits & 1 == 0 && lost.abs() > 0.0;
    let odd = if (lost > 0.0) == (sum > 0.0) { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f64::from_bits(if is_even { odd } else { bits }) as f32
}

#[cfg(test)]
#[expect(
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::suboptimal_flops,
    reason = "of numbers to the bit"
)]
mod tests {
    use super::fused;

    /// Numbers of many sizes, the product and the sum of which cancel, or meet half-way between two.
    fn numbers() -> impl Iterator<Item = [f32; 3]> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut bits = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            [(state >> 32) as u32, state as u32]
        };
        (0..400_000).map(move |i| {
            let [a, b] = bits();
            let [c, d] = bits();
            let sized = |bits: u32, size: u32| f32::from_bits(bits & 0x807f_ffff | size << 23);
            let (x, y) = (sized(a, 90 + d % 70), sized(b, 90 + d / 70 % 70));
            let near = (f64::from(x) * f64::from(y)) as f32;
            match i % 4 {
                0 => [x, y, sized(c, 60 + d / 4900 % 130)],
                1 => [x, y, -near],
                2 => [x, y, near * sized(c & 0x80ff_ffff, 127 + 24 - d % 3)],
                _ => [
                    sized(a & 0xff80_0fff, 100 + d % 50),
                    sized(b & 0xff80_0fff, 120),
                    sized(c, 110 + d % 30),
                ],
            }
        })
    }

    #[test]
    fn a_product_and_a_sum_are_rounded_once() {
        let failed =
            numbers().find(|[a, b, c]| fused(*a, *b, *c).to_bits() != a.mul_add(*b, *c).to_bits());
        assert_eq!(failed, None);
        // A sum so little below the middle of two numbers that 64 bits take it for the middle.
        let (a, b) = (1.0 + 2.0_f32.powi(-15), (1.0 - 2.0_f32.powi(-15)) * 2.0_f32.powi(-24));
        let c = 1.0 + f32::EPSILON;
        let twice = (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
        assert_eq!([fused(a, b, c), twice], [c, c + f32::EPSILON]);
    }

    #[test]
    fn what_is_no_finite_number_passes() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for [a, b, c] in [
            [inf, 2.0, 1.0],
            [1.0, 2.0, -inf],
            [f32::MAX, f32::MAX, 1.0],
            [inf, 1.0, -inf],
            [nan, 1.0, 1.0],
            [0.0, -1.0, 0.0],
            [1e-30, 1e-30, 1e-45],
        ] {
            let (found, expected) = (fused(a, b, c), a.mul_add(b, c));
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{a} {b} {c}: {found}"
            );
        }
    }
}
