//! What one form decides on documents, from rows on by the runtime's own stages.

use hilbert_formats::manifest::TaskKind;
use hilbert_formats::{Cue, CueTimes};
use hilbert_runtime::{DocumentRows, Modality, TimeSpan, decide};

use super::documents::{Crop, Document};
use super::features::{Features, TokenFeatures};
use super::form::Form;
use crate::error::{Error, ErrorKind, Result};

/// What is decided on one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// One entry a task, in the order of the manifest.
    pub tasks: Vec<TaskDecision>,
    /// What `integrity` is, where the form has it and a cue has a score.
    pub integrity: Option<TaskDecision>,
}

/// What is decided on one task, or of `integrity`.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDecision {
    /// The most probable label; of a multi-label task those of probability 1/2 and more.
    pub labels: Vec<usize>,
    /// One probability a label.
    pub probabilities: Vec<f64>,
}

impl Decided {
    /// The most probable class of `integrity`.
    #[must_use]
    pub fn integrity_class(&self) -> Option<usize> {
        self.integrity.as_ref()?.labels.first().copied()
    }
}

/// Decides every document. `features` are those of all entries under this form.
///
/// # Errors
/// [`ErrorKind::Runtime`] where a stage fails.
pub fn decide_all(
    form: &Form,
    features: &[Features],
    documents: &[Document],
) -> Result<Vec<Decided>> {
    let mut rows = form.fusion.document_rows(form.manifest.fusion.n_max);
    let failed = |source| -> Error {
        ErrorKind::Runtime { stage: "calibration documents".into(), source }.into()
    };
    let decided = documents.iter().map(|d| decide_one(form, &mut rows, features, d));
    decided.map(|one| one.map_err(failed)).collect()
}

fn decide_one(
    form: &Form,
    rows: &mut DocumentRows,
    features: &[Features],
    document: &Document,
) -> hilbert_runtime::Result<Decided> {
    rows.clear();
    let sample_s = 1.0 / f64::from(form.manifest.audio.sample_rate);
    if let Some(crop) = &document.audio {
        let features = &features[crop.entry];
        let start = crop.samples(features).map_or(0, |span| span.start);
        for segment in &features.segments[crop.segments(features)] {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a recording has fewer than 2^52 samples"
            )]
            let at = |sample: u64| (sample - start) as f64 * sample_s;
            let times = TimeSpan { start_s: at(segment.start), end_s: at(segment.end) };
            form.fusion.push(rows, Modality::Audio, &segment.row, Some(times))?;
        }
    }
    if let Some(crop) = &document.text {
        let features = &features[crop.entry];
        let span_s = span_s(crop, features, sample_s);
        for token in tokens(crop, features, span_s) {
            let times = token.times.map(|t| {
                let from = span_s.map_or(0.0, |[start_s, _]| start_s);
                TimeSpan { start_s: t.start_s - from, end_s: t.end_s - from }
            });
            form.fusion.push(rows, Modality::Text, &token.row, times)?;
        }
    }
    let Some(fused) = form.fusion.fuse(rows)? else {
        return Ok(Decided { tasks: Vec::new(), integrity: None });
    };
    let outputs = form.experts.run(&fused.document)?;
    let mut tasks = Vec::new();
    for (task, output) in form.manifest.tasks.iter().zip(&outputs) {
        let decision = decide(task, fused.modalities, &output.output)?;
        let probabilities = decision.probabilities.to_vec();
        let labels = if task.kind == TaskKind::MultiLabel {
            (0..probabilities.len()).filter(|i| probabilities[*i] >= 0.5).collect()
        } else {
            vec![decision.label]
        };
        tasks.push(TaskDecision { labels, probabilities });
    }
    Ok(Decided { tasks, integrity: integrity(form, features, document, sample_s) })
}

/// Start and end of a crop, seconds; `None` where it has no segments.
fn span_s(crop: &Crop, features: &Features, sample_s: f64) -> Option<[f64; 2]> {
    let span = crop.samples(features)?;
    #[expect(clippy::cast_precision_loss, reason = "a recording has fewer than 2^52 samples")]
    let seconds = [span.start, span.end].map(|sample| sample as f64 * sample_s);
    Some(seconds)
}

/// The rows whose middle lies in the crop, and those that are untimed.
fn tokens<'a>(
    crop: &'a Crop,
    features: &'a Features,
    span_s: Option<[f64; 2]>,
) -> impl Iterator<Item = &'a TokenFeatures> {
    let within = move |(i, token): &(usize, &TokenFeatures)| match (span_s, token.times) {
        (None, _) => (crop.first..crop.end).contains(i),
        (Some(_), None) => true,
        (Some([start_s, end_s]), Some(times)) => (start_s..=end_s).contains(&times.middle_s()),
    };
    features.tokens.iter().enumerate().filter(within).map(|(_, token)| token)
}

/// The classes of `integrity` where the document has both sound and words.
fn integrity(
    form: &Form,
    features: &[Features],
    document: &Document,
    sample_s: f64,
) -> Option<TaskDecision> {
    let (_, alignment) = form.alignment.as_ref()?;
    let (audio, text) = (document.audio.as_ref()?, document.text.as_ref()?);
    let (heard, read) = (&features[audio.entry], &features[text.entry]);
    let span_s = span_s(text, read, sample_s)?;
    let start = audio.samples(heard)?.start;
    let mut aligned = alignment.document(0, 0);
    alignment.push_cues(&mut aligned, &cues(read, span_s));
    for segment in &heard.segments[audio.segments(heard)] {
        let samples = usize::try_from(segment.end - segment.start).unwrap_or(usize::MAX);
        alignment.push_segment(
            &mut aligned,
            segment.start - start,
            samples,
            &segment.log_posteriors,
        );
    }
    alignment.finish(&mut aligned);
    let probabilities = alignment.probabilities(aligned.cues())?.to_vec();
    // The first of equals.
    let best = probabilities.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    Some(TaskDecision { labels: vec![best?.0], probabilities })
}

/// The cues whose middle lies in a crop, their times from its start on.
fn cues(features: &Features, [start_s, end_s]: [f64; 2]) -> Vec<Cue> {
    let moved = |cue: &Cue| {
        let times = cue.times?;
        let within = (start_s..=end_s).contains(&f64::midpoint(times.start_s, times.end_s));
        let times = CueTimes {
            start_s: (times.start_s - start_s).max(0.0),
            end_s: (times.end_s - start_s).max(0.0),
        };
        within.then(|| Cue { times: Some(times), ..cue.clone() })
    };
    features.cues.iter().filter_map(moved).collect()
}
