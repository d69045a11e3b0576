//! Tables of int8.

use hilbert_kernels::{Isa, Sum, Table, unfold_row};
use proptest::prelude::{Strategy, any};
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::values::{checked, paths};

/// Levels, scales, and what stands where rows are added.
type Case = (Vec<i8>, Vec<f32>, Vec<f32>);

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..20, 1_usize..70).prop_flat_map(|(rows, width)| {
        (vec(any::<i8>(), rows * width), vec(-2.0_f32..2.0, rows), vec(-5.0_f32..5.0, rows * width))
    })
}

proptest! {
    #![proptest_config(checked(200))]

    #[test]
    fn rows_are_levels_times_their_scale((levels, scales, before) in cases()) {
        let width = levels.len() / scales.len();
        let row = |r: usize| levels[r * width..][..width].iter().map(|l| f32::from(*l) * scales[r]).collect::<Vec<_>>();
        let all: Vec<f32> = (0..scales.len()).flat_map(row).collect();
        let sums: Vec<f32> = before.iter().zip(&all).map(|(x, y)| x + y).collect();
        let bytes: Vec<u8> = levels.iter().map(|level| level.cast_unsigned()).collect();
        let table = Table::new(bytes.clone().into(), scales.clone()).unwrap();
        for isa in paths() {
            let mut out = vec![f32::NAN; all.len()];
            table.unfold(isa, Sum::None, &mut out).unwrap();
            prop_assert_eq!(&out, &all);
            let mut out = before.clone();
            table.unfold(isa, Sum::Residual, &mut out).unwrap();
            prop_assert_eq!(&out, &sums);
            for (r, scale) in scales.iter().enumerate() {
                let mut out = vec![f32::NAN; width];
                unfold_row(isa, &bytes[r * width..][..width], *scale, &mut out).unwrap();
                prop_assert_eq!(&out, &row(r));
            }
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    assert!(Table::new(vec![0; 13].into(), vec![0.0; 4]).is_err());
    let table = Table::new(vec![1; 12].into(), vec![0.5; 4]).unwrap();
    let isa = Isa::detect();
    assert!(table.unfold(isa, Sum::None, &mut [0.0; 11]).is_err());
    assert!(unfold_row(isa, &[0; 3], 1.0, &mut [0.0; 4]).is_err());
}
