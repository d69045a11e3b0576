//! Comparison with the reference.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How far a value may lie from the reference, as `torch.allclose` says it: `|ours - theirs| <= absolute + relative |theirs|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tolerance {
    absolute: f64,
    relative: f64,
}

/// One stage fed its golden input.
pub(crate) const STAGE: Tolerance = Tolerance { absolute: 1e-4, relative: 0.0 };

/// All stages in a row, from the recording to the probabilities.
pub(crate) const CHAINED: Tolerance = Tolerance { absolute: 1e-3, relative: 0.0 };

/// The same with activations rounded to 255 levels a row.
pub(crate) const ROUNDED: Tolerance = Tolerance { absolute: 0.02, relative: 0.0 };

/// What did not agree, and how far everything was off.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) failures: Vec<String>,
    largest: BTreeMap<String, f64>,
    /// Sums of squares of the reference and of the differences, a stage.
    squares: BTreeMap<String, [f64; 2]>,
}

impl Report {
    pub(crate) fn compare(
        &mut self,
        stage: &str,
        document: &str,
        ours: &[f64],
        reference: &[f64],
        tolerance: Tolerance,
    ) {
        if ours.len() != reference.len() {
            let (ours, reference) = (ours.len(), reference.len());
            self.failures.push(format!(
                "{stage} of {document}: ours has {ours} values, the reference {reference}"
            ));
            return;
        }
        let mut misses = 0;
        let mut worst = (0, 0.0);
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            let difference = (a - b).abs();
            let close = difference <= tolerance.absolute + tolerance.relative * b.abs(); // not for NaN
            misses += usize::from(!close);
            if difference > worst.1 || difference.is_nan() {
                worst = (i, difference);
            }
        }
        let (i, difference) = worst;
        if misses > 0 {
            self.failures.push(format!(
                "{stage} of {document}: {misses} of {} values differ; the largest difference is {difference:.2e} at {i}: \
                 ours {}, reference {}",
                ours.len(),
                ours[i],
                reference[i]
            ));
        }
        let largest = self.largest.entry(stage.to_owned()).or_default();
        *largest = largest.max(difference);
        let [signal, noise] = self.squares.entry(stage.to_owned()).or_default();
        *signal += reference.iter().map(|b| b * b).sum::<f64>();
        *noise += ours.iter().zip(reference).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    }

    /// Signal-to-noise ratio of each stage over all documents, dB, the worst first.
    pub(crate) fn decibels(&self) -> Vec<(f64, &str)> {
        let ratio = |[signal, noise]: [f64; 2]| 10.0 * (signal / noise).log10();
        let mut all: Vec<_> =
            self.squares.iter().map(|(stage, squares)| (ratio(*squares), stage.as_str())).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    }

    pub(crate) fn largest_differences(&self) -> String {
        self.largest.iter().fold(
            "largest differences:\n".to_owned(),
            |mut text, (stage, difference)| {
                let _ = writeln!(text, "  {stage:<32} {difference:.1e}");
                text
            },
        )
    }

    pub(crate) fn assert_empty(&self) {
        assert!(self.failures.is_empty(), "\n{}", self.failures.join("\n"));
    }
}
