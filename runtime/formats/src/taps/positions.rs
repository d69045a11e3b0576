//! Which elements of a value are compared.

use serde::{Deserialize, Serialize};

/// The rows of a value that are no padding: the first `real` along dimension `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Dimension that counts frames, tokens or rows, from 0.
    pub axis: usize,
    /// How many are real, from 1.
    pub real: usize,
}

/// Flat, row-major indices of at most `most` elements, spread evenly over the `n` elements of real rows.
///
/// Counted over real rows alone, element `j` is `j * step mod n`: a golden section's step, the largest up to `0.618034 n` that
/// has no divisor in common with `n`. All `n` in order where they are no more than `most`. A grid of equal steps would meet the
/// same few channels again and again.
#[must_use]
pub fn positions(shape: &[usize], rows: Option<Rows>, most: usize) -> Vec<usize> {
    let n = count(shape, rows);
    let step = if n <= most { 1 } else { step(n) };
    let inner: usize = rows.map_or(1, |rows| shape.iter().skip(rows.axis + 1).product());
    let (real, all) = match rows {
        Some(Rows { axis, real }) => (real * inner, shape.get(axis).copied().unwrap_or(1) * inner),
        None => (n, n),
    };
    let flat = |index: usize| index / real * all + index % real;
    let mut index = 0;
    let mut found = Vec::with_capacity(n.min(most));
    for _ in 0..n.min(most) {
        found.push(flat(index));
        index = (index + step) % n;
    }
    found
}

/// Elements of real rows.
pub(super) fn count(shape: &[usize], rows: Option<Rows>) -> usize {
    let lengths = shape.iter().enumerate().map(|(axis, &len)| match rows {
        Some(rows) if rows.axis == axis => rows.real,
        _ => len,
    });
    lengths.product()
}

fn step(n: usize) -> usize {
    let mut step = (n / 1_000_000 * 618_034 + n % 1_000_000 * 618_034 / 1_000_000).max(1);
    while divisor(step, n) != 1 {
        step -= 1;
    }
    step
}

fn divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn few_elements_are_all_compared_in_order_and_padding_never_is() {
        let rows = |axis, real| Some(Rows { axis, real });
        assert_eq!(positions(&[2, 3], None, 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(positions(&[4, 3], rows(0, 2), 99), [0, 1, 2, 3, 4, 5]);
        assert_eq!(positions(&[1, 2, 5], rows(2, 3), 99), [0, 1, 2, 5, 6, 7]);
        assert_eq!(positions(&[2, 3, 2], rows(1, 1), 99), [0, 1, 6, 7]);
        // 0.618034 of 10 is 6, which shares 2 with 10, so 5, which shares 5, so 4, so 3
        assert_eq!(positions(&[10], None, 4), [0, 3, 6, 9]);
    }

    proptest! {
        #[test]
        fn all_are_different_and_of_real_rows(a in 1_usize..9, b in 1_usize..40, c in 1_usize..9, part in 0_usize..40, most in 1_usize..300) {
            let real = part % b + 1;
            let found = positions(&[a, b, c], Some(Rows { axis: 1, real }), most);
            let different: BTreeSet<_> = found.iter().collect();
            prop_assert_eq!(found.len(), most.min(a * real * c));
            prop_assert_eq!(different.len(), found.len());
            prop_assert!(found.iter().all(|i| i / c % b < real && *i < a * b * c));
        }

        #[test]
        fn large_values_are_met_in_every_channel(channels in 64_usize..400, frames in 64_usize..600) {
            let found = positions(&[frames, channels], None, 256);
            let met: BTreeSet<_> = found.iter().map(|i| i % channels).collect();
            let in_time: BTreeSet<_> = found.iter().map(|i| i / channels * 16 / frames).collect();
            prop_assert!(met.len() > 40, "{} channels", met.len());
            prop_assert!(in_time.len() >= 15, "{} parts", in_time.len());
        }
    }
}
