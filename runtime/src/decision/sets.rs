//! Conformal sets: the labels of which the true one is, with a stated probability.

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::{ConformalFit, TaskKind};

use crate::limits::{MAX_COVERAGES, MAX_LABELS};

/// The labels of which a document's true one is, with a stated probability.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    /// The probability, above 0 and below 1, over documents like those that the set was fitted on.
    pub coverage: f64,
    /// Indices of labels, ascending; the most probable label is among them, and those of an ordinal task are a range.
    pub labels: BoundedVec<usize, MAX_LABELS>,
}

/// One set a coverage; equal to `sets` in `models/reference/conformal.py`. `None` for more than [`MAX_COVERAGES`].
pub(super) fn label_sets(
    kind: TaskKind,
    fit: &ConformalFit,
    probabilities: &BoundedVec<f64, MAX_LABELS>,
) -> Option<BoundedVec<LabelSet, MAX_COVERAGES>> {
    let before = probability_before(kind, probabilities);
    let mut sets = BoundedVec::new();
    for one in &fit.sets {
        let held = before.iter().enumerate().filter(|(_, before)| **before <= one.threshold);
        let labels = held.map(|(label, _)| label).collect();
        sets.push(LabelSet { coverage: one.coverage, labels }).ok()?;
    }
    Some(sets)
}

/// A label's nonconformity: the probability of those that enter a set before it, from 0 to 1 (Romano et al. 2020, arXiv
/// 2006.02544; Lu et al. 2022, arXiv 2207.02238).
fn probability_before(
    kind: TaskKind,
    probabilities: &BoundedVec<f64, MAX_LABELS>,
) -> BoundedVec<f64, MAX_LABELS> {
    let mut before = probabilities.clone();
    let mut entered = [false; MAX_LABELS];
    let mut sum = 0.0_f64;
    while let Some(label) = next(kind, probabilities, &entered) {
        entered[label] = true;
        before[label] = sum.min(1.0);
        sum += probabilities[label];
    }
    before
}

/// The label that enters next: the most probable one, the first of equals; in an ordinal task only neighbours of those that
/// are in may enter.
fn next(kind: TaskKind, probabilities: &[f64], entered: &[bool; MAX_LABELS]) -> Option<usize> {
    let nobody = !entered.contains(&true);
    let may_enter = |i: usize| {
        let neighbour = (i > 0 && entered[i - 1]) || entered.get(i + 1) == Some(&true);
        !entered[i] && (kind != TaskKind::Ordinal || nobody || neighbour)
    };
    let candidates = probabilities.iter().enumerate().filter(|(i, _)| may_enter(*i));
    candidates.reduce(|best, one| if one.1 > best.1 { one } else { best }).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use heapless::Vec as BoundedVec;
    use hilbert_formats::manifest::{ConformalFit, Coverage, TaskKind};
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    use super::label_sets;
    use crate::limits::{MAX_COVERAGES, MAX_LABELS};

    /// A fit with these thresholds; coverages do not matter here.
    fn fit(thresholds: &[f64]) -> ConformalFit {
        let of = |threshold: &f64| Coverage { coverage: 0.9, threshold: *threshold };
        ConformalFit { documents: 100, sets: thresholds.iter().map(of).collect() }
    }

    fn held(kind: TaskKind, probabilities: &[f64], thresholds: &[f64]) -> Vec<Vec<usize>> {
        let probabilities = BoundedVec::from_slice(probabilities).unwrap();
        let sets = label_sets(kind, &fit(thresholds), &probabilities).unwrap();
        sets.iter().map(|set| set.labels.to_vec()).collect()
    }

    #[test]
    fn labels_enter_by_probability_and_those_of_an_ordinal_task_as_neighbours() {
        let p = [0.375, 0.0625, 0.5, 0.0625];
        let thresholds = [0.0, 0.5, 0.5625, 0.875, 1.0];
        let of = |kind| held(kind, &p, &thresholds);
        let apart = [vec![2], vec![0, 2], vec![0, 2], vec![0, 1, 2], vec![0, 1, 2, 3]];
        assert_eq!(of(TaskKind::MultiClass), apart);
        let ranges = [vec![2], vec![1, 2], vec![0, 1, 2], vec![0, 1, 2], vec![0, 1, 2, 3]];
        assert_eq!(of(TaskKind::Ordinal), ranges);
        assert_eq!(held(TaskKind::Binary, &[0.5, 0.5], &[0.0, 0.5]), [vec![0], vec![0, 1]]);
    }

    #[test]
    fn more_coverages_than_a_manifest_may_have_are_none() {
        let probabilities = BoundedVec::from_slice(&[0.5, 0.5]).unwrap();
        let of = |n| label_sets(TaskKind::Binary, &fit(&vec![0.5; n]), &probabilities);
        assert_eq!(of(MAX_COVERAGES).map(|sets| sets.len()), Some(MAX_COVERAGES));
        assert_eq!(of(MAX_COVERAGES + 1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn sets_hold_the_most_probable_label_grow_and_are_ranges_of_an_ordinal_task(
            weights in proptest::collection::vec(0.0_f64..1.0, 2..=MAX_LABELS), low in 0.0_f64..1.0, more in 0.0_f64..1.0,
        ) {
            let sum: f64 = weights.iter().sum::<f64>().max(1e-9);
            let p: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
            let best = (0..p.len()).reduce(|a, b| if p[b] > p[a] { b } else { a }).unwrap();
            for kind in [TaskKind::Ordinal, TaskKind::MultiClass] {
                let sets = held(kind, &p, &[0.0, low, low + (1.0 - low) * more, 1.0]);
                prop_assert_eq!(&sets[0], &vec![best]);
                prop_assert_eq!(sets[3].len(), p.len());
                for two in sets.windows(2) {
                    prop_assert!(two[0].iter().all(|label| two[1].contains(label)), "{sets:?}");
                }
                let is_range = |set: &Vec<usize>| set.windows(2).all(|two| two[0] + 1 == two[1]);
                prop_assert!(kind != TaskKind::Ordinal || sets.iter().all(is_range), "{sets:?}");
            }
        }
    }
}
