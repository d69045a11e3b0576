//! Tables of int8.

use hilbert_kernels::{Isa, Sum, Table};
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::values::{checked, paths};

/// Levels, scales, what stands where rows are added, and numbers of rows.
type Case = (Vec<i8>, Vec<f32>, Vec<f32>, Vec<i16>);

fn cases() -> impl Strategy<Value = Case> {
    (1_i16..20, 1_usize..70).prop_flat_map(|(count, width)| {
        let (numbers, rows) = (-count..count, usize::from(count.unsigned_abs()));
        (
            vec(any::<i8>(), rows * width),
            vec(-2.0_f32..2.0, rows),
            vec(-5.0_f32..5.0, rows * width),
            vec(numbers, 0..30),
        )
            .prop_flat_map(Just)
    })
}

proptest! {
    #![proptest_config(checked(200))]

    #[test]
    fn rows_are_levels_times_their_scale_in_order_or_by_number((levels, scales, before, numbers) in cases()) {
        let width = levels.len() / scales.len();
        let row = |r: usize| levels[r * width..][..width].iter().map(|l| f32::from(*l) * scales[r]).collect::<Vec<_>>();
        let all: Vec<f32> = (0..scales.len()).flat_map(row).collect();
        let sums: Vec<f32> = before.iter().zip(&all).map(|(x, y)| x + y).collect();
        let chosen: Vec<f32> =
            numbers.iter().flat_map(|n| row(usize::try_from(*n).unwrap_or_else(|_| scales.len() - n.unsigned_abs() as usize))).collect();
        let table = Table::new(levels.clone(), scales.clone()).unwrap();
        for isa in paths() {
            let mut out = vec![f32::NAN; all.len()];
            table.unfold(isa, Sum::None, &mut out).unwrap();
            prop_assert_eq!(&out, &all);
            let mut out = before.clone();
            table.unfold(isa, Sum::Residual, &mut out).unwrap();
            prop_assert_eq!(&out, &sums);
            let mut out = vec![f32::NAN; chosen.len()];
            let numbers: Vec<f32> = numbers.iter().map(|n| f32::from(*n)).collect();
            table.look_up(isa, &numbers, &mut out).unwrap();
            prop_assert_eq!(&out, &chosen);
        }
    }
}

#[test]
fn lengths_that_do_not_fit_and_numbers_beyond_the_table_are_refused() {
    assert!(Table::new(vec![0; 13], vec![0.0; 4]).is_err());
    let table = Table::new(vec![1; 12], vec![0.5; 4]).unwrap();
    let isa = Isa::detect();
    assert!(table.unfold(isa, Sum::None, &mut [0.0; 11]).is_err());
    assert!(table.look_up(isa, &[0.0], &mut [0.0; 4]).is_err());
    for (number, is_row) in
        [(3.0, true), (-4.0, true), (4.0, false), (-5.0, false), (f32::NAN, false), (1e30, false)]
    {
        assert_eq!(table.look_up(isa, &[number], &mut [0.0; 3]).is_ok(), is_row, "{number}");
    }
    assert!(Table::new(Vec::new(), Vec::new()).unwrap().look_up(isa, &[0.0], &mut []).is_err());
}
