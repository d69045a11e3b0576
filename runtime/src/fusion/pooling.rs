//! Self-attentive pooling over any number of rows in constant memory.

/// Softmax-weighted sum of rows, fed one row at a time (online softmax: Milakov and Gimelshein, arXiv 1805.02867).
///
/// After any number of rows it holds what `pool` in `models/reference/hilbert.py` computes over all of them at once.
#[derive(Debug, Clone)]
pub struct Pooling {
    /// Largest logit so far.
    maximum: f64,
    /// Sum of `exp(logit - maximum)`.
    sum: f64,
    /// Sum of `exp(logit - maximum) * row`, `[width]`.
    weighted: Box<[f64]>,
}

impl Pooling {
    /// A pooling of no rows of `width` values.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { maximum: f64::NEG_INFINITY, sum: 0.0, weighted: vec![0.0; width].into() }
    }

    /// Bytes of heap that a pooling takes.
    pub(super) const fn heap_bytes(width: usize) -> usize {
        width * size_of::<f64>()
    }

    /// Forgets every row.
    pub fn clear(&mut self) {
        (self.maximum, self.sum) = (f64::NEG_INFINITY, 0.0);
        self.weighted.fill(0.0);
    }

    /// Adds `row`, `[width]`, with its `logit`: the pooling score plus the logarithm of how many rows it stands for.
    pub fn push(&mut self, row: &[f32], logit: f64) {
        if logit > self.maximum {
            let shrink = (self.maximum - logit).exp();
            self.sum *= shrink;
            self.weighted.iter_mut().for_each(|value| *value *= shrink);
            self.maximum = logit;
        }
        let weight = (logit - self.maximum).exp();
        self.sum += weight;
        for (value, x) in self.weighted.iter_mut().zip(row) {
            *value += weight * f64::from(*x);
        }
    }

    /// The share of a row of this `logit` in the result, from 0 to 1; 0 before the first row.
    #[must_use]
    pub fn weight(&self, logit: f64) -> f64 {
        if self.sum > 0.0 { (logit - self.maximum).exp() / self.sum } else { 0.0 }
    }

    /// Writes the weighted sum into `pooled`, `[width]`; zeros before the first row.
    pub fn pooled(&self, pooled: &mut [f32]) {
        let sum = if self.sum > 0.0 { self.sum } else { 1.0 };
        for (value, weighted) in pooled.iter_mut().zip(&self.weighted) {
            #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
            let rounded = (weighted / sum) as f32;
            *value = rounded;
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are computed without rounding")]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

    use super::Pooling;

    /// Softmax over all logits at once, in f64.
    fn softmax(logits: &[f64]) -> Vec<f64> {
        let maximum = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = logits.iter().map(|logit| (logit - maximum).exp()).collect();
        let sum: f64 = exps.iter().sum();
        exps.iter().map(|e| e / sum).collect()
    }

    #[test]
    fn no_rows_pool_to_zeros() {
        let mut pooled = [f32::NAN; 3];
        Pooling::new(3).pooled(&mut pooled);
        assert_eq!(pooled, [0.0; 3]);
        assert!(Pooling::new(3).weight(0.0).abs() < f64::EPSILON);
    }

    #[test]
    fn one_row_pools_to_itself() {
        let mut pooling = Pooling::new(2);
        pooling.push(&[0.25, -3.0], -700.0);
        let mut pooled = [0.0; 2];
        pooling.pooled(&mut pooled);
        assert_eq!(pooled, [0.25, -3.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn rows_one_at_a_time_pool_as_softmax_over_all(
            rows in prop::collection::vec(([-4.0_f32..4.0, -4.0_f32..4.0, -4.0_f32..4.0], -60.0_f64..60.0), 1..200),
            used_before in any::<bool>(),
        ) {
            let mut pooling = Pooling::new(3);
            if used_before {
                pooling.push(&[9.0; 3], 80.0);
                pooling.clear();
            }
            for (row, logit) in &rows {
                pooling.push(row, *logit);
            }
            let weights = softmax(&rows.iter().map(|(_, logit)| *logit).collect::<Vec<_>>());
            let mut pooled = [0.0; 3];
            pooling.pooled(&mut pooled);
            for d in 0..3 {
                let expected: f64 = rows.iter().zip(&weights).map(|((row, _), w)| f64::from(row[d]) * w).sum();
                prop_assert!((f64::from(pooled[d]) - expected).abs() < 1e-6, "{d}: {} and {expected}", pooled[d]);
            }
            for ((_, logit), weight) in rows.iter().zip(&weights) {
                prop_assert!((pooling.weight(*logit) - weight).abs() < 1e-12);
            }
        }
    }
}
