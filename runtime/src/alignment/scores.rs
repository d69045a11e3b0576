//! From the fits of cues to their scores and the document's class: two small logistic models, `IntegrityModel` of
//! `models/reference/integrity_scores.py`.

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::{CueModel, DocumentModel};

use crate::limits::MAX_LABELS;

/// Logit of the probability that a cue's text is another's.
pub(super) fn logit(model: &CueModel, fit: f64) -> f64 {
    model.weight * fit + model.bias
}

pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// One probability a label from the logits of a document's cues; `None` without a cue.
pub(super) fn probabilities(
    model: &DocumentModel,
    logits: impl Iterator<Item = f64>,
) -> Option<BoundedVec<f64, MAX_LABELS>> {
    let (mut count, mut sum) = (0_u32, 0.0);
    let (mut smallest, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
    for logit in logits {
        count += 1;
        sum += logit;
        smallest = smallest.min(logit);
        largest = largest.max(logit);
    }
    if count == 0 {
        return None;
    }
    let summaries = [sum / f64::from(count), smallest, largest];
    let dot = |row: &[f64; 3]| row.iter().zip(summaries).map(|(a, b)| a * b).sum::<f64>();
    let logits = model.weight.iter().zip(&model.bias).map(|(row, bias)| dot(row) + bias);
    let mut probabilities: BoundedVec<f64, MAX_LABELS> = logits.take(MAX_LABELS).collect();
    let most = probabilities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    probabilities.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
    let total: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= total);
    Some(probabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `models/reference/integrity_scores.py` on the same numbers.
    #[test]
    fn scores_and_classes_are_those_of_the_reference() {
        let cue = CueModel { weight: -1.5, bias: -4.0 };
        let logits = [-0.5, -3.0, -9.0].map(|fit| logit(&cue, fit));
        let document = DocumentModel {
            summaries: Vec::new(),
            weight: vec![[-0.5, 0.0, -0.125], [0.0, -0.25, 0.0625], [0.25, 0.25, 0.0]],
            bias: vec![1.0, 0.0, -1.0],
        };
        let found = probabilities(&document, logits.into_iter()).unwrap();
        let scores = logits.map(sigmoid);
        let close = |found: &[f64], expected: &[f64]| {
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
        };
        let expected = [0.037_326_887_344_129, 0.622_459_331_201_855, 0.999_925_153_772_490];
        assert!(close(&scores, &expected), "{scores:?}");
        let expected = [0.058_052_277_060_429, 0.880_151_395_681_180, 0.061_796_327_258_391];
        assert!(close(&found, &expected), "{found:?}");
        assert_eq!(probabilities(&document, [].into_iter()), None);
    }
}
