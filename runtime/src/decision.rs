//! From logits and scores to calibrated probabilities, a label, and the sets that hold the true one as often as stated.

mod sets;

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::{
    Calibration, CalibrationSet, Conformal, ConformalFit, Task, TaskKind,
};

pub use self::sets::LabelSet;
use self::sets::label_sets;
use crate::error::{Error, ErrorKind, Result};
use crate::fusion::Modalities;
use crate::limits::{MAX_COVERAGES, MAX_LABELS};

/// What is decided about one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Index of the most probable label, the first of equals.
    pub label: usize,
    /// The score of an ordinal task, in units of its cuts.
    pub score: Option<f32>,
    /// One probability a label, in the order of the labels. They sum to 1, except for multi-label tasks, where each is the
    /// probability of its label.
    pub probabilities: BoundedVec<f64, MAX_LABELS>,
    /// One conformal set a coverage, ascending; none for a task without them.
    pub sets: BoundedVec<LabelSet, MAX_COVERAGES>,
}

/// Turns a head's `output` into a decision, by the calibration for the modalities that the document has.
///
/// Equal to `probabilities` in `models/reference/calibration.py` and `sets` in `models/reference/conformal.py`.
///
/// # Errors
/// [`ErrorKind::Internal`] when the output is not finite or does not fit the task.
pub fn decide(task: &Task, modalities: Modalities, output: &[f32]) -> Result<Decision> {
    let fault = |reason: &str| {
        Error::new(ErrorKind::Internal {
            what: "decision",
            reason: format!("task {}: {reason}", task.name),
        })
    };
    if !output.iter().all(|x| x.is_finite()) {
        return Err(fault("found an output that is not finite"));
    }
    let mut probabilities = BoundedVec::new();
    let mut score = None;
    match (task.kind, calibration(&task.calibration, modalities), output) {
        (TaskKind::Ordinal, Calibration::Cuts { cuts, slope }, &[one]) => {
            score = Some(one);
            // P(class > k); each label lies between two neighbours.
            let mut above = 1.0;
            for cut in cuts {
                let next = sigmoid(f64::from(*slope) * (f64::from(one) - f64::from(*cut)));
                probabilities
                    .push((above - next).max(0.0))
                    .map_err(|_| fault("too many labels"))?;
                above = next;
            }
            probabilities.push(above).map_err(|_| fault("too many labels"))?;
        }
        (TaskKind::MultiLabel, Calibration::Temperature { temperature }, logits) => {
            for logit in logits {
                let probability = sigmoid(f64::from(*logit) / f64::from(*temperature));
                probabilities.push(probability).map_err(|_| fault("too many labels"))?;
            }
        }
        (
            TaskKind::Binary | TaskKind::MultiClass,
            Calibration::Temperature { temperature },
            logits,
        ) => {
            let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for logit in logits {
                let exp =
                    ((f64::from(*logit) - f64::from(maximum)) / f64::from(*temperature)).exp();
                probabilities.push(exp).map_err(|_| fault("too many labels"))?;
            }
            let sum: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|probability| *probability /= sum);
        }
        _ => return Err(fault("found a calibration of another kind of task")),
    }
    if probabilities.len() != task.labels.len() {
        return Err(fault("found another number of outputs than labels"));
    }
    let mut label = 0;
    for (i, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[label] {
            label = i;
        }
    }
    let sets = match &task.conformal {
        Some(conformal) => label_sets(task.kind, fit(conformal, modalities), &probabilities)
            .ok_or_else(|| fault("too many coverages"))?,
        None => BoundedVec::new(),
    };
    Ok(Decision { label, score, probabilities, sets })
}

const fn calibration(set: &CalibrationSet, modalities: Modalities) -> &Calibration {
    match modalities {
        Modalities::Audio => &set.audio,
        Modalities::Text => &set.text,
        Modalities::AudioText => &set.audio_text,
    }
}

const fn fit(conformal: &Conformal, modalities: Modalities) -> &ConformalFit {
    match modalities {
        Modalities::Audio => &conformal.audio,
        Modalities::Text => &conformal.text,
        Modalities::AudioText => &conformal.audio_text,
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use hilbert_formats::manifest::{
        Calibration, CalibrationSet, Conformal, ConformalFit, Coverage, Task, TaskKind,
    };
    use proptest::prelude::{ProptestConfig, prop_assert, proptest};
    use serde::Deserialize;

    use super::decide;
    use crate::fusion::Modalities;

    fn task(kind: TaskKind, labels: usize, calibration: [Calibration; 3]) -> Task {
        let [audio, text, audio_text] = calibration;
        Task {
            name: "t".to_owned(),
            kind,
            labels: (0..labels).map(|i| i.to_string()).collect(),
            calibration: CalibrationSet { audio, text, audio_text },
            conformal: None,
            threshold: None,
        }
    }

    fn temperatures(audio: f32, text: f32, audio_text: f32) -> [Calibration; 3] {
        [audio, text, audio_text].map(|temperature| Calibration::Temperature { temperature })
    }

    fn cuts() -> Calibration {
        Calibration::Cuts { cuts: vec![6.5, 8.0], slope: 2.0 }
    }

    #[test]
    fn probabilities_are_those_of_the_calibration() {
        // Expected values: `probabilities` in models/reference/calibration.py.
        type Row<'a> = (TaskKind, [Calibration; 3], &'a [f32], usize, &'a [f64]);
        let rows: [Row<'_>; 4] = [
            (
                TaskKind::Ordinal,
                [cuts(), cuts(), cuts()],
                &[7.0],
                1,
                &[0.268_941_42, 0.611_855_66, 0.119_202_92],
            ),
            (
                TaskKind::Binary,
                temperatures(1.0, 1.0, 2.0),
                &[1.0, 0.0],
                0,
                &[0.622_459_33, 0.377_540_67],
            ),
            (
                TaskKind::MultiClass,
                temperatures(1.0, 1.0, 1.0),
                &[0.0, 2.0, 2.0],
                1,
                &[0.063_378_94, 0.468_310_53, 0.468_310_53],
            ),
            (
                TaskKind::MultiLabel,
                temperatures(1.0, 1.0, 0.5),
                &[0.0, 1.0],
                1,
                &[0.5, 0.880_797_08],
            ),
        ];
        let mut failed = Vec::new();
        for (kind, calibration, output, label, expected) in rows {
            let task = task(kind, expected.len(), calibration);
            let decision = decide(&task, Modalities::AudioText, output).unwrap();
            let close =
                decision.probabilities.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7);
            if !close
                || decision.label != label
                || decision.score.is_some() != (kind == TaskKind::Ordinal)
            {
                failed.push((kind, decision));
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn the_modalities_choose_the_calibration() {
        let task = task(TaskKind::MultiLabel, 1, temperatures(1.0, 2.0, 4.0));
        let rows =
            [(Modalities::Audio, 4.0), (Modalities::Text, 2.0), (Modalities::AudioText, 1.0)];
        for (modalities, logit) in rows {
            let found = decide(&task, modalities, &[4.0]).unwrap().probabilities[0];
            assert!((found - super::sigmoid(logit)).abs() < 1e-12, "{modalities:?}");
        }
    }

    /// One line of `conformal_sets.json`, which `tests/data/conformal_sets.py` writes with the reference.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        kind: TaskKind,
        labels: usize,
        calibration: Calibration,
        output: Vec<f32>,
        conformal: ConformalFit,
        held: Vec<Vec<usize>>,
    }

    #[test]
    fn conformal_sets_are_those_of_the_reference() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/data/conformal_sets.json")).unwrap();
        assert!(cases.len() >= 100, "{}", cases.len());
        let mut failed = Vec::new();
        for case in &cases {
            let calibration = [(); 3].map(|()| case.calibration.clone());
            let mut task = task(case.kind, case.labels, calibration);
            let [audio, text, audio_text] = [(); 3].map(|()| case.conformal.clone());
            task.conformal = Some(Conformal { audio, text, audio_text });
            let decision = decide(&task, Modalities::AudioText, &case.output).unwrap();
            let found: Vec<_> = decision.sets.iter().map(|set| set.labels.to_vec()).collect();
            if found != case.held {
                failed.push((case, found));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn the_modalities_choose_the_conformal_sets() {
        let fit = |threshold| ConformalFit {
            documents: 100,
            sets: vec![Coverage { coverage: 0.9, threshold }],
        };
        let mut task = task(TaskKind::Binary, 2, temperatures(1.0, 1.0, 1.0));
        let without = decide(&task, Modalities::Audio, &[1.0, 0.0]).unwrap();
        assert!(without.sets.is_empty());
        let (audio, text, audio_text) = (fit(0.0), fit(0.7), fit(0.8)); // P(0) is 0.731
        task.conformal = Some(Conformal { audio, text, audio_text });
        let rows = [
            (Modalities::Audio, &[0][..]),
            (Modalities::Text, &[0]),
            (Modalities::AudioText, &[0, 1]),
        ];
        for (modalities, labels) in rows {
            let sets = decide(&task, modalities, &[1.0, 0.0]).unwrap().sets;
            assert_eq!((sets.len(), &sets[0].labels[..]), (1, labels), "{modalities:?}");
            assert!((sets[0].coverage - 0.9).abs() < 1e-12);
        }
    }

    #[test]
    fn what_does_not_fit_the_task_is_an_internal_fault() {
        let ordinal = task(TaskKind::Ordinal, 3, [cuts(), cuts(), cuts()]);
        let binary = task(TaskKind::Binary, 2, temperatures(1.0, 1.0, 1.0));
        for (task, output) in [
            (&ordinal, &[f32::NAN][..]),
            (&ordinal, &[1.0, 2.0]),
            (&binary, &[f32::INFINITY, 0.0]),
            (&binary, &[1.0, 2.0, 3.0]),
        ] {
            let error = decide(task, Modalities::Audio, output).unwrap_err();
            assert_eq!(error.code(), 6, "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn probabilities_lie_from_0_to_1_and_sum_to_1(score in -1e4_f32..1e4, logits in [-1e4_f32..1e4, -1e4_f32..1e4]) {
            let ordinal = task(TaskKind::Ordinal, 3, [cuts(), cuts(), cuts()]);
            let binary = task(TaskKind::Binary, 2, temperatures(0.1, 0.1, 0.1));
            for (task, output) in [(&ordinal, &[score][..]), (&binary, &logits)] {
                let decision = decide(task, Modalities::Audio, output).unwrap();
                prop_assert!(decision.probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{decision:?}");
                prop_assert!((decision.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{decision:?}");
            }
        }
    }
}
