//! Rows of floats as int8 levels, laid out in the order in which tiles of a product read them.

use crate::linear::Rows;
use crate::simd::{LANES, Simd};

/// Quantised rows: tile after tile, of each four levels of its first row, of its second, and so on, then the next four.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    levels: Vec<u8>,
    scales: Vec<f32>,
}

/// Some rows that are multiplied together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Number of its first row.
    pub(crate) first: usize,
    /// The levels, a multiple of four times its rows.
    pub(crate) levels: &'a [u8],
    /// What one level of each row is worth; NaN for a row that holds what is not a number.
    pub(crate) scales: &'a [f32],
}

impl Levels {
    pub(crate) fn bytes(&self) -> usize {
        self.levels.capacity() + 4 * self.scales.capacity()
    }

    /// Quantises `rows` for tiles of [`tile_rows`].
    #[inline(always)]
    pub(crate) fn quantise<S: Simd>(&mut self, simd: S, rows: Rows<'_>) {
        let width = rows.width.next_multiple_of(4);
        self.levels.resize(rows.count * width, 0);
        self.scales.resize(rows.count, 0.0);
        let mut first = 0;
        while first < rows.count {
            let count = tile_rows::<S>(rows.count - first);
            let tile = &mut self.levels[first * width..(first + count) * width];
            for i in 0..count {
                self.scales[first + i] = quantise_row(simd, rows.row(first + i), i, count, tile);
            }
            first += count;
        }
    }

    /// The tiles of `rows` rows that were quantised, first to last.
    #[inline(always)]
    pub(crate) fn tiles<S: Simd>(&self, rows: usize) -> impl Iterator<Item = Tile<'_>> {
        let width = self.levels.len() / rows.max(1);
        let mut first = 0;
        std::iter::from_fn(move || {
            let count = tile_rows::<S>(rows - first);
            let tile = (count > 0).then(|| Tile {
                first,
                levels: &self.levels[first * width..(first + count) * width],
                scales: &self.scales[first..first + count],
            });
            first += count;
            tile
        })
    }
}

/// Rows of the next tile where `left` are left.
#[inline(always)]
pub(crate) fn tile_rows<S: Simd>(left: usize) -> usize {
    match left {
        _ if left >= S::ROWS => S::ROWS,
        4.. => 4,
        1.. => 1,
        0 => 0,
    }
}

/// Writes the levels of one row to its places in a tile of `count` rows and returns what a level is worth.
#[inline(always)]
fn quantise_row<S: Simd>(simd: S, row: &[f32], i: usize, count: usize, tile: &mut [u8]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut largest = simd.splat(0.0);
    for chunk in chunks {
        largest = simd.max_magnitude(largest, simd.load(chunk));
    }
    largest = simd.max_magnitude(largest, simd.load_first(rest));
    // Folded as bits, so that NaN wins here too.
    let largest =
        f32::from_bits(simd.lanes(largest).iter().fold(0, |bits, lane| bits.max(lane.to_bits())));
    let (factor, scale) = if !largest.is_finite() {
        (0.0, f32::NAN)
    } else if largest < 127.0 / f32::MAX {
        (0.0, 0.0)
    } else {
        (127.0 / largest, largest / 127.0)
    };
    let factor = simd.splat(factor);
    let mut levels = [0; LANES];
    let mut places = tile.chunks_exact_mut(4 * count);
    for chunk in chunks {
        simd.store_levels(simd.mul(simd.load(chunk), factor), &mut levels);
        for (four, place) in levels.as_chunks::<4>().0.iter().zip(&mut places) {
            place[4 * i..4 * i + 4].copy_from_slice(four);
        }
    }
    if !rest.is_empty() {
        simd.store_levels(simd.mul(simd.load_first(rest), factor), &mut levels);
        for (four, place) in levels.as_chunks::<4>().0.iter().zip(places) {
            place[4 * i..4 * i + 4].copy_from_slice(four);
        }
    }
    scale
}
