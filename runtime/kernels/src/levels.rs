//! Rows of floats as int8 levels, laid out in the order in which tiles of a product read them, and that product.
//!
//! A level is a 127th of the row's largest value, or, for a linear layer, of six times its root mean square where that is less:
//! the few values beyond are cut there, and what the cut leaves of them is quantised once more. So one channel that is tens of
//! times as large as the rest, as transformers have them, does not round the rest away. Where rows are few, what rounding leaves
//! of every value is quantised once more: a product of few rows waits for its weights anyway.

use crate::layer_norm::LayerNorm;
use crate::linear::Rows;
use crate::simd::{LANES, Simd};

/// Values beyond so many times the root mean square of their row are cut.
const CUT: f32 = 6.0;
/// Up to so many rows are quantised twice all over.
const FEW_ROWS: usize = 8;

/// Rows of the largest tile of all instruction sets.
const MOST_ROWS: usize = 12;

/// More inputs could overflow a sum of 32 bits.
pub(crate) const MOST_INPUTS: usize = 1 << 16;

/// What is done about what rounding leaves of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Nothing: no value is cut.
    Once,
    /// Those beyond the cut are quantised once more.
    BeyondCut,
    /// All are.
    Twice,
}

impl Rounding {
    /// That of a linear layer of so many rows.
    pub(crate) const fn of_rows(count: usize) -> Self {
        if count <= FEW_ROWS { Self::Twice } else { Self::BeyondCut }
    }
}

/// Quantised rows, tile after tile.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    coarse: Vec<u8>,
    scales: Vec<RowScale>,
    /// Of each tile, the steps at which some row leaves something.
    steps: Vec<usize>,
    /// The levels of that at those steps.
    fine: Vec<u8>,
    /// Where in `steps` each tile ends.
    ends: Vec<usize>,
    /// Of one tile, the places in each 16 values at which some row has one beyond its cut, as bits.
    marks: Vec<u16>,
    /// The rows of one tile, normalised.
    normalised: Vec<f32>,
}

/// Some rows that are multiplied together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Number of its first row.
    pub(crate) first: usize,
    /// At each step four levels of each row, row after row.
    pub(crate) coarse: &'a [u8],
    /// How each row was rounded.
    pub(crate) scales: &'a [RowScale],
    /// The steps at which there is more, and at each of them four finer levels of each row.
    pub(crate) steps: &'a [usize],
    pub(crate) fine: &'a [u8],
}

impl Levels {
    pub(crate) fn bytes(&self) -> usize {
        self.coarse.capacity()
            + self.fine.capacity()
            + 2 * self.marks.capacity()
            + 4 * self.normalised.capacity()
            + size_of::<RowScale>() * self.scales.capacity()
            + size_of::<usize>() * (self.steps.capacity() + self.ends.capacity())
    }

    /// Quantises `rows`, normalised first where there is a norm, for tiles of [`tile_rows`].
    #[inline(always)]
    pub(crate) fn quantise<S: Simd>(
        &mut self,
        simd: S,
        rows: Rows<'_>,
        norm: Option<&LayerNorm>,
        rounding: Rounding,
    ) {
        let steps = rows.width.div_ceil(4);
        self.coarse.resize(4 * rows.count * steps, 0);
        self.scales.clear();
        self.steps.clear();
        self.fine.clear();
        self.ends.clear();
        let mut first = 0;
        while first < rows.count {
            let count = tile_rows::<S>(rows.count - first);
            let tile = rows.some(first, count);
            if let Some(norm) = norm {
                let mut normalised = std::mem::take(&mut self.normalised);
                normalised.resize(count * rows.width, 0.0);
                for (i, out) in normalised.chunks_exact_mut(rows.width.max(1)).enumerate() {
                    norm.row(simd, tile.row(i), out);
                }
                let tile = Rows { values: &normalised, stride: rows.width, ..tile };
                self.quantise_tile(simd, tile, first, rounding);
                self.normalised = normalised;
            } else {
                self.quantise_tile(simd, tile, first, rounding);
            }
            first += count;
        }
    }

    /// Quantises the rows of one tile, the first of which is number `first` of all.
    #[inline(always)]
    fn quantise_tile<S: Simd>(
        &mut self,
        simd: S,
        rows: Rows<'_>,
        first: usize,
        rounding: Rounding,
    ) {
        let steps = rows.width.div_ceil(4);
        let tile = &mut self.coarse[4 * first * steps..4 * (first + rows.count) * steps];
        self.marks.clear();
        self.marks.resize(rows.width.div_ceil(LANES), 0);
        let mut is_marked = false;
        for i in 0..rows.count {
            let row = rows.row(i);
            let scale = RowScale::of(simd, row, rounding);
            scale.store(simd, row, i, rows.count, tile);
            if scale.fine_level > 0.0 {
                scale.mark(simd, row, &mut self.marks);
                is_marked = true;
            }
            self.scales.push(scale);
        }
        if is_marked {
            self.quantise_left(simd, rows, first);
        }
        self.ends.push(self.steps.len());
    }

    /// Quantises what is left of the rows of a tile at the steps of its marks.
    #[inline(always)]
    fn quantise_left<S: Simd>(&mut self, simd: S, rows: Rows<'_>, first: usize) {
        const { assert!(S::ROWS <= MOST_ROWS) };
        let steps = rows.width.div_ceil(4);
        let scales = &self.scales[first..];
        let mut levels = [[0; LANES]; MOST_ROWS];
        for (chunk, &marks) in self.marks.iter().enumerate() {
            if marks == 0 {
                continue;
            }
            for (i, (scale, levels)) in scales.iter().zip(&mut levels).enumerate() {
                let values = &rows.row(i)[chunk * LANES..];
                scale.store_left(simd, simd.load_first(values), levels);
            }
            for four in (0..4).filter(|four| is_marked(marks, *four) && 4 * chunk + four < steps) {
                self.steps.push(4 * chunk + four);
                for levels in &levels[..scales.len()] {
                    self.fine.extend_from_slice(&levels[4 * four..4 * four + 4]);
                }
            }
        }
    }

    /// The tiles of `rows` rows that were quantised, first to last.
    #[inline(always)]
    pub(crate) fn tiles<S: Simd>(&self, rows: usize) -> impl Iterator<Item = Tile<'_>> {
        let width = self.coarse.len() / rows.max(1);
        let (mut first, mut begin, mut fine) = (0, 0, 0);
        self.ends.iter().map(move |&end| {
            let count = tile_rows::<S>(rows - first);
            let fine_end = fine + 4 * count * (end - begin);
            let tile = Tile {
                first,
                coarse: &self.coarse[first * width..(first + count) * width],
                scales: &self.scales[first..first + count],
                steps: &self.steps[begin..end],
                fine: &self.fine[fine..fine_end],
            };
            (first, begin, fine) = (first + count, end, fine_end);
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
        let mut largest = simd.max_magnitude(simd.splat(0.0), rest);
        // Not fused, so that every path cuts at the same value.
        let mut squares = simd.mul(rest, rest);
        for chunk in chunks {
            let x = simd.load(chunk);
            largest = simd.max_magnitude(largest, x);
            squares = simd.add(squares, simd.mul(x, x));
        }
        // Folded as bits, so that NaN wins here too.
        let bits = |bits: u32, lane: &f32| bits.max(lane.to_bits());
        let largest = f32::from_bits(simd.lanes(largest).iter().fold(0, bits));
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
    fn mark<S: Simd>(&self, simd: S, row: &[f32], marks: &mut [u16]) {
        let cut = simd.splat(self.cut);
        for (mark, values) in marks.iter_mut().zip(row.chunks(LANES)) {
            *mark |= simd.beyond(simd.load_first(values), cut);
        }
    }

    /// Stores the levels of what is left of 16 values: nothing of four that are all within the cut.
    #[inline(always)]
    fn store_left<S: Simd>(&self, simd: S, x: S::F, levels: &mut [u8; LANES]) {
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
const fn is_marked(marks: u16, four: usize) -> bool {
    marks >> (4 * four) & 15 != 0
}

/// Sums of products of `R` rows of levels and `C` panels.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const R: usize, const C: usize>(
    simd: S,
    levels: &[u8],
    panels: [&[i8]; C],
) -> [[S::Sums; C]; R] {
    let steps = levels.len() / (4 * R);
    let mut fours = [[].as_slice(); C];
    for c in 0..C {
        fours[c] = &panels[c].as_chunks::<{ 4 * LANES }>().0[..steps];
    }
    simd.multiply(levels, fours)
}

/// The same of the finer levels, at the steps that have them, without what levels are stored with.
#[inline(always)]
pub(crate) fn multiply_steps<S: Simd, const R: usize, const C: usize>(
    simd: S,
    tile: Tile<'_>,
    panels: [&[i8]; C],
) -> [[S::Sums; C]; R] {
    if S::OFFSET == 0 && tile.fine.len() == tile.coarse.len() {
        return multiply(simd, tile.fine, panels);
    }
    let mut sums = [[simd.no_sums(); C]; R];
    let mut offsets = [simd.no_sums(); C];
    let zeros = [S::OFFSET.to_le_bytes()[0]; 4];
    for (&step, rows) in tile.steps.iter().zip(tile.fine.chunks_exact(4 * R)) {
        let rows = rows.as_chunks::<4>().0;
        for c in 0..C {
            let weights = simd.weights(&panels[c].as_chunks::<{ 4 * LANES }>().0[step]);
            for r in 0..R {
                sums[r][c] = simd.dot(sums[r][c], rows[r], weights);
            }
            if S::OFFSET != 0 {
                offsets[c] = simd.dot(offsets[c], zeros, weights);
            }
        }
    }
    for row in &mut sums {
        for (sums, offset) in row.iter_mut().zip(offsets) {
            *sums = simd.less(*sums, offset);
        }
    }
    sums
}
