//! Sixteen lanes of arithmetic, the same on every instruction set.
//!
//! A kernel is written once over [`Simd`]. A vector has 16 lanes whatever the width of the machine's registers (one, two, four
//! or sixteen of them), so that sums are taken in one order everywhere.

#[cfg(all(target_arch = "arm", target_os = "linux"))]
pub(crate) mod armv7_neon;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx_vnni;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon_dot;
pub(crate) mod portable;

/// Lanes of a vector, and columns of a panel of packed weights.
pub(crate) const LANES: usize = 16;

/// Arithmetic of one instruction set. A value of the type is the proof that this machine has it.
pub(crate) trait Simd: Copy {
    /// 16 floats.
    type F: Copy;
    /// 16 sums of products of int8, however the instruction set splits them.
    type Sums: Copy;
    /// Four int8 levels of 16 columns.
    type Weights: Copy;
    /// Two int16 levels of 16 columns.
    type Pairs: Copy;

    /// What [`Simd::store_levels`] adds to a level, modulo 256: sums carry this many times the sum of their weights.
    const OFFSET: i32;
    /// Rows of a tile, of 12, 8, 6, 4 and 2: what the registers hold with [`Simd::PANELS`] panels.
    const ROWS: usize;
    /// Panels of a tile, 1 or 2.
    const PANELS: usize;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::F;
    /// The 16 values.
    fn load(self, values: &[f32; LANES]) -> Self::F;
    /// The 16 whole numbers as floats.
    fn load_levels(self, levels: &[i8; LANES]) -> Self::F;
    /// Writes the 16 lanes.
    fn store(self, v: Self::F, values: &mut [f32; LANES]);
    /// `a + b`
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once. Where the instruction set cannot, double precision comes next to it: it differs where a sum
    /// falls within a 2^29th of the middle between two floats.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger; `b` where either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; `b` where either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The whole number next to each lane, halves to even. Lanes are below 2^22 in magnitude.
    fn round(self, v: Self::F) -> Self::F;
    /// 2 to the power of each lane, a whole number from -126 to 127.
    fn power_of_two(self, v: Self::F) -> Self::F;
    /// The larger of the bits of both without their signs, as floats: infinity beats all numbers, NaN beats infinity.
    fn max_magnitude(self, a: Self::F, b: Self::F) -> Self::F;
    /// The lanes that are larger in magnitude than those of `limits`, as bits, the first lane's the lowest.
    fn beyond(self, v: Self::F, limits: Self::F) -> u16;
    /// Lanes rounded to whole numbers from -127 to 127, halves to even, as bytes with [`Simd::OFFSET`] added.
    fn store_levels(self, v: Self::F, levels: &mut [u8; LANES]);

    /// Lanes rounded to whole numbers, halves to even, that int16 holds.
    fn store_words(self, v: Self::F, words: &mut [i16; LANES]);

    /// No products yet.
    fn no_sums(self) -> Self::Sums;
    /// Four levels of 16 columns, column by column, a signed byte each.
    fn weights(self, levels: &[u8; 4 * LANES]) -> Self::Weights;
    /// Adds to the sum of each column the products of its four levels with the four levels of one row, as stored.
    fn dot(self, sums: Self::Sums, row: [u8; 4], weights: Self::Weights) -> Self::Sums;
    /// The difference of two sums; those of [`Simd::OFFSET`] 0 have nothing to take away.
    #[inline(always)]
    fn less(self, sums: Self::Sums, _others: Self::Sums) -> Self::Sums {
        sums
    }
    /// Two levels of 16 columns, column by column.
    fn pairs(self, levels: &[i16; 2 * LANES]) -> Self::Pairs;
    /// Adds to the sum of each column the products of its two levels with the two levels of one row.
    fn dot_pairs(self, sums: Self::Sums, row: [i16; 2], pairs: Self::Pairs) -> Self::Sums;
    /// Sums of the products of `R` rows of levels, four of each row at a step, and `C` panels.
    #[inline(always)]
    fn multiply<const R: usize, const C: usize>(
        self,
        levels: &[u8],
        panels: [&[[u8; 4 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        products(self, levels, panels)
    }
    /// Sums of the products of `R` rows of int16 and `C` panels of as many steps.
    #[inline(always)]
    fn multiply_pairs<const R: usize, const C: usize>(
        self,
        rows: [&[[i16; 2]]; R],
        panels: [&[[i16; 2 * LANES]]; C],
    ) -> [[Self::Sums; C]; R] {
        products_of_pairs(self, rows, panels)
    }
    /// The finished sums less `corrections`, as floats.
    fn finish(self, sums: Self::Sums, corrections: &[i32; LANES]) -> Self::F;

    /// The first 16 values of a slice, or all of fewer and zeros behind them.
    #[inline(always)]
    fn load_first(self, values: &[f32]) -> Self::F {
        if let Some(values) = values.first_chunk() {
            return self.load(values);
        }
        let mut all = [0.0; LANES];
        for (lane, value) in all.iter_mut().zip(values) {
            *lane = *value;
        }
        self.load(&all)
    }

    /// Writes the first lanes, as many as the slice holds, 16 at most.
    #[inline(always)]
    fn store_first(self, v: Self::F, values: &mut [f32]) {
        if let Some(values) = values.first_chunk_mut() {
            return self.store(v, values);
        }
        let all = self.lanes(v);
        for (value, lane) in values.iter_mut().zip(all) {
            *value = lane;
        }
    }

    /// The lanes as an array.
    #[inline(always)]
    fn lanes(self, v: Self::F) -> [f32; LANES] {
        let mut all = [0.0; LANES];
        self.store(v, &mut all);
        all
    }

    /// Sum of the lanes, halves folded onto each other.
    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        fold(self.lanes(v), |a, b| a + b)
    }

    /// The largest of what [`Simd::max_magnitude`] gave, in its order: as bits, so that NaN wins.
    #[inline(always)]
    fn largest_magnitude(self, v: Self::F) -> f32 {
        let mut bits = 0;
        for lane in self.lanes(v) {
            bits = lane.to_bits().max(bits);
        }
        f32::from_bits(bits)
    }

    /// The largest lane, no lane being NaN.
    #[inline(always)]
    fn largest(self, v: Self::F) -> f32 {
        fold(self.lanes(v), |a, b| if a > b { a } else { b })
    }
}

/// Evaluates an expression for a tile of `$count` rows, as one of the numbers that [`crate::levels::tile_rows`] gives on `$S`; in
/// the expression the number is a constant.
macro_rules! for_rows {
    ($S:ident, $count:expr, |$R:ident| $call:expr) => {
        match $count {
            12 if $S::ROWS == 12 => {
                const $R: usize = 12;
                $call
            }
            8 if $S::ROWS >= 8 => {
                const $R: usize = 8;
                $call
            }
            6 if $S::ROWS == 6 => {
                const $R: usize = 6;
                $call
            }
            4 if $S::ROWS >= 4 => {
                const $R: usize = 4;
                $call
            }
            3 if $S::ROWS >= 3 => {
                const $R: usize = 3;
                $call
            }
            2 if $S::ROWS >= 2 => {
                const $R: usize = 2;
                $call
            }
            _ => {
                const $R: usize = 1;
                $call
            }
        }
    };
}
pub(crate) use for_rows;

/// [`Simd::multiply`] step by step.
#[inline(always)]
fn products<S: Simd, const R: usize, const C: usize>(
    simd: S,
    levels: &[u8],
    mut panels: [&[[u8; 4 * LANES]]; C],
) -> [[S::Sums; C]; R] {
    let mut sums = [[simd.no_sums(); C]; R];
    // In step with all panels, so that no bound is checked.
    for rows in levels.chunks_exact(4 * R) {
        let rows = rows.as_chunks::<4>().0;
        let mut weights = [simd.weights(&[0; 4 * LANES]); C];
        for c in 0..C {
            let Some((four, rest)) = panels[c].split_first() else { return sums };
            (weights[c], panels[c]) = (simd.weights(four), rest);
        }
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = simd.dot(sums[r][c], rows[r], weights[c]);
            }
        }
    }
    sums
}

/// [`Simd::multiply_pairs`] step by step.
#[inline(always)]
fn products_of_pairs<S: Simd, const R: usize, const C: usize>(
    simd: S,
    rows: [&[[i16; 2]]; R],
    panels: [&[[i16; 2 * LANES]]; C],
) -> [[S::Sums; C]; R] {
    let mut sums = [[simd.no_sums(); C]; R];
    for step in 0..panels[0].len() {
        let mut pairs = [simd.pairs(&panels[0][step]); C];
        for c in 1..C {
            pairs[c] = simd.pairs(&panels[c][step]);
        }
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = simd.dot_pairs(sums[r][c], rows[r][step], pairs[c]);
            }
        }
    }
    sums
}

/// The sum of four vectors.
#[inline(always)]
pub(crate) fn in_pairs<S: Simd>(simd: S, [a, b, c, d]: [S::F; 4]) -> S::F {
    simd.add(simd.add(a, b), simd.add(c, d))
}

#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES], op: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = op(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// A pair of levels as the bits of one lane.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn of_pair([first, second]: [i16; 2]) -> i32 {
    i32::from(second) << 16 | i32::from(first.cast_unsigned())
}

/// A kernel with its arguments, to be run on one instruction set.
pub(crate) trait Kernel {
    /// Runs it. Implementations are `#[inline(always)]`: they become part of a function that has the instruction set.
    fn run<S: Simd>(self, simd: S);
}
