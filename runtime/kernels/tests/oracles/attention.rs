//! Attention without a matrix of all scores.

use hilbert_kernels::{Attention, AttentionInputs, Isa, Scratch};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{HOSTILE, excess, paths};

#[derive(Debug, Clone)]
struct Case {
    heads: usize,
    width: usize,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn apply(&self, isa: Isa) -> Vec<f32> {
        let attention = Attention { heads: self.heads, scale: self.scale() };
        let inputs = AttentionInputs {
            query: &self.query,
            key: &self.key,
            value: &self.value,
            bias: &self.bias,
        };
        let mut out = vec![f32::NAN; self.query.len()];
        attention.apply(isa, inputs, &mut out, &mut Scratch::default()).unwrap();
        out
    }

    fn scale(&self) -> f32 {
        ((self.width / self.heads) as f32).sqrt().recip()
    }

    /// All scores of a query at once, in double precision.
    fn oracle(&self) -> Vec<f64> {
        let head = self.width / self.heads;
        let mut out = vec![0.0; self.query.len()];
        for (q, query) in self.query.chunks(self.width).enumerate() {
            for h in 0..self.heads {
                let columns = h * head..(h + 1) * head;
                let scores: Vec<f64> = self
                    .key
                    .chunks(self.width)
                    .zip(&self.bias)
                    .map(|(key, bias)| {
                        let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
                        let dot: f64 = query[columns.clone()]
                            .iter()
                            .zip(&key[columns.clone()])
                            .map(product)
                            .sum();
                        dot * f64::from(self.scale()) + f64::from(*bias)
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(self.value.chunks(self.width)) {
                    for column in columns.clone() {
                        out[q * self.width + column] += weight / total * f64::from(value[column]);
                    }
                }
            }
        }
        out
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..20, 1_usize..160, 1_usize..4, 1_usize..70).prop_flat_map(
        |(queries, keys, heads, head)| {
            let width = heads * head;
            let mask = prop::sample::select(vec![0.0_f32, 0.0, 0.0, -1e4, -1.5]);
            (
                Just((heads, width)),
                vec(-2.0_f32..2.0, queries * width),
                vec(-2.0_f32..2.0, keys * width),
                vec(-2.0_f32..2.0, keys * width),
                vec(mask, keys),
            )
                .prop_map(|((heads, width), query, key, value, bias)| Case {
                    heads,
                    width,
                    query,
                    key,
                    value,
                    bias,
                })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_path_equals_the_naive_softmax(case in cases()) {
        let expected = case.oracle();
        for isa in paths() {
            let excess = excess(&case.apply(isa), &expected, 5e-6, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
        }
    }

    #[test]
    fn a_query_that_is_no_number_spoils_its_row_and_a_key_that_counts_spoils_all(
        case in cases(),
        at in any::<prop::sample::Index>(),
        hostile in 0_usize..3,
    ) {
        let mut case = case;
        case.bias.fill(0.0);
        let mut query = case.clone();
        let q = at.index(case.query.len());
        query.query[q] = HOSTILE[hostile];
        let mut value = case.clone();
        let v = at.index(case.value.len());
        value.value[v] = f32::NAN;
        for isa in paths() {
            let row = q / case.width;
            let head = case.width / case.heads;
            let spoilt = query.apply(isa);
            // An infinite query that meets a key of 0 is NaN, and one that does not gives infinite scores, whose softmax is NaN.
            let first = row * case.width + q % case.width / head * head;
            prop_assert!(spoilt[first..first + head].iter().all(|y| y.is_nan()), "{isa}: {spoilt:?}");
            prop_assert!(spoilt.iter().enumerate().all(|(i, y)| i / case.width == row || y.is_finite()), "{isa}");
            let spoilt = value.apply(isa);
            prop_assert!(spoilt.iter().enumerate().all(|(i, y)| y.is_nan() == (i % case.width == v % case.width)), "{isa}");
        }
    }
}

#[test]
fn keys_that_are_all_masked_count_alike() {
    let (width, keys) = (16, 70);
    let value: Vec<f32> = (0..keys * width).map(|i| (i / width) as f32).collect();
    let case = Case {
        heads: 1,
        width,
        query: vec![0.0; width],
        key: vec![1.0; keys * width],
        value,
        bias: vec![-1e4; keys],
    };
    for isa in paths() {
        let excess = excess(&case.apply(isa), &vec![34.5; width], 1e-4, 0.0);
        assert!(excess <= 0.0, "{isa}: {excess}");
    }
}
