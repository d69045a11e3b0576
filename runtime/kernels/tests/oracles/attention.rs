//! Attention without a matrix of all scores.

use hilbert_kernels::{Attention, AttentionInputs, Isa, Scratch};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{HOSTILE, checked, excess, paths, same};

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
        let inputs = AttentionInputs { key: &self.key, value: &self.value, bias: &self.bias };
        let mut out = self.query.clone();
        attention.apply(isa, inputs, &mut out, &mut Scratch::default()).unwrap();
        out
    }

    fn scale(&self) -> f32 {
        ((self.width / self.heads) as f32).sqrt().recip()
    }

    /// All scores of a query at once, queries and keys rounded to the same levels, all else in double precision; and how far
    /// an output may be from that.
    fn oracle(&self) -> Vec<(f64, f64)> {
        let head = self.width / self.heads;
        let mut out = vec![(0.0, 0.0); self.query.len()];
        for columns in (0..self.heads).map(|h| h * head..(h + 1) * head) {
            let keys: Vec<Vec<f64>> =
                self.key.chunks(self.width).map(|key| rounded(&key[columns.clone()])).collect();
            for (q, query) in self.query.chunks(self.width).enumerate() {
                let query = rounded(&query[columns.clone()]);
                let scores: Vec<f64> = keys
                    .iter()
                    .zip(&self.bias)
                    .map(|(key, bias)| {
                        let dot: f64 = query.iter().zip(key).map(|(a, b)| a * b).sum();
                        dot * f64::from(self.scale()) + f64::from(*bias)
                    })
                    .collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let total: f64 = weights.iter().sum();
                for column in columns.clone() {
                    let values = || {
                        let values = self.value.chunks(self.width);
                        weights.iter().zip(values.map(|value| f64::from(value[column])))
                    };
                    let largest = values().fold(0.0_f64, |largest, (_, v)| largest.max(v.abs()));
                    let magnitudes: f64 = values().map(|(w, v)| w / total * v.abs()).sum();
                    let sum: f64 = values().filter(|(w, _)| **w > 0.0).map(|(_, v)| v.abs()).sum();
                    out[q * self.width + column] = (
                        values().map(|(w, v)| w / total * v).sum(),
                        // Half a level of each weight, half a level of the values, and single precision.
                        sum / 8192.0 / total + largest / 4094.0 + 3e-5 * magnitudes,
                    );
                }
            }
        }
        out
    }
}

/// A row's values as its levels have them.
fn rounded(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let level = largest / 127.0;
    let factor = if largest == 0.0 { 0.0 } else { level.recip() };
    row.iter().map(|x| f64::from((x * factor).round_ties_even()) * f64::from(level)).collect()
}

/// Whether each output is as close to the oracle's as that says.
fn is_close(found: &[f32], expected: &[(f64, f64)]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(y, (x, bound))| (f64::from(*y) - x).abs() <= *bound)
}

fn cases() -> impl Strategy<Value = Case> {
    // More keys than a block has, sometimes.
    let keys = prop_oneof![4 => 1_usize..160, 1 => 250_usize..600];
    (1_usize..30, keys, 1_usize..4, 1_usize..70).prop_flat_map(|(queries, keys, heads, head)| {
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
    })
}

proptest! {
    #![proptest_config(checked(200))]

    #[test]
    fn every_path_equals_the_naive_softmax(case in cases()) {
        let expected = case.oracle();
        for isa in paths() {
            let found = case.apply(isa);
            prop_assert!(is_close(&found, &expected), "{isa}: {found:?}, expected {expected:?}");
            prop_assert!(same(&found, &case.apply(Isa::Portable)), "{isa}: not the portable path's bits");
        }
    }

    #[test]
    fn a_masked_key_is_left_out_whatever_it_holds(
        case in cases(),
        at in any::<prop::sample::Index>(),
        hostile in 0_usize..3,
    ) {
        let mut case = case;
        let masked = at.index(case.bias.len());
        case.bias.fill(0.0);
        case.bias[masked] = -1e4;
        let mut spoilt = case.clone();
        let columns = masked * case.width..(masked + 1) * case.width;
        spoilt.key[columns.clone()].fill(HOSTILE[hostile]);
        spoilt.value[columns].fill(HOSTILE[hostile]);
        if case.bias.len() > 1 {
            for isa in paths() {
                prop_assert!(same(&case.apply(isa), &spoilt.apply(isa)), "{isa}");
            }
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
        let mut key = case.clone();
        let k = at.index(case.key.len());
        key.key[k] = HOSTILE[hostile];
        for isa in paths() {
            let row = q / case.width;
            let head = case.width / case.heads;
            let spoilt = query.apply(isa);
            let first = row * case.width + q % case.width / head * head;
            prop_assert!(spoilt[first..first + head].iter().all(|y| y.is_nan()), "{isa}: {spoilt:?}");
            prop_assert!(spoilt.iter().enumerate().all(|(i, y)| i / case.width == row || y.is_finite()), "{isa}");
            let spoilt = key.apply(isa);
            let same_head = |i| i % case.width / head == k % case.width / head;
            prop_assert!(spoilt.iter().enumerate().all(|(i, y)| y.is_nan() == same_head(i)), "{isa}");
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

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let values = [0.5; 1 << 17];
    let apply = |heads, [query, key, value, bias]: [usize; 4]| {
        let inputs =
            AttentionInputs { key: &values[..key], value: &values[..value], bias: &values[..bias] };
        let attention = Attention { heads, scale: 1.0 };
        attention.apply(Isa::detect(), inputs, &mut vec![0.0; query], &mut Scratch::default())
    };
    assert!(apply(2, [8, 12, 12, 3]).is_ok());
    assert!(apply(0, [8, 12, 12, 3]).is_ok());
    assert!(apply(2, [0, 12, 12, 3]).is_ok());
    assert!(apply(2, [0, 0, 0, 0]).is_ok());
    assert!(apply(3, [8, 12, 12, 3]).is_err());
    assert!(apply(2, [8, 12, 8, 3]).is_err());
    assert!(apply(2, [8, 13, 13, 3]).is_err());
    assert!(apply(2, [9, 12, 12, 3]).is_err());
    assert!(apply(2, [8, 0, 0, 0]).is_err());
    let wide = (1 << 16) + 1;
    assert!(apply(1, [wide, wide, wide, 1]).is_err());
}
