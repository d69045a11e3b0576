//! Tasks and their calibration.

use serde::{Deserialize, Serialize};

use super::check::{check_labels, mismatch, require, reserved, within};
use super::{Conformal, MAX_LABELS, MAX_TASKS};
use crate::error::Result;

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its name; its head is the graph `head_NAME`.
    pub name: String,
    /// What the head returns and how it becomes probabilities.
    pub kind: TaskKind,
    /// Labels, for an ordinal task in ascending order.
    pub labels: Vec<String>,
    /// One calibration for each set of modalities present.
    pub calibration: CalibrationSet,
    /// Conformal sets, if they were fitted; never for a multi-label task.
    #[serde(default)]
    pub conformal: Option<Conformal>,
    /// Reserved: decision threshold.
    #[serde(default)]
    pub threshold: Option<serde_json::Value>,
}

/// What a head returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// One score; `P(class > k) = sigmoid(slope (score - cut_k))`.
    Ordinal,
    /// Two logits; `softmax(logits / T)`.
    Binary,
    /// One logit a label; `softmax(logits / T)`.
    MultiClass,
    /// One logit a label; `sigmoid(logit / T)`.
    MultiLabel,
}

/// One calibration for each set of modalities present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationSet {
    /// Audio alone.
    pub audio: Calibration,
    /// Text alone.
    pub text: Calibration,
    /// Both.
    pub audio_text: Calibration,
}

/// Parameters of one calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "found no calibration, expected cuts and slope, or temperature"
)]
pub enum Calibration {
    /// For ordinal tasks: `labels - 1` ascending cuts in units of the score, and a positive slope.
    Cuts {
        /// Ascending.
        cuts: Vec<f32>,
        /// Positive.
        slope: f32,
    },
    /// For the other kinds.
    Temperature {
        /// Positive.
        temperature: f32,
    },
}

impl Task {
    /// Width of the head's output: 1 score for an ordinal task, else one logit for each label.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.kind {
            TaskKind::Ordinal => 1,
            TaskKind::Binary | TaskKind::MultiClass | TaskKind::MultiLabel => self.labels.len(),
        }
    }

    fn check(&self, at: &str) -> Result<()> {
        let named = (1..=32).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        require(named, &format!("{at}.name"), &self.name, "1 to 32 characters of [a-z0-9_]")?;

        let labels = format!("{at}.labels");
        match self.kind {
            TaskKind::Ordinal | TaskKind::MultiClass => {
                within(&labels, self.labels.len(), 2..=MAX_LABELS)?;
            }
            TaskKind::MultiLabel => within(&labels, self.labels.len(), 1..=MAX_LABELS)?,
            TaskKind::Binary => {
                require(self.labels.len() == 2, &labels, self.labels.len(), "2 labels")?;
            }
        }
        check_labels(&labels, &self.labels)?;

        let sets = &self.calibration;
        for (name, calibration) in
            [("audio", &sets.audio), ("text", &sets.text), ("audio_text", &sets.audio_text)]
        {
            self.check_calibration(calibration, &format!("{at}.calibration.{name}"))?;
        }
        if let Some(conformal) = &self.conformal {
            let at = format!("{at}.conformal");
            let expected = "null, for the task is multi-label";
            require(self.kind != TaskKind::MultiLabel, &at, "sets", expected)?;
            conformal.check(&at)?;
        }
        reserved(self.threshold.as_ref(), &format!("{at}.threshold"))
    }

    fn check_calibration(&self, calibration: &Calibration, at: &str) -> Result<()> {
        let positive = |value: f32, name: &str| {
            require(
                value.is_finite() && value > 0.0,
                &format!("{at}.{name}"),
                value,
                "a positive number",
            )
        };
        match (self.kind, calibration) {
            (TaskKind::Ordinal, Calibration::Cuts { cuts, slope }) => {
                let (at, expected) = (format!("{at}.cuts"), self.labels.len() - 1);
                require(cuts.len() == expected, &at, format!("{} cuts", cuts.len()), expected)?;
                for (i, cut) in cuts.iter().enumerate() {
                    let ascending = i == 0 || cuts[i - 1] < *cut;
                    require(
                        cut.is_finite() && ascending,
                        &format!("{at}[{i}]"),
                        cut,
                        "ascending numbers",
                    )?;
                }
                positive(*slope, "slope")
            }
            (TaskKind::Ordinal, Calibration::Temperature { .. }) => {
                Err(mismatch(at, "a temperature", "cuts and slope, for the task is ordinal"))
            }
            (_, Calibration::Temperature { temperature }) => positive(*temperature, "temperature"),
            (_, Calibration::Cuts { .. }) => {
                Err(mismatch(at, "cuts and slope", "a temperature, for the task is not ordinal"))
            }
        }
    }
}

pub(super) fn check(tasks: &[Task]) -> Result<()> {
    within("tasks", tasks.len(), 1..=MAX_TASKS)?;
    for (i, task) in tasks.iter().enumerate() {
        task.check(&format!("tasks[{i}]"))?;
        let unique = tasks[..i].iter().all(|other| other.name != task.name);
        require(unique, &format!("tasks[{i}].name"), &task.name, "a name that no task before has")?;
    }
    Ok(())
}
