//! How one row is rounded.

use super::Rounding;
use crate::simd::{LANES, Simd, in_pairs};

/// Values beyond so many times the root mean square of their row are cut.
const CUT: f32 = 6.0;

/// How one row is rounded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowScale {
    /// What a level is worth: 0 for a row of zeros, NaN for one that holds what is not a number.
    pub(crate) level: f32,
    /// What a level of what is left is worth; 0 where nothing is kept of it.
    pub(crate) fine_level: f32,
    /// Levels a unit.
    factor: f32,
    /// Values beyond leave something; below 0 for all values.
    cut: f32,
}

impl RowScale {
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a row's width is a small whole number")]
    pub(crate) fn of<S: Simd>(simd: S, row: &[f32], rounding: Rounding) -> Self {
        let (chunks, rest) = row.as_chunks::<LANES>();
        let rest = simd.load_first(rest);
        // Four of each, so that none waits for itself.
        let mut largest = [simd.max_magnitude(simd.splat(0.0), rest); 4];
        let mut squares = [simd.splat(0.0); 4];
        // Not fused, so that every path cuts at the same value.
        squares[0] = simd.mul(rest, rest);
        let (fours, last) = chunks.as_chunks::<4>();
        for four in fours {
            for i in 0..4 {
                let x = simd.load(&four[i]);
                largest[i] = simd.max_magnitude(largest[i], x);
                squares[i] = simd.add(squares[i], simd.mul(x, x));
            }
        }
        for ((largest, squares), chunk) in largest.iter_mut().zip(&mut squares).zip(last) {
            let x = simd.load(chunk);
            *largest = simd.max_magnitude(*largest, x);
            *squares = simd.add(*squares, simd.mul(x, x));
        }
        let [a, b, c, d] = largest;
        let largest = simd.max_magnitude(simd.max_magnitude(a, b), simd.max_magnitude(c, d));
        let squares = in_pairs(simd, squares);
        let largest = simd.largest_magnitude(largest);
        if !largest.is_finite() {
            return Self { level: f32::NAN, fine_level: 0.0, factor: 0.0, cut: f32::INFINITY };
        }
        let cut = CUT * (simd.sum(squares) / row.len() as f32).sqrt();
        let cut = if rounding == Rounding::BeyondCut && cut < largest { cut } else { largest };
        let level = cut / 127.0;
        let factor = level.recip();
        if !factor.is_finite() {
            return Self { level: 0.0, fine_level: 0.0, factor: 0.0, cut: f32::INFINITY };
        }
        let (fine_level, cut) = match rounding {
            Rounding::Once => (0.0, cut),
            Rounding::BeyondCut => ((largest - cut) / 127.0, cut),
            Rounding::Twice => (level / 254.0, -1.0),
        };
        let fine_level = if fine_level.recip().is_finite() { fine_level } else { 0.0 };
        Self { level, fine_level, factor, cut }
    }

    /// Stores the levels of row `i` of a tile of `count` rows.
    #[inline(always)]
    pub(crate) fn store<S: Simd>(
        &self,
        simd: S,
        row: &[f32],
        i: usize,
        count: usize,
        tile: &mut [u8],
    ) {
        let (chunks, rest) = row.as_chunks::<LANES>();
        let factor = simd.splat(self.factor);
        let (least, most) = (simd.splat(-127.0), simd.splat(127.0));
        // Without a closure, which would be compiled without the instruction set.
        let mut places = tile.chunks_exact_mut(4 * count);
        let padded = simd.load_first(rest);
        for chunk in 0..row.len().div_ceil(LANES) {
            let x = match chunks.get(chunk) {
                Some(chunk) => simd.load(chunk),
                None => padded,
            };
            let x = simd.max(simd.min(simd.mul(x, factor), most), least);
            let mut levels = [0; LANES];
            simd.store_levels(x, &mut levels);
            for (four, place) in levels.as_chunks::<4>().0.iter().zip(&mut places) {
                place[4 * i..4 * i + 4].copy_from_slice(four);
            }
        }
    }

    /// Marks the places of the values beyond the cut.
    #[inline(always)]
    pub(super) fn mark<S: Simd>(&self, simd: S, row: &[f32], marks: &mut [u16]) {
        let cut = simd.splat(self.cut);
        for (mark, values) in marks.iter_mut().zip(row.chunks(LANES)) {
            *mark |= simd.beyond(simd.load_first(values), cut);
        }
    }

    /// Stores the levels of what is left of 16 values: nothing of four that are all within the cut.
    #[inline(always)]
    pub(super) fn store_left<S: Simd>(&self, simd: S, x: S::F, levels: &mut [u8; LANES]) {
        let [nothing, ..] = S::OFFSET.to_le_bytes();
        let marks = if self.fine_level > 0.0 { simd.beyond(x, simd.splat(self.cut)) } else { 0 };
        if marks == 0 {
            *levels = [nothing; LANES];
            return;
        }
        let (least, most) = (simd.splat(-127.0), simd.splat(127.0));
        let coarse = simd.mul(x, simd.splat(self.factor));
        let coarse = simd.round(simd.max(simd.min(coarse, most), least));
        // Not fused, so that it is what the oracle has.
        let left = simd.sub(x, simd.mul(coarse, simd.splat(self.level)));
        let left = simd.div(left, simd.splat(self.fine_level));
        simd.store_levels(simd.max(simd.min(left, most), least), levels);
        for (four, levels) in levels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            if !is_marked(marks, four) {
                *levels = [nothing; 4];
            }
        }
    }
}

/// Whether one of four values in a row is marked.
pub(super) const fn is_marked(marks: u16, four: usize) -> bool {
    marks >> (4 * four) & 15 != 0
}
