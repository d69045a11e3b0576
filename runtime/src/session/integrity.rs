//! Whether the transcript belongs to the recording: from the segments and cues of one document to its result.

use hilbert_formats::Cue;
use serde::Serialize;

use super::capacities::Capacities;
use super::model::Model;
use super::result::{LabelProbability, Warning, by_label, optional_time, optional_value};
use crate::alignment::{
    AlignedCue, Alignment, AlignmentHead, DocumentAlignment, KEPT_S, NotAligned,
};
use crate::error::Result;
use crate::segment::Segment;

/// Whether the transcript belongs to the recording, by how well the text of each cue fits the audio around it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntegrityResult {
    /// The most probable label; `None` if no cue has a score.
    pub label: Option<String>,
    /// One probability a label, in the order of the manifest; serialised as a map. Empty without a label.
    #[serde(serialize_with = "by_label")]
    pub probabilities: Vec<LabelProbability>,
    /// The cues as they stand in the transcript, one entry each.
    pub cues: Vec<CueScore>,
}

/// One cue of the transcript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CueScore {
    /// Line of the transcript it starts on, counted from 1.
    pub line: u64,
    /// Seconds from the start of the recording; `None` if untimed.
    #[serde(serialize_with = "optional_time")]
    pub start_s: Option<f64>,
    /// Seconds from the start of the recording; `None` if untimed.
    #[serde(serialize_with = "optional_time")]
    pub end_s: Option<f64>,
    /// The probability that its text is another's, from 0 to 1; `None` where a warning says why.
    #[serde(serialize_with = "optional_value")]
    pub score: Option<f64>,
}

/// The alignment of one document after the other, with its buffers.
#[derive(Debug)]
pub(super) struct IntegrityCheck {
    head: AlignmentHead,
    alignment: Alignment,
    labels: Vec<String>,
    document: DocumentAlignment,
    /// The speech encoder's frames of one segment.
    pub(super) frames: Box<[f32]>,
    /// The head's log posteriors of them.
    log_posteriors: Box<[f32]>,
}

impl IntegrityCheck {
    /// `None` if the model has no alignment head.
    pub(super) fn new(model: &Model, capacities: &Capacities) -> Option<Self> {
        let (head, alignment) = model.alignment()?;
        Some(Self {
            document: alignment.document(capacities.waiting_text, capacities.cues),
            frames: vec![0.0; model.speech_encoder.frames_len()].into(),
            log_posteriors: vec![0.0; head.posteriors_len()].into(),
            labels: model.manifest().alignment.as_ref()?.integrity.labels.clone(),
            head: head.clone(),
            alignment: alignment.clone(),
        })
    }

    pub(super) fn clear(&mut self) {
        self.document.clear();
    }

    /// Whether there is room for the cue.
    pub(super) fn check(&self, cue: &Cue) -> Result<()> {
        self.document.check(cue)
    }

    pub(super) fn make_room(&mut self, cues: &[Cue]) {
        self.document.make_room(cues);
    }

    pub(super) fn push_cue(&mut self, cue: &Cue) {
        self.alignment.push_cue(&mut self.document, cue);
    }

    /// Takes a segment whose frames stand in `self.frames`, if it was encoded; cues that are `recorded` have the fits that stand there.
    pub(super) fn push_segment(
        &mut self,
        segment: Segment<'_>,
        is_encoded: bool,
        recorded: &[(usize, f64)],
    ) -> Result<()> {
        let Self { head, alignment, document, frames, log_posteriors, .. } = self;
        if is_encoded {
            head.log_posteriors(frames, log_posteriors)?;
        }
        let log = if is_encoded { &log_posteriors[..] } else { &[] };
        let place = [segment.start, segment.samples.len() as u64];
        alignment.push_recorded(document, place, log, recorded);
        Ok(())
    }

    /// The fits of the cues that ended since the last call.
    pub(super) fn take_scored(&mut self) -> Vec<(usize, f64)> {
        self.document.take_scored()
    }

    /// The result, and why cues have no score.
    pub(super) fn finish(&mut self) -> (IntegrityResult, Vec<Warning>) {
        self.alignment.finish(&mut self.document);
        let cues = self.document.cues();
        let probabilities = self.alignment.probabilities(cues).unwrap_or_default();
        let with_labels = self.labels.iter().zip(probabilities);
        let probabilities: Vec<_> = with_labels
            .map(|(label, probability)| LabelProbability { label: label.clone(), probability })
            .collect();
        // The first of equals.
        let best =
            probabilities.iter().rev().max_by(|a, b| a.probability.total_cmp(&b.probability));
        let label = best.map(|one| one.label.clone());
        let scored = cues.iter().map(|cue| self.scored(cue)).collect();
        (IntegrityResult { label, probabilities, cues: scored }, warnings(cues))
    }

    fn scored(&self, cue: &AlignedCue) -> CueScore {
        CueScore {
            line: cue.line,
            start_s: cue.times.map(|times| times.start_s),
            end_s: cue.times.map(|times| times.end_s),
            score: cue.fit.ok().map(|fit| self.alignment.score(fit)),
        }
    }
}

/// One warning for each reason why a cue has no score.
fn warnings(cues: &[AlignedCue]) -> Vec<Warning> {
    let reasons = [
        (NotAligned::Untimed, "cues_untimed", "without times".to_owned()),
        (NotAligned::Unspoken, "cues_unspoken", "in which nothing can be spoken".to_owned()),
        (
            NotAligned::NotHeld,
            "cues_not_held",
            format!("that begin more than {KEPT_S} s of speech before their end or their arrival"),
        ),
    ];
    let warning = |(reason, code, which): (NotAligned, _, String)| {
        let mut missing = cues.iter().filter(|cue| cue.fit == Err(reason));
        let line = missing.next()?.line;
        let count = 1 + missing.count();
        let message = format!("found {count} cues {which}; they have no integrity score");
        Some(Warning { line: Some(line), ..Warning::new(code, message) })
    };
    reasons.into_iter().filter_map(warning).collect()
}
