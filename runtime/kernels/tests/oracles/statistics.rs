//! Statistics pooling.

use hilbert_kernels::{Isa, statistics_pooling, weighted_mean};
use proptest::prelude::{Just, Strategy};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{HOSTILE, checked, excess, paths, same};

const FLOOR: f32 = 1e-3;

/// Rows, their weights, and the width of a row.
type Case = (Vec<f32>, Vec<f32>, usize);

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..40, 1_usize..150).prop_flat_map(|(rows, width)| {
        (vec(-5.0_f32..5.0, rows * width), vec(0.0_f32..1.0, rows), Just(width))
    })
}

fn apply(isa: Isa, (x, weights, width): &Case) -> Vec<f32> {
    let mut out = vec![f32::NAN; 2 * width];
    statistics_pooling(isa, x, weights, FLOOR, &mut out).unwrap();
    out
}

fn oracle((x, weights, width): &Case) -> Vec<f64> {
    let column = |c: usize| x.iter().skip(c).step_by(*width).zip(weights);
    let mean = |c| column(c).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
    let variance =
        |c| column(c).map(|(x, w)| (f64::from(*x) - mean(c)).powi(2) * f64::from(*w)).sum::<f64>();
    let deviation = |c| f64::max(variance(c), f64::from(FLOOR)).sqrt();
    (0..*width).map(mean).chain((0..*width).map(deviation)).collect()
}

proptest! {
    #![proptest_config(checked(200))]

    #[test]
    fn every_path_equals_the_naive_statistics(case in cases()) {
        let expected = oracle(&case);
        for isa in paths() {
            let found = apply(isa, &case);
            let excess = excess(&found, &expected, 1e-4, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
            let mut means = vec![f32::NAN; case.2];
            weighted_mean(isa, &case.0, &case.1, &mut means).unwrap();
            prop_assert!(same(&found[..case.2], &means), "{isa}: other means");
            prop_assert!(same(&found, &apply(Isa::Portable, &case)), "{isa}: not the portable path's bits");
        }
    }

    #[test]
    fn a_value_that_is_no_number_spoils_its_column_and_no_other(case in cases(), hostile in 0_usize..3) {
        let mut spoilt = case.clone();
        spoilt.0[0] = HOSTILE[hostile];
        let width = case.2;
        for isa in paths() {
            let (clean, found) = (apply(isa, &case), apply(isa, &spoilt));
            for (c, (clean, found)) in clean.iter().zip(&found).enumerate() {
                if c % width == 0 {
                    prop_assert!(!found.is_finite(), "{isa}: {found}");
                } else {
                    prop_assert!(clean.to_bits() == found.to_bits(), "{isa}, column {c}");
                }
            }
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let values = [0.5; 64];
    let apply = |x, weights, out| {
        statistics_pooling(
            Isa::detect(),
            &values[..x],
            &values[..weights],
            FLOOR,
            &mut vec![0.0; out],
        )
    };
    assert!(apply(12, 3, 8).is_ok());
    assert!(apply(0, 0, 8).is_ok());
    assert!(apply(0, 3, 0).is_ok());
    assert!(apply(12, 3, 9).is_err());
    assert!(apply(12, 4, 8).is_err());
    assert!(apply(13, 3, 8).is_err());
    assert!(weighted_mean(Isa::detect(), &values[..13], &values[..3], &mut [0.0; 4]).is_err());
}
