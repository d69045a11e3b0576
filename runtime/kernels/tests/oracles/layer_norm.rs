//! Layer norm.

use hilbert_kernels::{Isa, LayerNorm};
use proptest::prelude::{Just, Strategy};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{HOSTILE, checked, excess, paths, same};

type Case = (Vec<f32>, Vec<f32>, Vec<f32>, f32);

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..8, 1_usize..80).prop_flat_map(|(rows, width)| {
        (
            vec(-5.0_f32..5.0, rows * width),
            vec(-2.0_f32..2.0, width),
            vec(-2.0_f32..2.0, width),
            Just(1e-5),
        )
    })
}

fn apply(isa: Isa, (x, scale, bias, epsilon): &Case) -> Vec<f32> {
    let mut out = x.clone();
    let norm = LayerNorm::new(scale.clone(), bias.clone(), *epsilon).unwrap();
    norm.apply(isa, &mut out).unwrap();
    out
}

fn oracle((x, scale, bias, epsilon): &Case) -> Vec<f64> {
    let width = scale.len() as f64;
    let mut out = Vec::new();
    for row in x.chunks(scale.len()) {
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width;
        let deviation = (variance + f64::from(*epsilon)).sqrt();
        for ((x, scale), bias) in row.iter().zip(scale).zip(bias) {
            out.push((f64::from(*x) - mean) / deviation * f64::from(*scale) + f64::from(*bias));
        }
    }
    out
}

proptest! {
    #![proptest_config(checked(300))]

    #[test]
    fn every_path_equals_the_naive_layer_norm(case in cases()) {
        let expected = oracle(&case);
        for isa in paths() {
            // A row of nearly equal values loses places to its mean, whichever way it is computed.
            let found = apply(isa, &case);
            let excess = excess(&found, &expected, 1e-3, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
            prop_assert!(same(&found, &apply(Isa::Portable, &case)), "{isa}: not the portable path's bits");
        }
    }

    #[test]
    fn a_value_that_is_no_number_spoils_its_row_and_no_other(case in cases(), hostile in 0_usize..3) {
        let mut spoilt = case.clone();
        spoilt.0[0] = HOSTILE[hostile];
        let width = case.1.len();
        for isa in paths() {
            let (clean, found) = (apply(isa, &case), apply(isa, &spoilt));
            prop_assert!(found[..width].iter().all(|y| y.is_nan()), "{isa}: {found:?}");
            prop_assert!(same(&clean[width..], &found[width..]), "{isa}");
        }
    }
}
