//! The projected rows of one modality, at most `n_max` of them.

/// When something was said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeSpan {
    /// Seconds from the start of the recording.
    pub start_s: f64,
    /// Seconds from the start of the recording, at least `start_s`.
    pub end_s: f64,
}

impl TimeSpan {
    /// Seconds.
    #[must_use]
    pub fn middle_s(self) -> f64 {
        f64::midpoint(self.start_s, self.end_s)
    }
}

/// One row that is kept, or several neighbours that were merged into one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When it was said; `None` for untimed cues.
    pub times: Option<TimeSpan>,
    /// How many rows it stands for.
    pub size: u32,
    /// Logarithm of the summed `exp(pooling score)` of the rows it stands for.
    pub logit: f64,
}

/// Projected rows in order of arrival, at most `n_max` of them.
///
/// Beyond `n_max` the two most similar neighbours merge, as in token merging (Bolya et al., arXiv 2210.09461): the row that comes
/// out is their mean by size, and attention adds the logarithm of its size. Memory is allocated and written once, when the store
/// is made.
#[derive(Debug)]
pub struct RowStore {
    width: usize,
    n_max: usize,
    /// `[n_max + 1, width]`: one row more, for the one that makes two merge.
    x: Box<[f32]>,
    rows: Vec<Row>,
    /// Cosine between a row and the next, `[rows - 1]`.
    cosines: Vec<f64>,
    /// Rows pushed.
    pushed: u64,
}

impl RowStore {
    /// A store of at most `n_max` rows of `width` values; `n_max` is at least 1.
    #[must_use]
    pub fn new(n_max: usize, width: usize) -> Self {
        let capacity = n_max + 1;
        Self {
            width,
            n_max,
            // Not zeros, which the system hands out without memory behind them.
            x: vec![f32::NAN; capacity * width].into(),
            rows: Vec::with_capacity(capacity),
            cosines: Vec::with_capacity(capacity),
            pushed: 0,
        }
    }

    /// Bytes of heap that a store takes.
    pub(super) const fn heap_bytes(n_max: usize, width: usize) -> usize {
        (n_max + 1) * (width * size_of::<f32>() + size_of::<Row>() + size_of::<f64>())
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.cosines.clear();
        self.pushed = 0;
    }

    /// The rows kept, in order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The values of the rows kept, `[rows, width]`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.x[..self.rows.len() * self.width]
    }

    /// How many rows were pushed, merged ones counted one by one.
    #[must_use]
    pub const fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Adds `x`, `[width]`, with its pooling score, and merges two neighbours if there are now too many.
    pub fn push(&mut self, x: &[f32], score: f64, times: Option<TimeSpan>) {
        let n = self.rows.len();
        self.x[n * self.width..][..self.width].copy_from_slice(x);
        self.rows.push(Row { times, size: 1, logit: score });
        self.pushed += 1;
        if n > 0 {
            self.cosines.push(self.cosine(n - 1));
        }
        if self.rows.len() > self.n_max {
            self.merge_most_similar();
        }
    }

    fn merge_most_similar(&mut self) {
        let mut first = 0;
        for (i, cosine) in self.cosines.iter().enumerate() {
            if *cosine > self.cosines[first] {
                first = i;
            }
        }
        let (a, b) = (self.rows[first], self.rows[first + 1]);
        let size = a.size.saturating_add(b.size);
        let share = f64::from(b.size) / f64::from(size);
        let (kept, after) = self.x.split_at_mut((first + 1) * self.width);
        for (x, y) in kept[first * self.width..].iter_mut().zip(&after[..self.width]) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounds to the nearest f32, between the two"
            )]
            let mean = (f64::from(*x) * (1.0 - share) + f64::from(*y) * share) as f32;
            *x = mean;
        }
        self.rows[first] =
            Row { times: spanning(a.times, b.times), size, logit: log_add(a.logit, b.logit) };
        self.x.copy_within(
            (first + 2) * self.width..self.rows.len() * self.width,
            (first + 1) * self.width,
        );
        self.rows.remove(first + 1);
        self.cosines.remove(first);
        for i in first.saturating_sub(1)..(first + 1).min(self.cosines.len()) {
            self.cosines[i] = self.cosine(i);
        }
    }

    /// Cosine between row `i` and the next; 0 where one of them is zero.
    fn cosine(&self, i: usize) -> f64 {
        let (a, b) = self.x[i * self.width..][..2 * self.width].split_at(self.width);
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
        };
        let norms = (dot(a, a) * dot(b, b)).sqrt();
        if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
    }
}

/// From the start of the first to the end of the second, whichever order they come in; unknown if one is.
fn spanning(a: Option<TimeSpan>, b: Option<TimeSpan>) -> Option<TimeSpan> {
    let (a, b) = (a?, b?);
    Some(TimeSpan { start_s: a.start_s.min(b.start_s), end_s: a.end_s.max(b.end_s) })
}

/// `ln(exp(a) + exp(b))`
fn log_add(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are computed without rounding")]
mod tests {
    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

    use super::{RowStore, TimeSpan, log_add};

    fn span(start_s: f64, end_s: f64) -> Option<TimeSpan> {
        Some(TimeSpan { start_s, end_s })
    }

    #[test]
    fn the_most_similar_neighbours_merge_by_size() {
        let mut store = RowStore::new(2, 2);
        store.push(&[1.0, 0.0], 0.5, span(0.0, 1.0));
        store.push(&[0.0, 1.0], 1.5, span(1.0, 2.0));
        store.push(&[0.0, 2.0], 2.5, span(3.0, 4.0)); // parallel to the one before
        assert_eq!(store.values(), [1.0, 0.0, 0.0, 1.5]);
        assert_eq!(store.rows()[1].size, 2);
        assert_eq!(store.rows()[1].times, span(1.0, 4.0));
        assert!((store.rows()[1].logit - (1.5_f64.exp() + 2.5_f64.exp()).ln()).abs() < 1e-12);
        store.push(&[0.0, 4.5], 0.0, None);
        assert_eq!(store.values(), [1.0, 0.0, 0.0, 2.5]);
        assert_eq!((store.rows()[1].size, store.rows()[1].times), (3, None));
        assert_eq!(store.pushed(), 4);
    }

    #[test]
    fn of_equally_similar_pairs_the_earlier_merges() {
        let mut store = RowStore::new(3, 1);
        for x in [1.0, 3.0, 5.0, 7.0] {
            store.push(&[x], 0.0, None);
        }
        assert_eq!(store.values(), [2.0, 5.0, 7.0]);
    }

    #[test]
    fn a_store_of_one_row_holds_the_mean() {
        let mut store = RowStore::new(1, 1);
        for x in [1.0, 2.0, 3.0, 6.0] {
            store.push(&[x], 0.0, None);
        }
        assert_eq!((store.values(), store.rows()[0].size), (&[3.0][..], 4));
    }

    #[test]
    fn a_cleared_store_is_as_new() {
        let mut store = RowStore::new(2, 1);
        (0..5).for_each(|_| store.push(&[1.0], 0.0, None));
        store.clear();
        assert_eq!((store.rows().len(), store.values().len(), store.pushed()), (0, 0, 0));
        store.push(&[4.0], 0.0, None);
        assert_eq!(store.values(), [4.0]);
    }

    #[test]
    fn log_add_is_the_logarithm_of_a_sum() {
        for (a, b) in [(0.0_f64, 0.0_f64), (-3.0, 2.0), (700.0, 699.0), (-900.0, 40.0)] {
            let expected: f64 =
                if a > 600.0 { a + (1.0 + (b - a).exp()).ln() } else { (a.exp() + b.exp()).ln() };
            assert!((log_add(a, b) - expected).abs() < 1e-9, "{a} {b}");
        }
    }

    /// Merging done on plain lists, looking at every pair anew.
    fn merged_naively(rows: &[([f32; 3], f64)], n_max: usize) -> Vec<([f64; 3], u32)> {
        let cosine = |a: &[f64; 3], b: &[f64; 3]| {
            let dot = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|d| a[d] * b[d]).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let mut kept: Vec<([f64; 3], u32)> = Vec::new();
        for (x, _) in rows {
            kept.push((x.map(f64::from), 1));
            if kept.len() > n_max {
                let best = (1..kept.len())
                    .map(|i| (i - 1, cosine(&kept[i - 1].0, &kept[i].0)))
                    .reduce(|best, pair| if pair.1 > best.1 { pair } else { best })
                    .unwrap()
                    .0;
                let (b, b_size) = kept.remove(best + 1);
                let (a, a_size) = kept[best];
                let size = a_size + b_size;
                let mean = |d: usize| {
                    (a[d] * f64::from(a_size) + b[d] * f64::from(b_size)) / f64::from(size)
                };
                // As the store rounds.
                #[expect(clippy::cast_possible_truncation, reason = "the store holds f32")]
                let mean = [0, 1, 2].map(|d| f64::from(mean(d) as f32));
                kept[best] = (mean, size);
            }
        }
        kept
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn merging_keeps_rows_times_weight_and_mean(
            rows in prop::collection::vec(([0.1_f32..4.0, -4.0_f32..4.0, -4.0_f32..4.0], -9.0_f64..9.0), 1..60),
            n_max in 1_usize..12,
        ) {
            let mut store = RowStore::new(n_max, 3);
            let mut end = 0.0;
            for (x, score) in &rows {
                store.push(x, *score, span(end, end + 0.5));
                end += 0.75;
            }
            let n = rows.len();
            prop_assert_eq!(store.rows().len(), n.min(n_max));
            prop_assert_eq!(store.rows().iter().map(|r| r.size as usize).sum::<usize>(), n);
            prop_assert_eq!(store.rows()[0].times.unwrap().start_s, 0.0);
            prop_assert_eq!(store.rows().last().unwrap().times.unwrap().end_s, end - 0.25);
            let weight: f64 = store.rows().iter().map(|row| row.logit.exp()).sum();
            let expected: f64 = rows.iter().map(|(_, score)| score.exp()).sum();
            prop_assert!((weight - expected).abs() <= 1e-9 * expected);
            let naive = merged_naively(&rows, n_max);
            for (i, (x, size)) in naive.iter().enumerate() {
                prop_assert_eq!(store.rows()[i].size, *size);
                for d in 0..3 {
                    prop_assert!((f64::from(store.values()[i * 3 + d]) - x[d]).abs() < 1e-5);
                }
            }
        }
    }
}
