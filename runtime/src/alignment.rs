//! How well each cue's text fits the audio under it, and whether the transcript belongs to the recording.
//!
//! A small head on the speech encoder's frames gives character posteriors; a cue is scored by the best path of connectionist
//! temporal classification over the frames around it, as `models/reference/alignment.py` does it, as soon as the audio has
//! passed its end. Memory does not grow with the recording: posteriors are held of the last [`KEPT_S`] of speech. What waits is the text
//! of cues whose audio has not come.

mod characters;
mod ctc;
mod document;
mod posteriors;
mod scores;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::{self, Audio, Features};
use hilbert_formats::{Cue, CueTimes};

pub use self::document::DocumentAlignment;
use self::document::Waiting;
use crate::engine::{Graph, Input};
use crate::error::{ErrorKind, Result};
use crate::limits::{MAX_LABELS, MAX_VALUES};

/// Seconds of speech whose posteriors are held: a cue is scored that begins at most so long before the latest frame.
pub const KEPT_S: f64 = 40.0;

/// The alignment head: frames of one segment to the log-probability of each character and of none.
#[derive(Debug, Clone)]
pub struct AlignmentHead {
    graph: Arc<Graph>,
}

/// How cues are held against posteriors: the constants of a bundle. What is known of a document stands in [`DocumentAlignment`].
#[derive(Debug, Clone)]
pub struct Alignment {
    constants: manifest::Alignment,
    /// Log-mel hop, samples.
    hop: usize,
    /// Log-mel frames of one frame.
    reduction: usize,
    /// Hz.
    sample_rate: f64,
    /// Frames of [`KEPT_S`].
    kept: usize,
}

/// One cue of the transcript, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlignedCue {
    /// When it was said, where the transcript tells.
    pub times: Option<CueTimes>,
    /// Line of the transcript it starts on.
    pub line: u64,
    /// How well its text fits, log-probability a character from the manifest's `worst_fit` to 0, or why that is not known.
    pub fit: std::result::Result<f64, NotAligned>,
}

/// Why a cue has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAligned {
    /// The transcript does not say when it was said.
    Untimed,
    /// Nothing in its text can be spoken.
    Unspoken,
    /// It is longer than [`KEPT_S`] of speech, or it came when its audio had passed.
    NotHeld,
}

impl AlignmentHead {
    /// The head around the graph `alignment`.
    #[must_use]
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph }
    }

    /// Values of one segment's log posteriors.
    #[must_use]
    pub fn posteriors_len(&self) -> usize {
        self.graph.outputs().first().map_or(0, |port| port.len())
    }

    /// Log posteriors of one segment, `[frames, CLASSES]`, into `log`, from the speech encoder's `frames`, `[frames, width]`.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] for lengths other than the graph's.
    pub fn log_posteriors(&self, frames: &[f32], log: &mut [f32]) -> Result<()> {
        self.graph.run_into(&[Input::F32(frames)], &mut [log])
    }
}

impl Alignment {
    /// The alignment of a bundle with these constants.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for frames so short that [`KEPT_S`] of them are too many to hold.
    pub fn new(
        constants: &manifest::Alignment,
        features: &Features,
        audio: &Audio,
    ) -> Result<Self> {
        let Features::LogMel { hop, frames, .. } = *features;
        let reduction = frames.checked_div(constants.frames).unwrap_or(0);
        let sample_rate = f64::from(audio.sample_rate);
        let kept = (KEPT_S * sample_rate / (hop * reduction) as f64).ceil();
        let most = MAX_VALUES / manifest::Alignment::CLASSES;
        if kept > most as f64 {
            return Err(ErrorKind::Setting {
                name: "alignment.frames",
                found: format!("{kept} frames in {KEPT_S} s"),
                expected: format!("at most {most}"),
            }
            .into());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let kept = kept as usize;
        Ok(Self { constants: constants.clone(), hop, reduction, sample_rate, kept })
    }

    /// Buffers for one document at a time, allocated and written here, for at most so many bytes of text that wait and so many
    /// cues.
    #[must_use]
    pub fn document(&self, waiting_text: usize, cues: usize) -> DocumentAlignment {
        DocumentAlignment::new(self.kept, waiting_text, cues)
    }

    /// Bytes of heap that [`Alignment::document`] takes, with all the text that may wait.
    #[must_use]
    pub(crate) const fn heap_bytes(&self, waiting_text: usize, cues: usize) -> usize {
        let posterior = size_of::<f32>() * manifest::Alignment::CLASSES + size_of::<f64>();
        let of_text = 2 + size_of::<[f64; 2]>();
        self.kept * (posterior + of_text)
            + cues * (size_of::<AlignedCue>() + size_of::<Waiting>())
            + waiting_text
    }

    /// Makes room for cues that are known beforehand, and takes them.
    pub fn push_cues(&self, document: &mut DocumentAlignment, cues: &[Cue]) {
        document.make_room(cues);
        cues.iter().for_each(|cue| self.push_cue(document, cue));
    }

    /// Takes the next cue of the transcript, for which there is room.
    pub fn push_cue(&self, document: &mut DocumentAlignment, cue: &Cue) {
        let Cue { times, line, .. } = *cue;
        let missing = if times.is_some() { NotAligned::NotHeld } else { NotAligned::Untimed };
        let index = document.cues.len();
        document.cues.push(AlignedCue { times, line, fit: Err(missing) });
        let Some(times) = times else { return };
        // Of those that end together the first comes first.
        let place = document.waiting.partition_point(|other| other.times.end_s > times.end_s);
        document.waiting_text += cue.text.len();
        document.waiting.insert(place, Waiting { index, times, text: cue.text.as_str().into() });
        if let Some(latest_s) = document.posteriors.latest_s() {
            self.align_until(document, latest_s, &[]);
        }
    }

    /// Takes the log posteriors of the segment of `samples` samples that begins at sample `start`, `[frames, CLASSES]` of which
    /// the real frames count; scores the cues that have passed. Segments ascend.
    pub fn push_segment(
        &self,
        document: &mut DocumentAlignment,
        start: u64,
        samples: usize,
        log: &[f32],
    ) {
        self.push_recorded(document, [start, samples as u64], log, &[]);
    }

    /// The same of a segment of which some is known: cues among `recorded` have the fits that stand there, by their numbers, and it
    /// may come without posteriors.
    pub(crate) fn push_recorded(
        &self,
        document: &mut DocumentAlignment,
        [start, samples]: [u64; 2],
        log: &[f32],
        recorded: &[(usize, f64)],
    ) {
        let frame = (self.hop * self.reduction) as f64;
        let real = samples.div_ceil(self.hop as u64).div_ceil(self.reduction as u64);
        let mut log = log.chunks_exact(manifest::Alignment::CLASSES);
        for i in 0..real.min(self.constants.frames as u64) {
            let middle_s = (start as f64 + (i as f64 + 0.5) * frame) / self.sample_rate;
            self.align_until(document, middle_s, recorded);
            if let Some(log) = log.next() {
                document.posteriors.push(middle_s, log);
            }
        }
    }

    /// Scores what waits: the recording has ended.
    pub fn finish(&self, document: &mut DocumentAlignment) {
        self.align_until(document, f64::INFINITY, &[]);
    }

    /// The probability that a cue's text is another's.
    #[must_use]
    pub fn score(&self, fit: f64) -> f64 {
        scores::sigmoid(scores::logit(&self.constants.integrity.cue, fit))
    }

    /// The probability of each of `integrity.labels`; `None` if no cue has a score.
    #[must_use]
    pub fn probabilities(&self, cues: &[AlignedCue]) -> Option<BoundedVec<f64, MAX_LABELS>> {
        let integrity = &self.constants.integrity;
        let fits = cues.iter().filter_map(|cue| cue.fit.ok());
        scores::probabilities(
            &integrity.document,
            fits.map(|fit| scores::logit(&integrity.cue, fit)),
        )
    }

    /// Scores the cues that end, margin included, before `until_s`.
    fn align_until(
        &self,
        document: &mut DocumentAlignment,
        until_s: f64,
        recorded: &[(usize, f64)],
    ) {
        let ends = |cue: &mut Waiting| cue.times.end_s + self.constants.margin_s < until_s;
        while let Some(cue) = document.waiting.pop_if(ends) {
            document.waiting_text -= cue.text.len();
            let of_cue = recorded.iter().find(|(index, _)| *index == cue.index);
            let fit = of_cue
                .map_or_else(|| self.fit(document, &cue), |(_, fit)| document::from_record(*fit));
            document.scored.push(cue.index);
            if let Some(aligned) = document.cues.get_mut(cue.index) {
                aligned.fit = fit;
            }
        }
    }

    /// `cue_fits` of `models/reference/alignment.py`.
    fn fit(
        &self,
        document: &mut DocumentAlignment,
        cue: &Waiting,
    ) -> std::result::Result<f64, NotAligned> {
        let DocumentAlignment { posteriors, readings, viterbi, .. } = document;
        let manifest::Alignment { margin_s, worst_fit, .. } = self.constants;
        let CueTimes { start_s, end_s } = cue.times;
        let frames =
            posteriors.between(start_s - margin_s, end_s + margin_s).ok_or(NotAligned::NotHeld)?;
        let fits = readings.of(&cue.text).map(|reading| {
            // A text that is longer than what is held fits nothing.
            let fit = reading
                .classes()
                .map_or(f64::NEG_INFINITY, |text| viterbi.fit(frames.clone(), text));
            (fit / reading.count() as f64).max(worst_fit)
        });
        fits.reduce(f64::max).ok_or(NotAligned::Unspoken)
    }
}
