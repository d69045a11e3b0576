//! Some queries against all keys of a head, block after block.

use std::ops::Range;

use crate::attention::packed::Packed;
use crate::exponential::exp2;
use crate::levels::{Tile, multiply};
use crate::simd::{LANES, Simd};

/// Keys of a block, as many as products of weights and values have room for in a sum of 32 bits: 256 * 4096 * 2047 < 2^31.
const BLOCK: usize = 256;
/// Weights are whole multiples of 2^-12 of the largest so far.
const WEIGHT_BITS: f32 = 12.0;

/// Working memory of a tile.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Scores of each query and the keys of a block, to the base 2.
    scores: Vec<[f32; BLOCK]>,
    /// Levels of their weights.
    weights: Vec<[i16; BLOCK]>,
    /// Sums of products of levels of weights and values, of each panel of columns query by query.
    sums: Vec<[f32; LANES]>,
}

impl Gathered {
    pub(super) fn bytes(&self) -> usize {
        BLOCK * (4 * self.scores.capacity() + 2 * self.weights.capacity())
            + 4 * LANES * self.sums.capacity()
    }
}

/// Attention of one head to its packed keys.
pub(super) struct Gather<'a> {
    pub(super) packed: &'a Packed,
    pub(super) gathered: &'a mut Gathered,
    /// Factor of the scores.
    pub(super) scale: f32,
}

impl Gather<'_> {
    /// Writes the head's columns of a tile of `R` queries; each of `rows` begins with them.
    #[inline(always)]
    pub(super) fn tile<'a, S: Simd, const R: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
        rows: impl Iterator<Item = &'a mut [f32]>,
    ) {
        let Gathered { scores, weights, sums } = &mut *self.gathered;
        scores.resize(S::ROWS, [0.0; BLOCK]);
        weights.resize(S::ROWS, [0; BLOCK]);
        sums.clear();
        sums.resize(R * self.packed.value_scales.len(), [0.0; LANES]);
        let mut maxima = [f32::NEG_INFINITY; R];
        let mut totals = [0.0; R];
        let panels = self.packed.bias.len();
        for first in (0..panels).step_by(BLOCK / LANES) {
            let block = first..panels.min(first + BLOCK / LANES);
            let largest = self.scores::<S, R>(simd, tile, block.clone());
            let mut factors = [0.0; LANES];
            for r in 0..R {
                let largest = simd.largest(simd.max(largest[r], simd.splat(maxima[r])));
                factors[r] = maxima[r] - largest;
                maxima[r] = largest;
            }
            let factors = simd.lanes(exp2(simd, simd.load(&factors)));
            for r in 0..R {
                let total = self.weights(simd, r, maxima[r], block.len());
                totals[r] = totals[r] * factors[r] + total;
            }
            self.weigh::<S, R>(simd, block, &factors);
        }
        for (r, row) in rows.take(R).enumerate() {
            let total = simd.splat(totals[r].recip());
            let sums = self.gathered.sums.iter().skip(r).step_by(R);
            for ((place, sums), scales) in
                row.chunks_mut(LANES).zip(sums).zip(&self.packed.value_scales)
            {
                let y = simd.mul(simd.load(sums), simd.mul(simd.load(scales), total));
                simd.store_first(y, place);
            }
        }
    }

    /// Writes the scores of the panels `block` of keys and returns the largest of each query, lane by lane.
    #[inline(always)]
    fn scores<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
        block: Range<usize>,
    ) -> [S::F; R] {
        let mut largest = [simd.splat(f32::NEG_INFINITY); R];
        let mut panel = block.start;
        while panel < block.end {
            let at = panel - block.start;
            if S::PANELS == 2 && panel + 2 <= block.end {
                self.score::<S, R, 2>(simd, tile, [panel, at], &mut largest);
                panel += 2;
            } else {
                self.score::<S, R, 1>(simd, tile, [panel, at], &mut largest);
                panel += 1;
            }
        }
        largest
    }

    /// Scores of `C` panels of keys, `panel` the first, which is number `at` of its block.
    #[inline(always)]
    fn score<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
        [panel, at]: [usize; 2],
        largest: &mut [S::F; R],
    ) {
        let length = tile.coarse.len() / R * LANES;
        let mut panels = [[].as_slice(); C];
        for c in 0..C {
            panels[c] = &self.packed.keys[(panel + c) * length..(panel + c + 1) * length];
        }
        let sums = multiply::<S, R, C>(simd, tile.coarse, panels);
        let corrections = &self.packed.corrections[panel..panel + C];
        let mut scales = [simd.splat(0.0); C];
        let mut bias = [simd.splat(0.0); C];
        for c in 0..C {
            scales[c] = simd.load(&self.packed.scales[panel + c]);
            bias[c] = simd.load(&self.packed.bias[panel + c]);
        }
        let rows = &mut self.gathered.scores[..R];
        for r in 0..R {
            let scale = simd.splat(tile.scales[r].level * (self.scale * std::f32::consts::LOG2_E));
            let places = &mut rows[r].as_chunks_mut::<LANES>().0[at..at + C];
            for c in 0..C {
                let factor = simd.mul(scales[c], scale);
                let scores = simd.fma(simd.finish(sums[r][c], &corrections[c]), factor, bias[c]);
                largest[r] = simd.max(scores, largest[r]);
                simd.store(scores, &mut places[c]);
            }
        }
    }

    /// Turns the scores of query `r` and some panels of keys into weights relative to a score, and returns their sum.
    #[inline(always)]
    fn weights<S: Simd>(&mut self, simd: S, r: usize, largest: f32, panels: usize) -> f32 {
        let scores = self.gathered.scores[r].as_chunks::<LANES>().0;
        let weights = self.gathered.weights[r].as_chunks_mut::<LANES>().0;
        let one = simd.splat(largest - WEIGHT_BITS);
        let mut total = simd.splat(0.0);
        for (scores, weights) in scores.iter().zip(weights).take(panels) {
            let levels = exp2(simd, simd.sub(simd.load(scores), one));
            simd.store_words(levels, weights);
            total = simd.add(total, levels);
        }
        simd.sum(total)
    }

    /// Adds the weighted values of a block to the sums so far times their factors.
    #[inline(always)]
    fn weigh<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        block: Range<usize>,
        factors: &[f32; LANES],
    ) {
        let columns = self.packed.value_scales.len();
        let mut column = 0;
        while column < columns {
            if S::PANELS == 2 && column + 2 <= columns {
                self.weigh_columns::<S, R, 2>(simd, block.clone(), factors, column);
                column += 2;
            } else {
                self.weigh_columns::<S, R, 1>(simd, block.clone(), factors, column);
                column += 1;
            }
        }
    }

    /// The same for `C` panels of columns, `column` the first.
    #[inline(always)]
    fn weigh_columns<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        block: Range<usize>,
        factors: &[f32; LANES],
        column: usize,
    ) {
        let steps = block.len() * LANES / 2;
        let panel = self.packed.bias.len() * LANES / 2;
        let values = self.packed.values.as_chunks::<{ 2 * LANES }>().0;
        let mut columns = [[].as_slice(); C];
        for c in 0..C {
            let first = (column + c) * panel + block.start * LANES / 2;
            columns[c] = &values[first..first + steps];
        }
        let mut rows = [[].as_slice(); R];
        for r in 0..R {
            rows[r] = &self.gathered.weights[r].as_chunks::<2>().0[..steps];
        }
        let sums = simd.multiply_pairs(rows, columns);
        let all = &mut self.gathered.sums[column * R..(column + C) * R];
        for r in 0..R {
            let factor = simd.splat(factors[r]);
            for c in 0..C {
                let so_far = &mut all[c * R + r];
                let sums = simd.finish(sums[r][c], &[0; LANES]);
                simd.store(simd.fma(simd.load(so_far), factor, sums), so_far);
            }
        }
    }
}
