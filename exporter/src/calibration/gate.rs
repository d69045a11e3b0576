//! What two forms decide on the same documents, compared, and whether the difference is small enough.

use hilbert_formats::manifest::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use super::decisions::{Decided, TaskDecision};

/// Bins of equal width of the calibration error.
const BINS: u32 = 10;

/// What a bundle may lose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Smallest share of decisions of each task, and of `integrity`, that agree.
    pub agreement: f64,
    /// Largest loss of recall of a label.
    pub recall_loss: f64,
    /// Largest gain of a task's calibration error.
    pub calibration_error_gain: f64,
}

impl Limits {
    /// Those of the exporter.
    pub const DEFAULT: Self =
        Self { agreement: 0.995, recall_loss: 0.005, calibration_error_gain: 0.01 };
}

/// One task's decisions, f32 against the form that ships.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskMeasures {
    /// Name of the task, or `integrity`.
    pub name: String,
    /// Decisions compared.
    pub decisions: usize,
    /// How many of them differ.
    pub different: usize,
    /// Recall of each label, where documents with labels bear it.
    pub recall: Vec<Recall>,
    /// Expected calibration error over ten bins (Guo et al. 2017), of a multi-label task the mean over its labels, f32 and of
    /// the form that ships; `None` without labels.
    pub calibration_error: Option<[f64; 2]>,
}

/// Recall of one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// The label.
    pub label: String,
    /// Documents that bear it.
    pub documents: usize,
    /// Of these found by the f32 form, and by the form that ships.
    pub found: [usize; 2],
}

/// What is known of each document's labels: task by task, `None` where nothing is.
pub type Truth = Vec<Vec<Option<Vec<usize>>>>;

/// Measures of all tasks, then of `integrity` where it was decided.
#[must_use]
pub fn measure(
    tasks: &[Task],
    truth: &Truth,
    float: &[Decided],
    shipped: &[Decided],
) -> Vec<TaskMeasures> {
    let of_task = |(t, task): (usize, &Task)| {
        let pairs = float.iter().zip(shipped).zip(truth);
        let pairs: Vec<_> = pairs
            .filter_map(|((a, b), truth)| {
                let truth = truth.get(t).and_then(Option::as_ref);
                Some(Pair { decided: [a.tasks.get(t)?, b.tasks.get(t)?], truth })
            })
            .collect();
        task_measures(task, &pairs)
    };
    let mut measures: Vec<_> = tasks.iter().enumerate().map(of_task).collect();
    let integrity =
        float.iter().zip(shipped).map(|(a, b)| (a.integrity_class(), b.integrity_class()));
    let integrity: Vec<_> = integrity.filter(|(a, b)| a.is_some() || b.is_some()).collect();
    if !integrity.is_empty() {
        measures.push(TaskMeasures {
            name: "integrity".into(),
            decisions: integrity.len(),
            different: integrity.iter().filter(|(a, b)| a != b).count(),
            recall: Vec::new(),
            calibration_error: None,
        });
    }
    measures
}

/// What is beyond the limits, a line each.
#[must_use]
pub fn misses(measures: &[TaskMeasures], limits: &Limits) -> Vec<String> {
    let mut misses = Vec::new();
    for task in measures {
        let name = &task.name;
        let least = limits.agreement;
        if task.agreement() < least {
            let TaskMeasures { different, decisions, .. } = task;
            misses.push(format!(
                "{name}: found {different} of {decisions} decisions that differ, expected {:.1} % that agree",
                100.0 * least
            ));
        }
        for recall in &task.recall {
            let loss = recall.loss();
            if loss > limits.recall_loss {
                let Recall { label, documents, found: [float, shipped] } = recall;
                misses.push(format!(
                    "{name}: recall of {label:?}: found {shipped} of {documents} against {float}, expected a loss of at most \
                     {:.1} points",
                    100.0 * limits.recall_loss
                ));
            }
        }
        if let Some([float, shipped]) = task.calibration_error
            && shipped - float > limits.calibration_error_gain
        {
            misses.push(format!(
                "{name}: calibration error: found {shipped:.4} against {float:.4}, expected a gain of at most {}",
                limits.calibration_error_gain
            ));
        }
    }
    misses
}

impl TaskMeasures {
    /// Share of decisions that agree, 0 to 1; 1 without decisions.
    #[must_use]
    pub fn agreement(&self) -> f64 {
        1.0 - share(self.different, self.decisions)
    }
}

impl Recall {
    /// How much of the recall is lost, negative where some is won.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let [float, shipped] = self.found.map(|found| share(found, self.documents));
        float - shipped
    }
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    decided: [&'a TaskDecision; 2],
    truth: Option<&'a Vec<usize>>,
}

fn task_measures(task: &Task, pairs: &[Pair<'_>]) -> TaskMeasures {
    let different = pairs.iter().filter(|p| p.decided[0].labels != p.decided[1].labels).count();
    let known: Vec<_> = pairs.iter().filter_map(|p| Some((p.decided, p.truth?))).collect();
    let recall = task.labels.iter().enumerate().filter_map(|(l, label)| {
        let bearing: Vec<_> = known.iter().filter(|(_, truth)| truth.contains(&l)).collect();
        let found =
            |form: usize| bearing.iter().filter(|(d, _)| d[form].labels.contains(&l)).count();
        let (label, documents) = (label.clone(), bearing.len());
        (documents > 0).then(|| Recall { label, documents, found: [found(0), found(1)] })
    });
    let error = |form: usize| {
        let decisions: Vec<_> = known.iter().map(|(d, truth)| (d[form], *truth)).collect();
        if task.kind == TaskKind::MultiLabel {
            label_calibration_error(&decisions, task.labels.len())
        } else {
            let sure = decisions.iter().filter_map(|(d, truth)| {
                let label = *d.labels.first()?;
                Some((d.probabilities.get(label).copied()?, truth.contains(&label)))
            });
            calibration_error(&sure.collect::<Vec<_>>())
        }
    };
    TaskMeasures {
        name: task.name.clone(),
        decisions: pairs.len(),
        different,
        recall: recall.collect(),
        calibration_error: (!known.is_empty()).then(|| [error(0), error(1)]),
    }
}

/// `label_calibration_error` of `models/reference/metrics.py`.
fn label_calibration_error(decisions: &[(&TaskDecision, &Vec<usize>)], labels: usize) -> f64 {
    let of_label = |label: usize| {
        let sure = decisions.iter().map(|(d, truth)| {
            let p = d.probabilities.get(label).copied().unwrap_or(0.0);
            let has = p >= 0.5;
            (p.max(1.0 - p), has == truth.contains(&label))
        });
        calibration_error(&sure.collect::<Vec<_>>())
    };
    let sum: f64 = (0..labels).map(of_label).sum();
    rounded(sum / f64::from(u32::try_from(labels.max(1)).unwrap_or(u32::MAX)))
}

/// `calibration_error` of `models/reference/metrics.py`: confidence and whether it was right, document by document. Four
/// digits, so that machines agree.
fn calibration_error(sure: &[(f64, bool)]) -> f64 {
    let mut gap = 0.0;
    for bin in 0..BINS {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
        let at = |confidence: f64| ((confidence * f64::from(BINS)) as u32).min(BINS - 1);
        let within = sure.iter().filter(|(confidence, _)| at(*confidence) == bin);
        gap += within.map(|(c, right)| c - f64::from(u8::from(*right))).sum::<f64>().abs();
    }
    #[expect(clippy::cast_precision_loss, reason = "few documents")]
    let count = sure.len().max(1) as f64;
    rounded(gap / count)
}

fn rounded(error: f64) -> f64 {
    (error * 1e4).round() / 1e4
}

fn share(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "few documents")]
    let (part, whole) = (part as f64, whole as f64);
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use hilbert_formats::manifest::{Calibration, CalibrationSet};

    use super::*;

    fn task(kind: TaskKind) -> Task {
        let one = Calibration::Temperature { temperature: 1.0 };
        let calibration = CalibrationSet { audio: one.clone(), text: one.clone(), audio_text: one };
        let labels = vec!["a".into(), "b".into()];
        Task { name: "t".into(), kind, labels, calibration, conformal: None, threshold: None }
    }

    fn decided(p: f64) -> Decided {
        let labels = vec![usize::from(p < 0.5)];
        Decided {
            tasks: vec![TaskDecision { labels, probabilities: vec![p, 1.0 - p] }],
            integrity: None,
        }
    }

    fn decisions(p: &[f64]) -> Vec<Decided> {
        p.iter().map(|p| decided(*p)).collect()
    }

    fn known(labels: &[Option<usize>]) -> Truth {
        labels.iter().map(|l| vec![l.map(|l| vec![l])]).collect()
    }

    #[test]
    fn agreement_counts_all_documents_recall_and_error_those_with_labels() {
        let truth = known(&[Some(0), Some(0), Some(1), None]);
        let (float, shipped) = (decisions(&[0.9, 0.6, 0.2, 0.7]), decisions(&[0.9, 0.4, 0.2, 0.7]));
        let found = measure(&[task(TaskKind::Binary)], &truth, &float, &shipped);
        assert_eq!((found[0].decisions, found[0].different), (4, 1));
        let recall: Vec<_> =
            found[0].recall.iter().map(|r| (r.label.as_str(), r.documents, r.found)).collect();
        assert_eq!(recall, [("a", 2, [2, 1]), ("b", 1, [1, 1])]);
        // f32: |0.9 - 1|, |0.6 - 1| and |0.8 - 1| in bins of their own; shipped: 0.6 was wrong
        assert_eq!(found[0].calibration_error, Some([0.2333, 0.3]));
    }

    #[test]
    fn integrity_is_compared_where_it_was_decided() {
        let class =
            |class: usize| TaskDecision { labels: vec![class], probabilities: vec![1.0; 2] };
        let with = |integrity: Option<usize>| Decided {
            tasks: Vec::new(),
            integrity: integrity.map(class),
        };
        let (float, shipped) =
            ([with(Some(0)), with(Some(1)), with(None)], [with(Some(0)), with(None), with(None)]);
        let found = measure(&[], &vec![Vec::new(); 3], &float, &shipped);
        assert_eq!(
            (found[0].name.as_str(), found[0].decisions, found[0].different),
            ("integrity", 2, 1)
        );
    }

    #[test]
    fn each_limit_is_missed_beyond_it_and_not_at_it() {
        let measures = |different, found, shipped| {
            let recall = vec![Recall { label: "a".into(), documents: 1000, found: [900, found] }];
            let calibration_error = Some([0.05, shipped]);
            [TaskMeasures {
                name: "t".into(),
                decisions: 1000,
                different,
                recall,
                calibration_error,
            }]
        };
        let said = |m: &[TaskMeasures]| misses(m, &Limits::DEFAULT);
        assert_eq!(said(&measures(5, 896, 0.0599)), [""; 0]);
        let rows = [
            (measures(6, 900, 0.05), "t: found 6 of 1000 decisions that differ"),
            (measures(0, 894, 0.05), "t: recall of \"a\": found 894 of 1000 against 900"),
            (measures(0, 900, 0.0601), "t: calibration error: found 0.0601 against 0.0500"),
        ];
        for (m, expected) in rows {
            let found = said(&m);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
        }
    }

    #[test]
    fn a_multi_label_task_has_the_mean_error_of_its_labels() {
        let one = |labels, probabilities| Decided {
            tasks: vec![TaskDecision { labels, probabilities }],
            integrity: None,
        };
        let float = [one(vec![0, 1], vec![0.9, 0.8])];
        let truth = vec![vec![Some(vec![0])]];
        let found = measure(&[task(TaskKind::MultiLabel)], &truth, &float, &float);
        assert_eq!(found[0].calibration_error, Some([0.45, 0.45]));
    }
}
