//! Cross-attention in blocks: every row of one modality attends to every row of the other, and no matrix of rows by rows
//! exists at any time (Rabe and Staats, arXiv 2112.05682).

use super::pooling::Pooling;
use super::rows::RowStore;
use crate::error::Result;

/// Sizes of one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Queries or keys of one block.
    pub(super) block: usize,
    /// Values of one row.
    pub(super) width: usize,
    /// Attention heads; they share the width.
    pub(super) heads: usize,
}

/// One block of queries against one block of keys, as the graphs `cross_*` return it.
#[derive(Debug)]
pub(super) struct Partial {
    /// Sum over keys of `exp(score - maximum) * value`, `[heads, block, width / heads]`.
    pub(super) numerator: Box<[f32]>,
    /// Largest score, `[heads, block]`.
    pub(super) maximum: Box<[f32]>,
    /// Sum over keys of `exp(score - maximum)`, `[heads, block]`.
    pub(super) sum: Box<[f32]>,
}

/// One block of queries with what they attended to, as the graphs `finish_*` return it.
#[derive(Debug)]
pub(super) struct Finished {
    /// Cross-attended rows, `[block, width]`.
    pub(super) rows: Box<[f32]>,
    /// Their pooling scores, `[block]`.
    pub(super) scores: Box<[f32]>,
}

/// Buffers of blocked cross-attention.
#[derive(Debug)]
pub(super) struct CrossAttention {
    shape: Shape,
    query_rows: Box<[f32]>,
    key_rows: Box<[f32]>,
    bias: Box<[f32]>,
    partial: Partial,
    merged: Partial,
    attended: Box<[f32]>,
    finished: Finished,
}

/// Added to the scores of keys that do not exist.
const PADDING: f32 = -1e9;

impl CrossAttention {
    pub(super) fn new(shape: Shape) -> Self {
        let rows = || vec![0.0; shape.block * shape.width].into_boxed_slice();
        let column = |n: usize| vec![0.0; n * shape.block].into_boxed_slice();
        let partial = || Partial {
            numerator: rows(),
            maximum: column(shape.heads),
            sum: column(shape.heads),
        };
        Self {
            shape,
            query_rows: rows(),
            key_rows: rows(),
            bias: column(1),
            partial: partial(),
            merged: partial(),
            attended: rows(),
            finished: Finished { rows: rows(), scores: column(1) },
        }
    }

    /// Bytes of heap that the buffers take.
    pub(super) const fn heap_bytes(Shape { block, width, heads }: Shape) -> usize {
        size_of::<f32>() * block * (6 * width + 4 * heads + 2)
    }

    /// Lets the rows of `queries` attend to those of `keys` and adds the results to `pooling`.
    ///
    /// `attend(query rows, key rows, bias, partial)` is the graph `cross_*`, `finish(attended, query rows, finished)` the
    /// graph `finish_*`. Without keys the rows attend to nothing, which adds zeros.
    pub(super) fn pool(
        &mut self,
        queries: &RowStore,
        keys: &RowStore,
        mut attend: impl FnMut(&[f32], &[f32], &[f32], &mut Partial) -> Result<()>,
        mut finish: impl FnMut(&[f32], &[f32], &mut Finished) -> Result<()>,
        pooling: &mut Pooling,
    ) -> Result<()> {
        let Shape { block, width, .. } = self.shape;
        let query_blocks = queries.values().chunks(block * width).zip(queries.rows().chunks(block));
        for (query_values, query_rows) in query_blocks {
            fill_padded(&mut self.query_rows, query_values);
            self.merged.clear();
            for (key_values, key_rows) in
                keys.values().chunks(block * width).zip(keys.rows().chunks(block))
            {
                fill_padded(&mut self.key_rows, key_values);
                self.bias.fill(PADDING);
                for (bias, row) in self.bias.iter_mut().zip(key_rows) {
                    *bias = log_size(row.size);
                }
                attend(&self.query_rows, &self.key_rows, &self.bias, &mut self.partial)?;
                self.merged.merge(&self.partial);
            }
            self.merged.attended(self.shape, &mut self.attended);
            finish(&self.attended, &self.query_rows, &mut self.finished)?;
            let finished = self.finished.rows.chunks_exact(width).zip(&self.finished.scores);
            for ((row, score), query) in finished.zip(query_rows) {
                pooling.push(row, f64::from(*score) + f64::from(query.size).ln());
            }
        }
        Ok(())
    }
}

impl Partial {
    /// No keys.
    fn clear(&mut self) {
        self.numerator.fill(0.0);
        self.maximum.fill(f32::NEG_INFINITY);
        self.sum.fill(0.0);
    }

    /// Adds the keys of `other`, by online softmax.
    fn merge(&mut self, other: &Self) {
        let depth = self.numerator.len() / self.maximum.len();
        let numerators =
            self.numerator.chunks_exact_mut(depth).zip(other.numerator.chunks_exact(depth));
        for (i, (ours, theirs)) in numerators.enumerate() {
            let maximum = self.maximum[i].max(other.maximum[i]);
            let our_share = (self.maximum[i] - maximum).exp();
            let their_share = (other.maximum[i] - maximum).exp();
            for (our, their) in ours.iter_mut().zip(theirs) {
                *our = *our * our_share + their * their_share;
            }
            self.sum[i] = self.sum[i] * our_share + other.sum[i] * their_share;
            self.maximum[i] = maximum;
        }
    }

    /// Numerators over sums, heads side by side: `[block, width]`. Zeros where there was no key.
    fn attended(&self, shape: Shape, attended: &mut [f32]) {
        let depth = shape.width / shape.heads;
        for (i, (numerator, sum)) in self.numerator.chunks_exact(depth).zip(&self.sum).enumerate() {
            let (head, query) = (i / shape.block, i % shape.block);
            let share = if *sum > 0.0 { 1.0 / sum } else { 0.0 };
            let place = &mut attended[query * shape.width + head * depth..][..depth];
            for (value, numerator) in place.iter_mut().zip(numerator) {
                *value = numerator * share;
            }
        }
    }
}

/// Copies `values` and sets the rest to 0.
fn fill_padded(buffer: &mut [f32], values: &[f32]) {
    let (head, tail) = buffer.split_at_mut(values.len());
    head.copy_from_slice(values);
    tail.fill(0.0);
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
fn log_size(size: u32) -> f32 {
    f64::from(size).ln() as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are computed without rounding")]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

    use super::{CrossAttention, Finished, Partial, Shape};
    use crate::error::Result;
    use crate::fusion::pooling::Pooling;
    use crate::fusion::rows::RowStore;

    const SHAPE: Shape = Shape { block: 3, width: 4, heads: 2 };
    const DEPTH: usize = 2;

    /// Attention whose queries, keys and values are the rows themselves, one block as a `cross_*` graph computes it.
    #[expect(clippy::unnecessary_wraps, reason = "stands for a graph, which can fail")]
    fn attend(queries: &[f32], keys: &[f32], bias: &[f32], partial: &mut Partial) -> Result<()> {
        for head in 0..SHAPE.heads {
            for q in 0..SHAPE.block {
                let at =
                    |rows: &[f32], i: usize, d: usize| rows[i * SHAPE.width + head * DEPTH + d];
                let score = |k: usize| {
                    (0..DEPTH).map(|d| at(queries, q, d) * at(keys, k, d)).sum::<f32>()
                        / (DEPTH as f32).sqrt()
                        + bias[k]
                };
                let maximum = (0..SHAPE.block).map(score).fold(f32::NEG_INFINITY, f32::max);
                let weights: Vec<f32> =
                    (0..SHAPE.block).map(|k| (score(k) - maximum).exp()).collect();
                let i = head * SHAPE.block + q;
                partial.maximum[i] = maximum;
                partial.sum[i] = weights.iter().sum();
                for d in 0..DEPTH {
                    partial.numerator[i * DEPTH + d] =
                        (0..SHAPE.block).map(|k| weights[k] * at(keys, k, d)).sum();
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "stands for a graph, which can fail")]
    fn finish(attended: &[f32], rows: &[f32], finished: &mut Finished) -> Result<()> {
        for (i, value) in finished.rows.iter_mut().enumerate() {
            *value = rows[i] + 2.0 * attended[i];
        }
        for (score, row) in finished.scores.iter_mut().zip(finished.rows.chunks_exact(SHAPE.width))
        {
            *score = row[0] - 0.5 * row[3];
        }
        Ok(())
    }

    /// All queries against all keys at once, in f64: the softmax written out.
    fn pooled_naively(queries: &RowStore, keys: &RowStore) -> Vec<f64> {
        let wide =
            |store: &RowStore| store.values().iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let (q, k) = (wide(queries), wide(keys));
        let mut c = q.clone();
        for (i, query) in q.chunks_exact(SHAPE.width).enumerate() {
            for head in 0..SHAPE.heads {
                let of_head = |row: &[f64], d: usize| row[head * DEPTH + d];
                let weights: Vec<f64> = k
                    .chunks_exact(SHAPE.width)
                    .zip(keys.rows())
                    .map(|(key, row)| {
                        let dot: f64 =
                            (0..DEPTH).map(|d| of_head(query, d) * of_head(key, d)).sum();
                        (dot / (DEPTH as f64).sqrt()).exp() * f64::from(row.size)
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                for (key, weight) in k.chunks_exact(SHAPE.width).zip(&weights) {
                    for d in 0..DEPTH {
                        c[i * SHAPE.width + head * DEPTH + d] +=
                            2.0 * weight / sum * of_head(key, d);
                    }
                }
            }
        }
        let rows = c.chunks_exact(SHAPE.width).zip(queries.rows());
        let weights: Vec<f64> = rows
            .clone()
            .map(|(row, info)| (row[0] - 0.5 * row[3]).exp() * f64::from(info.size))
            .collect();
        let sum: f64 = weights.iter().sum();
        (0..SHAPE.width)
            .map(|d| rows.clone().zip(&weights).map(|((row, _), w)| row[d] * w / sum).sum())
            .collect()
    }

    fn store(rows: &[[f32; 4]], n_max: usize) -> RowStore {
        let mut store = RowStore::new(n_max, SHAPE.width);
        rows.iter().for_each(|row| store.push(row, 0.0, None));
        store
    }

    fn pooled_in_blocks(
        cross: &mut CrossAttention,
        queries: &RowStore,
        keys: &RowStore,
    ) -> [f32; 4] {
        let mut pooling = Pooling::new(SHAPE.width);
        cross.pool(queries, keys, attend, finish, &mut pooling).unwrap();
        let mut pooled = [f32::NAN; 4];
        pooling.pooled(&mut pooled);
        pooled
    }

    #[test]
    fn rows_attend_to_nothing_where_the_other_modality_is_absent() {
        let queries = store(&[[1.0, 2.0, 3.0, 4.0]], 8);
        let mut cross = CrossAttention::new(SHAPE);
        pooled_in_blocks(&mut cross, &queries, &store(&[[9.0; 4]], 8)); // leaves its numbers in the buffers
        assert_eq!(pooled_in_blocks(&mut cross, &queries, &store(&[], 8)), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn no_queries_pool_to_zeros() {
        let pooled = pooled_in_blocks(
            &mut CrossAttention::new(SHAPE),
            &store(&[], 8),
            &store(&[[1.0; 4]], 8),
        );
        assert_eq!(pooled, [0.0; 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn blocks_equal_the_softmax_over_all_rows(
            queries in prop::collection::vec([-2.0_f32..2.0, -2.0_f32..2.0, -2.0_f32..2.0, -2.0_f32..2.0], 1..20),
            keys in prop::collection::vec([-2.0_f32..2.0, -2.0_f32..2.0, -2.0_f32..2.0, -2.0_f32..2.0], 1..20),
            merged in any::<bool>(),
        ) {
            let n_max = if merged { 7 } else { 32 };
            let (queries, keys) = (store(&queries, n_max), store(&keys, n_max));
            let pooled = pooled_in_blocks(&mut CrossAttention::new(SHAPE), &queries, &keys);
            for (ours, naive) in pooled.iter().zip(pooled_naively(&queries, &keys)) {
                prop_assert!((f64::from(*ours) - naive).abs() < 1e-4, "{ours} and {naive}");
            }
        }
    }
}
