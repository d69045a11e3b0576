//! The order of packed weights.

use std::borrow::Cow;

use hilbert_kernels::Panels;
use proptest::prelude::{Strategy, any};
use proptest::{collection::vec, prop_assert_eq, proptest};

use crate::values::checked;

/// Inputs, outputs, and levels in panels.
fn cases() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    (1_usize..9, 1_usize..5).prop_flat_map(|(fours, panels)| {
        let (inputs, outputs) = (4 * fours, 16 * panels);
        vec(any::<u8>(), inputs * outputs).prop_map(move |bytes| (inputs, outputs, bytes))
    })
}

proptest! {
    #![proptest_config(checked(100))]

    #[test]
    fn levels_that_lie_in_panels_are_those_that_are_packed((inputs, outputs, bytes) in cases()) {
        // Panel, step, column, input of the step.
        let level = |input: usize, output: usize| {
            let panel = output / 16 * inputs * 16;
            bytes[panel + input / 4 * 64 + output % 16 * 4 + input % 4].cast_signed()
        };
        let packed = Panels::packed([inputs, outputs], Cow::Owned(bytes.clone())).unwrap();
        prop_assert_eq!(packed, Panels::pack([inputs, outputs], level));
    }
}

#[test]
fn levels_that_would_be_padded_or_are_not_all_there_are_refused() {
    let packed = |shape, count| Panels::packed(shape, vec![0; count].into());
    assert!(packed([4, 16], 64).is_ok());
    assert!(packed([4, 16], 65).is_err());
    assert!(packed([5, 16], 80).is_err());
    assert!(packed([4, 17], 68).is_err());
    assert!(packed([usize::MAX - 3, 16], 64).is_err());
}
