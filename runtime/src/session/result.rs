//! What a document is classified as, in the form of the JSON result `hilbert.result/1`.

use hilbert_formats::manifest::TaskKind;
use hilbert_formats::{Place, warning};
use serde::{Serialize, Serializer};

use super::integrity::IntegrityResult;

/// The result of one document.
///
/// Serialised it is a `hilbert.result/1`: fields in the order of the declaration, times with 3 decimals, everything else that
/// is computed with 6. All but [`Classification::run`] is the same, byte for byte, whenever the same input meets the same bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Classification {
    /// Always `hilbert.result/1`. Fields are only added within it.
    pub schema: &'static str,
    /// What classified.
    pub tool: Tool,
    /// By which model.
    pub bundle: BundleId,
    /// What was classified.
    pub input: InputSummary,
    /// What was used of it: `audio`, `text` or both.
    pub modalities: &'static [&'static str],
    /// One result a task, in the order of the manifest.
    pub tasks: Vec<TaskResult>,
    /// Whether the transcript belongs to the recording; only of both, and only by a bundle with an alignment head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<IntegrityResult>,
    /// The rows of the audio, in order; none without audio.
    pub segments: Vec<SegmentResult>,
    /// The rows of the transcript, in order; none without one.
    pub cues: Vec<CueResult>,
    /// What was irregular in the input, and what was made of it.
    pub warnings: Vec<Warning>,
    /// Measured values, if [`Options::stats`](crate::Options::stats) asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// What classified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// Version of this crate.
    pub version: &'static str,
}

/// A bundle's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleId {
    /// Name in the manifest.
    pub name: String,
    /// SHA-256 of the manifest, hexadecimal.
    pub sha256: String,
}

/// What was classified. What was not given is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct InputSummary {
    /// Path of the recording.
    pub path: Option<String>,
    /// Length of the recording, seconds.
    #[serde(serialize_with = "optional_time")]
    pub duration_s: Option<f64>,
    /// Sample rate of the recording, Hz.
    pub sample_rate: Option<u32>,
    /// Channels of the recording.
    pub channels: Option<u16>,
    /// Format of the transcript: `srt` or `text`, or `cues` that were pushed one by one.
    pub transcript: Option<&'static str>,
}

/// One task's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskResult {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: TaskKind,
    /// The most probable label.
    pub label: String,
    /// The score of an ordinal task, in units of its cuts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_value")]
    pub score: Option<f64>,
    /// One probability a label, in the order of the manifest; serialised as a map.
    #[serde(serialize_with = "by_label")]
    pub probabilities: Vec<LabelProbability>,
    /// Conformal sets, one a coverage, ascending; none where the bundle has none for the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetResult>,
    /// The experts that were used.
    pub experts: Vec<ExpertGate>,
}

/// A label and its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelProbability {
    /// The label.
    pub label: String,
    /// From 0 to 1.
    pub probability: f64,
}

/// The labels of which the true one is, with a stated probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetResult {
    /// The probability, above 0 and below 1, over documents like those that the bundle's sets were fitted on.
    #[serde(serialize_with = "value")]
    pub coverage: f64,
    /// In the order of the manifest; the most probable label is among them, and those of an ordinal task are a range.
    pub labels: Vec<String>,
}

/// An expert's part in one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExpertGate {
    /// Number of the expert.
    pub id: usize,
    /// Its share, from 0 to 1; the shares of one task sum to 1.
    #[serde(serialize_with = "value")]
    pub gate: f64,
}

/// One row of the audio: a segment, or neighbours that were merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentResult {
    /// Seconds from the start of the recording.
    #[serde(serialize_with = "time")]
    pub start_s: f64,
    /// Seconds from the start of the recording.
    #[serde(serialize_with = "time")]
    pub end_s: f64,
    /// Its share in the pooled audio vector, from 0 to 1; the shares of all segments sum to 1.
    #[serde(serialize_with = "value")]
    pub audio_weight: f64,
    /// How many segments it holds.
    pub merged: u32,
}

/// One row of the transcript: a cue, a part of one, packed sentences, or neighbours that were merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CueResult {
    /// Seconds from the start of the recording; `None` if untimed.
    #[serde(serialize_with = "optional_time")]
    pub start_s: Option<f64>,
    /// Seconds from the start of the recording; `None` if untimed.
    #[serde(serialize_with = "optional_time")]
    pub end_s: Option<f64>,
    /// Its share in the pooled text vector, from 0 to 1; the shares of all cues sum to 1.
    #[serde(serialize_with = "value")]
    pub text_weight: f64,
    /// How many rows it holds.
    pub merged: u32,
}

/// Something irregular in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable name in snake case.
    pub code: &'static str,
    /// One line: what was found, and what was made of it.
    pub message: String,
    /// Byte of the recording, if it stands at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Line of the transcript counted from 1, if it stands on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// Measured values of one classification: they differ from run to run.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct Run {
    /// From the start of the document to its result, seconds.
    #[serde(serialize_with = "value")]
    pub total_s: f64,
    /// In log-mel spectrograms.
    #[serde(serialize_with = "value")]
    pub log_mel_s: f64,
    /// In the speech encoder; on several threads with the log-mel spectrograms, as long as the slowest took.
    #[serde(serialize_with = "value")]
    pub speech_encoder_s: f64,
    /// In the text encoder.
    #[serde(serialize_with = "value")]
    pub text_encoder_s: f64,
    /// In the alignment head and the scores of cues.
    #[serde(serialize_with = "value")]
    pub alignment_s: f64,
    /// In projection, cross-attention and the mixture of experts.
    #[serde(serialize_with = "value")]
    pub fusion_s: f64,
    /// `total_s` over the length of the recording; `None` without one.
    #[serde(serialize_with = "optional_value")]
    pub real_time_factor: Option<f64>,
    /// Largest resident memory of the process so far, bytes, where the system tells (`VmHWM` of Linux).
    pub peak_resident_bytes: Option<u64>,
}

impl Warning {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), offset: None, line: None }
    }
}

impl From<&warning::Warning> for Warning {
    fn from(warning: &warning::Warning) -> Self {
        let (offset, line) = match warning.place {
            Some(Place::Offset(offset)) => (Some(offset), None),
            Some(Place::Line(line)) => (None, Some(line)),
            None => (None, None),
        };
        Self { code: warning.code, message: warning.message.clone(), offset, line }
    }
}

/// Rounded so that the shortest decimal that reads back has at most so many decimals. No negative zero.
fn rounded(x: f64, unit: f64) -> f64 {
    (x * unit).round() / unit + 0.0
}

pub(super) fn time<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*seconds, 1e3))
}

fn value<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*x, 1e6))
}

pub(super) fn optional_time<S: Serializer>(
    seconds: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    seconds.map(|x| rounded(x, 1e3)).serialize(serializer)
}

pub(super) fn optional_value<S: Serializer>(
    x: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    x.map(|x| rounded(x, 1e6)).serialize(serializer)
}

pub(super) fn by_label<S: Serializer>(
    probabilities: &[LabelProbability],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(probabilities.iter().map(|one| (&one.label, rounded(one.probability, 1e6))))
}

#[cfg(test)]
mod tests {
    use hilbert_formats::manifest::TaskKind;

    use super::{
        BundleId, Classification, CueResult, ExpertGate, InputSummary, IntegrityResult,
        LabelProbability, Run, SegmentResult, SetResult, TaskResult, Tool, Warning, rounded,
    };
    use crate::session::CueScore;

    #[test]
    fn the_json_is_that_of_the_schema() {
        let probability =
            |label: &str, probability| LabelProbability { label: label.to_owned(), probability };
        let mut classification = Classification {
            schema: "hilbert.result/1",
            tool: Tool { version: "0.1.0" },
            bundle: BundleId { name: "b".to_owned(), sha256: "00".to_owned() },
            input: InputSummary {
                duration_s: Some(71.300_4),
                transcript: Some("srt"),
                ..InputSummary::default()
            },
            modalities: &["audio", "text"],
            tasks: vec![TaskResult {
                name: "proficiency".to_owned(),
                kind: TaskKind::Ordinal,
                label: "z".to_owned(),
                score: Some(7.9),
                probabilities: vec![probability("z", 0.899_999_99), probability("a", -1e-12)],
                sets: Vec::new(),
                experts: vec![ExpertGate { id: 3, gate: 1.0 / 3.0 }],
            }],
            integrity: Some(IntegrityResult {
                label: Some("intact".to_owned()),
                probabilities: vec![probability("intact", 0.75)],
                cues: [Some(0.000_000_4), None]
                    .map(|score| CueScore { line: 2, start_s: Some(1.000_4), end_s: None, score })
                    .to_vec(),
            }),
            segments: vec![SegmentResult {
                start_s: 0.0,
                end_s: 7.900_49,
                audio_weight: 1.0,
                merged: 2,
            }],
            cues: vec![CueResult { start_s: None, end_s: None, text_weight: 0.5, merged: 1 }],
            warnings: vec![Warning { line: Some(4), ..Warning::new("odd", "an oddity") }],
            run: None,
        };
        let expected = concat!(
            r#"{"schema":"hilbert.result/1","tool":{"version":"0.1.0"},"bundle":{"name":"b","sha256":"00"},"#,
            r#""input":{"path":null,"duration_s":71.3,"sample_rate":null,"channels":null,"transcript":"srt"},"#,
            r#""modalities":["audio","text"],"#,
            r#""tasks":[{"name":"proficiency","kind":"ordinal","label":"z","score":7.9,"probabilities":{"z":0.9,"a":0.0},"#,
            r#""experts":[{"id":3,"gate":0.333333}]}],"#,
            r#""integrity":{"label":"intact","probabilities":{"intact":0.75},"#,
            r#""cues":[{"line":2,"start_s":1.0,"end_s":null,"score":0.0},{"line":2,"start_s":1.0,"end_s":null,"score":null}]},"#,
            r#""segments":[{"start_s":0.0,"end_s":7.9,"audio_weight":1.0,"merged":2}],"#,
            r#""cues":[{"start_s":null,"end_s":null,"text_weight":0.5,"merged":1}],"#,
            r#""warnings":[{"code":"odd","message":"an oddity","line":4}]}"#
        );
        assert_eq!(serde_json::to_string(&classification).unwrap(), expected);
        let labels = ["z", "a"].map(str::to_owned).to_vec();
        classification.tasks[0].sets = vec![SetResult { coverage: 0.9, labels }];
        assert_eq!(
            serde_json::to_string(&classification).unwrap(),
            expected.replace(
                r#""experts""#,
                r#""sets":[{"coverage":0.9,"labels":["z","a"]}],"experts""#
            )
        );
        classification.tasks[0].sets.clear();
        classification.run = Some(Run { total_s: 0.25, ..Run::default() });
        let with_run = serde_json::to_string(&classification).unwrap();
        assert!(
            with_run.starts_with(&expected[..expected.len() - 1])
                && with_run.contains(r#""run":{"total_s":0.25,"#)
        );
    }

    #[test]
    fn rounding_keeps_so_many_decimals() {
        for (x, unit, text) in [
            (2.0 / 3.0, 1e6, "0.666667"),
            (3_599.999_6, 1e3, "3600"),
            (-1e-9, 1e6, "0"),
            (0.0005, 1e3, "0.001"),
        ] {
            assert_eq!(rounded(x, unit).to_string(), text);
        }
    }
}
