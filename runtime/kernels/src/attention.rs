//! Multi-head attention without a matrix of all scores: keys in blocks, softmax merged from block to block (Milakov and
//! Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022, "`FlashAttention`").

use crate::Scratch;
use crate::error::ShapeError;
use crate::exponential::exp_of_negative;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Simd};

/// Keys of a block: they and their values stay in the nearest cache while all queries go by.
const BLOCK: usize = 64;
/// Queries of a tile.
const ROWS: usize = 6;
/// A key whose bias is so much below the largest is left out: its weight is below e^-5000 unless scores are as large.
const MASKED: f32 = 5000.0;

/// `softmax(scale q k' + bias) v` for each head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Heads that divide the width.
    pub heads: usize,
    /// Factor of the scores.
    pub scale: f32,
}

/// What attention is computed from. Q queries, N keys, D width; a head has D / heads columns of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionInputs<'a> {
    /// `[Q, D]`
    pub query: &'a [f32],
    /// `[N, D]`
    pub key: &'a [f32],
    /// `[N, D]`
    pub value: &'a [f32],
    /// Added to the scores of each key, `[N]`: 0, or far below for a key that is masked.
    pub bias: &'a [f32],
}

/// Working memory: of one head, and of one block of its keys.
#[derive(Debug, Default)]
pub(crate) struct Working {
    /// Numbers of the keys that are not masked.
    kept: Vec<usize>,
    /// Scaled queries, `[Q, head]`.
    queries: Vec<f32>,
    /// Panels of 16 keys, `[head, 16]` each.
    keys: Vec<f32>,
    /// `[keys, head rounded up to 16]`
    values: Vec<f32>,
    /// Sums of values, `[Q, head rounded up to 16]`.
    sums: Vec<f32>,
    /// Largest score of each query so far, and the sum of its weights relative to that.
    maxima: Vec<f32>,
    totals: Vec<f32>,
}

impl Working {
    pub(crate) fn bytes(&self) -> usize {
        let floats =
            [&self.queries, &self.keys, &self.values, &self.sums, &self.maxima, &self.totals];
        size_of::<usize>() * self.kept.capacity()
            + 4 * floats.iter().map(|values| values.capacity()).sum::<usize>()
    }
}

impl Attention {
    /// Writes `out`, `[Q, D]`.
    ///
    /// # Errors
    /// Slices of lengths that do not fit each other.
    pub fn apply(
        self,
        isa: Isa,
        inputs: AttentionInputs<'_>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let keys = inputs.bias.len();
        let width = inputs.key.len() / keys.max(1);
        let heads = self.heads.max(1);
        ShapeError::check("width of all heads", width / heads * heads, width)?;
        ShapeError::check("values of all keys", inputs.key.len(), keys * width)?;
        ShapeError::check("values", inputs.value.len(), inputs.key.len())?;
        let queries = out.len() / width.max(1);
        ShapeError::check("outputs of all queries", out.len(), queries * width)?;
        ShapeError::check("queries", inputs.query.len(), out.len())?;
        let head = width / heads;
        isa.run(Apply {
            attention: self,
            inputs,
            width,
            head,
            out,
            working: &mut scratch.attention,
        });
        Ok(())
    }
}

struct Apply<'a> {
    attention: Attention,
    inputs: AttentionInputs<'a>,
    width: usize,
    head: usize,
    out: &'a mut [f32],
    working: &'a mut Working,
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let largest = self.inputs.bias.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let masked = largest - MASKED;
        self.working.kept.clear();
        // A bias that is no number is kept, so that it shows.
        let kept = |(_, bias): &(usize, &f32)| {
            !matches!(bias.partial_cmp(&&masked), Some(std::cmp::Ordering::Less))
        };
        self.working.kept.extend(self.inputs.bias.iter().enumerate().filter(kept).map(|(i, _)| i));
        for head in 0..self.attention.heads {
            self.head(simd, head * self.head);
        }
    }
}

impl Apply<'_> {
    /// The head whose columns begin at `column`.
    #[inline(always)]
    fn head<S: Simd>(&mut self, simd: S, column: usize) {
        let columns = column..column + self.head;
        let padded = self.head.next_multiple_of(LANES);
        let queries = self.out.len() / self.width.max(1);
        let Working { kept, queries: scaled, keys, values, sums, maxima, totals } =
            &mut *self.working;
        scaled.clear();
        for query in self.inputs.query.chunks_exact(self.width.max(1)) {
            scaled.extend(query[columns.clone()].iter().map(|x| x * self.attention.scale));
        }
        sums.clear();
        sums.resize(queries * padded, 0.0);
        maxima.clear();
        maxima.resize(queries, f32::NEG_INFINITY);
        totals.clear();
        totals.resize(queries, 0.0);
        keys.resize(BLOCK * self.head, 0.0);
        values.resize(BLOCK * padded, 0.0);
        for numbers in kept.chunks(BLOCK) {
            for (j, &number) in numbers.iter().enumerate() {
                let at = number * self.width + column;
                let panel = &mut keys[j / LANES * LANES * self.head + j % LANES..];
                for (place, x) in
                    panel.iter_mut().step_by(LANES).zip(&self.inputs.key[at..at + self.head])
                {
                    *place = *x;
                }
                values[j * padded..j * padded + self.head]
                    .copy_from_slice(&self.inputs.value[at..at + self.head]);
            }
            let mut bias = [f32::NEG_INFINITY; BLOCK];
            for (place, &number) in bias.iter_mut().zip(numbers) {
                *place = self.inputs.bias[number];
            }
            let block = Block { head: self.head, count: numbers.len(), keys, values, bias: &bias };
            let mut first = 0;
            while first < queries {
                let count = match queries - first {
                    ROWS.. => ROWS,
                    2.. => 2,
                    _ => 1,
                };
                let tile = Tile {
                    queries: &scaled[first * self.head..(first + count) * self.head],
                    sums: &mut sums[first * padded..(first + count) * padded],
                    maxima: &mut maxima[first..first + count],
                    totals: &mut totals[first..first + count],
                };
                match count {
                    ROWS => block.merge::<S, ROWS>(simd, tile),
                    2 => block.merge::<S, 2>(simd, tile),
                    _ => block.merge::<S, 1>(simd, tile),
                }
                first += count;
            }
        }
        for ((row, sums), total) in self
            .out
            .chunks_exact_mut(self.width.max(1))
            .zip(sums.chunks_exact(padded.max(1)))
            .zip(totals)
        {
            for (y, sum) in row[columns.clone()].iter_mut().zip(sums) {
                *y = sum / *total;
            }
        }
    }
}

/// Keys and values of one block.
struct Block<'a> {
    head: usize,
    count: usize,
    keys: &'a [f32],
    values: &'a [f32],
    bias: &'a [f32; BLOCK],
}

/// Some queries, and what they gathered from the blocks before.
struct Tile<'a> {
    queries: &'a [f32],
    sums: &'a mut [f32],
    maxima: &'a mut [f32],
    totals: &'a mut [f32],
}

impl Block<'_> {
    /// Adds this block to what `R` queries gathered.
    #[inline(always)]
    fn merge<S: Simd, const R: usize>(&self, simd: S, tile: Tile<'_>) {
        let mut scores = [[0.0; BLOCK]; R];
        let panels = self.count.div_ceil(LANES);
        let mut panel = 0;
        while panel < panels {
            if S::FLOAT_PANELS == 4 && panel + 4 <= panels {
                self.scores::<S, R, 4>(simd, tile.queries, panel, &mut scores);
                panel += 4;
            } else {
                self.scores::<S, R, 1>(simd, tile.queries, panel, &mut scores);
                panel += 1;
            }
        }
        let mut factors = [0.0; LANES];
        for r in 0..R {
            let mut largest = simd.splat(tile.maxima[r]);
            for scores in scores[r].as_chunks::<LANES>().0.iter().take(panels) {
                largest = simd.max(simd.load(scores), largest);
            }
            let largest = simd.largest(largest);
            factors[r] = tile.maxima[r] - largest;
            tile.maxima[r] = largest;
        }
        let factors = simd.lanes(exp_of_negative(simd, simd.load(&factors)));
        for r in 0..R {
            let largest = simd.splat(tile.maxima[r]);
            let mut total = simd.splat(0.0);
            for (p, scores) in
                scores[r].as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(panels)
            {
                let weights = exp_of_negative(simd, simd.sub(simd.load(scores), largest));
                simd.store(weights, scores);
                if (p + 1) * LANES > self.count {
                    scores[self.count - p * LANES..].fill(0.0);
                }
                total = simd.add(total, simd.load(scores));
            }
            tile.totals[r] = tile.totals[r] * factors[r] + simd.sum(total);
        }
        let padded = self.head.next_multiple_of(LANES);
        let mut column = 0;
        while column < padded {
            if S::FLOAT_PANELS == 4 && column + 4 * LANES <= padded {
                self.weigh::<S, R, 4>(simd, &scores, &factors, column, tile.sums);
                column += 4 * LANES;
            } else if S::FLOAT_PANELS == 4 && column + 2 * LANES <= padded {
                self.weigh::<S, R, 2>(simd, &scores, &factors, column, tile.sums);
                column += 2 * LANES;
            } else {
                self.weigh::<S, R, 1>(simd, &scores, &factors, column, tile.sums);
                column += LANES;
            }
        }
    }

    /// Scores of `R` queries and `C` panels of keys, `panel` the first.
    #[inline(always)]
    fn scores<S: Simd, const R: usize, const C: usize>(
        &self,
        simd: S,
        queries: &[f32],
        panel: usize,
        scores: &mut [[f32; BLOCK]; R],
    ) {
        let mut sums = [[simd.splat(0.0); C]; R];
        let mut keys = [[].as_slice(); C];
        for c in 0..C {
            keys[c] =
                &self.keys[(panel + c) * LANES * self.head..].as_chunks::<LANES>().0[..self.head];
        }
        let mut rows = [[].as_slice(); R];
        for r in 0..R {
            rows[r] = &queries[r * self.head..(r + 1) * self.head];
        }
        for d in 0..self.head {
            let mut key = [simd.splat(0.0); C];
            for c in 0..C {
                key[c] = simd.load(&keys[c][d]);
            }
            for r in 0..R {
                let query = simd.splat(rows[r][d]);
                for c in 0..C {
                    sums[r][c] = simd.fma(query, key[c], sums[r][c]);
                }
            }
        }
        for c in 0..C {
            let at = (panel + c) * LANES;
            if let Some(bias) = self.bias[at..].first_chunk() {
                let bias = simd.load(bias);
                for r in 0..R {
                    if let Some(place) = scores[r][at..].first_chunk_mut() {
                        simd.store(simd.add(sums[r][c], bias), place);
                    }
                }
            }
        }
    }

    /// Adds the weighted values of `C` times 16 columns, `column` the first, to the sums so far times their factors.
    #[inline(always)]
    fn weigh<S: Simd, const R: usize, const C: usize>(
        &self,
        simd: S,
        weights: &[[f32; BLOCK]; R],
        factors: &[f32; LANES],
        column: usize,
        all: &mut [f32],
    ) {
        let padded = self.head.next_multiple_of(LANES);
        let mut sums = [[simd.splat(0.0); C]; R];
        for r in 0..R {
            let factor = simd.splat(factors[r]);
            let so_far = all[r * padded + column..].as_chunks::<LANES>().0;
            for c in 0..C {
                sums[r][c] = simd.mul(simd.load(&so_far[c]), factor);
            }
        }
        for (j, values) in self.values.chunks_exact(padded).take(self.count).enumerate() {
            let values = &values[column..].as_chunks::<LANES>().0[..C];
            let mut value = [simd.splat(0.0); C];
            for c in 0..C {
                value[c] = simd.load(&values[c]);
            }
            for r in 0..R {
                let weight = simd.splat(weights[r][j]);
                for c in 0..C {
                    sums[r][c] = simd.fma(weight, value[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            let places = all[r * padded + column..].as_chunks_mut::<LANES>().0;
            for c in 0..C {
                simd.store(sums[r][c], &mut places[c]);
            }
        }
    }
}
