//! Keys and values of one head as whole numbers, laid out in the order in which tiles read them.

use crate::levels::{Rounding, RowScale};
use crate::linear::Rows;
use crate::simd::{LANES, Simd};
use crate::words::factor_and_scale;

/// The keys that count, in panels of 16, and their values, in panels of 16 columns.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// Of a panel, four levels of each key, then the next four, a signed byte each.
    pub(super) keys: Vec<u8>,
    /// What a level of each key is worth.
    pub(super) scales: Vec<[f32; LANES]>,
    /// What a product with each key has too much: [`Simd::OFFSET`] times the sum of the key's levels.
    pub(super) corrections: Vec<[i32; LANES]>,
    /// Of each key, times log2 e; -infinity behind the last.
    pub(super) bias: Vec<[f32; LANES]>,
    /// Of a panel, the levels of the first two keys of each column, then of the next two.
    pub(super) values: Vec<i16>,
    /// What a level of each column is worth.
    pub(super) value_scales: Vec<[f32; LANES]>,
    /// A panel of keys as [`Simd::store_levels`] writes it.
    stored: Vec<u8>,
}

impl Packed {
    pub(super) fn bytes(&self) -> usize {
        let lanes = [&self.scales, &self.bias, &self.value_scales].map(Vec::capacity);
        self.keys.capacity()
            + 2 * self.values.capacity()
            + 4 * LANES * (lanes.iter().sum::<usize>() + self.corrections.capacity())
            + self.stored.capacity()
    }

    /// Takes the bias of the keys with the numbers `kept`.
    pub(super) fn bias(&mut self, bias: &[f32], kept: &[usize]) {
        self.bias.clear();
        self.bias.extend(kept.chunks(LANES).map(|numbers| {
            let mut panel = [f32::NEG_INFINITY; LANES];
            for (place, &number) in panel.iter_mut().zip(numbers) {
                *place = bias[number] * std::f32::consts::LOG2_E;
            }
            panel
        }));
    }

    /// Packs the keys with the numbers `kept`.
    #[inline(always)]
    pub(super) fn keys<S: Simd>(&mut self, simd: S, rows: Rows<'_>, kept: &[usize]) {
        let Self { keys, scales, corrections, stored, .. } = self;
        stored.resize(LANES * rows.width.next_multiple_of(4), 0);
        keys.clear();
        keys.reserve_exact(kept.len().div_ceil(LANES) * stored.len());
        scales.clear();
        corrections.clear();
        for numbers in kept.chunks(LANES) {
            let mut scale = [0.0; LANES];
            for (lane, (&number, scale)) in numbers.iter().zip(&mut scale).enumerate() {
                let row = rows.row(number);
                let row_scale = RowScale::of(simd, row, Rounding::Once);
                row_scale.store(simd, row, lane, LANES, stored);
                *scale = row_scale.level;
            }
            scales.push(scale);
            let first = keys.len();
            let [offset, ..] = S::OFFSET.to_le_bytes();
            keys.extend(stored.iter().map(|level| level.wrapping_sub(offset)));
            let mut correction = [0; LANES];
            for fours in keys[first..].as_chunks::<{ 4 * LANES }>().0 {
                for (sum, levels) in correction.iter_mut().zip(fours.as_chunks::<4>().0) {
                    let [a, b, c, d] = levels.map(|level| i32::from(level.cast_signed()));
                    *sum += S::OFFSET * (a + b + c + d);
                }
            }
            corrections.push(correction);
        }
    }

    /// Packs the values of the keys with the numbers `kept`.
    #[inline(always)]
    pub(super) fn values<S: Simd>(&mut self, simd: S, rows: Rows<'_>, kept: &[usize]) {
        let panel = LANES * kept.len().next_multiple_of(LANES);
        self.value_scales.clear();
        self.values.resize(rows.width.div_ceil(LANES) * panel, 0);
        for (panel, first) in
            self.values.chunks_exact_mut(panel).zip((0..rows.width).step_by(LANES))
        {
            let mut largest = simd.splat(0.0);
            for &number in kept {
                largest = simd.max_magnitude(largest, simd.load_first(&rows.row(number)[first..]));
            }
            let (mut factors, mut scales) = ([0.0; LANES], [0.0; LANES]);
            for ((factor, scale), largest) in
                factors.iter_mut().zip(&mut scales).zip(simd.lanes(largest))
            {
                (*factor, *scale) = factor_and_scale(largest);
            }
            self.value_scales.push(scales);
            let factors = simd.load(&factors);
            let (places, _) = panel.as_chunks_mut::<{ 2 * LANES }>();
            let mut pairs = kept.chunks(2);
            for place in places {
                let mut levels = [[0; LANES]; 2];
                for (&number, levels) in pairs.next().unwrap_or_default().iter().zip(&mut levels) {
                    simd.store_words(
                        simd.mul(simd.load_first(&rows.row(number)[first..]), factors),
                        levels,
                    );
                }
                for (pair, (a, b)) in
                    place.as_chunks_mut::<2>().0.iter_mut().zip(levels[0].iter().zip(&levels[1]))
                {
                    *pair = [*a, *b];
                }
            }
        }
    }
}
