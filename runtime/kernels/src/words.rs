//! Rows of floats as levels of 12 bits, in whole numbers of 16.

use crate::linear::Rows;
use crate::simd::portable::ROUNDER;
use crate::simd::{LANES, Simd};

/// The largest level, so that the sums of the products of a block have room in 32 bits.
const LEVELS: f32 = 2047.0;

/// Working memory: rows as levels.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Row after row, each in pairs, zeros behind its last.
    pub(crate) levels: Vec<[i16; 2]>,
    /// What a level of each row is worth.
    pub(crate) scales: Vec<f32>,
}

impl Words {
    pub(crate) fn bytes(&self) -> usize {
        4 * (self.levels.capacity() + self.scales.capacity())
    }

    /// Quantises `rows`.
    #[inline(always)]
    pub(crate) fn quantise<S: Simd>(&mut self, simd: S, rows: Rows<'_>) {
        let Self { levels, scales } = self;
        // Whole vectors are written.
        let width = rows.width.next_multiple_of(LANES) / 2;
        levels.resize(rows.count * width, [0; 2]);
        scales.clear();
        for (r, places) in levels.chunks_exact_mut(width.max(1)).enumerate() {
            let row = rows.row(r);
            let mut largest = simd.splat(0.0);
            for values in row.chunks(LANES) {
                largest = simd.max_magnitude(largest, simd.load_first(values));
            }
            let (factor, scale) = factor_and_scale(simd.largest_magnitude(largest));
            scales.push(scale);
            let factor = simd.splat(factor);
            let (words, _) = places.as_flattened_mut().as_chunks_mut();
            for (words, values) in words.iter_mut().zip(row.chunks(LANES)) {
                simd.store_words(simd.mul(simd.load_first(values), factor), words);
            }
        }
        scales.resize(rows.count, 0.0); // those of rows without values
    }
}

/// By what values of at most `largest` in magnitude are multiplied to become levels, and what a level is worth: 0 for zeros,
/// NaN for what is not a number.
#[inline(always)]
pub(crate) fn factor_and_scale(largest: f32) -> (f32, f32) {
    let level = largest / LEVELS;
    if !largest.is_finite() {
        (0.0, f32::NAN)
    } else if !level.recip().is_finite() {
        (0.0, 0.0)
    } else {
        (level.recip(), level)
    }
}

/// The whole number next to a value that [`LEVELS`] bounds, halves to even.
pub(crate) fn level(value: f32) -> i16 {
    let [low, high, ..] = (value + ROUNDER).to_bits().to_le_bytes();
    i16::from_le_bytes([low, high])
}
