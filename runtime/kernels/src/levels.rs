//! Rows of floats as int8 levels, laid out in the order in which tiles of a product read them, and that product.
//!
//! A level is a 127th of the row's largest value, or, for a linear layer, of six times its root mean square where that is less:
//! the few values beyond are cut there, and what the cut leaves of them is quantised once more. So one channel that is tens of
//! times as large as the rest, as transformers have them, does not round the rest away. Where rows are few, what rounding leaves
//! of every value is quantised once more: a product of few rows waits for its weights anyway.

mod row;

pub(crate) use self::row::RowScale;
use self::row::is_marked;
use crate::layer_norm::LayerNorm;
use crate::linear::Rows;
use crate::simd::{LANES, Simd};

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
                    out.copy_from_slice(tile.row(i));
                    norm.row(simd, out);
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

/// Rows of the next tile where `left` are left. A tile of a few rows waits for its own sums: three take as long as one.
#[inline(always)]
pub(crate) fn tile_rows<S: Simd>(left: usize) -> usize {
    match left {
        _ if left >= S::ROWS => S::ROWS,
        8.. => 8,
        4.. => 4,
        _ => left,
    }
}

/// Sums of products of `R` rows of levels and `C` panels.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const R: usize, const C: usize>(
    simd: S,
    levels: &[u8],
    panels: [&[u8]; C],
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
    panels: [&[u8]; C],
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
