//! The stages of `integrity`: the alignment head's graph, and the runtime's own arithmetic behind it.

use hilbert_formats::manifest::{Alignment, Features};
use hilbert_formats::{Cue, CueTimes};
use hilbert_runtime::{AlignedCue, NotAligned};
use serde::Deserialize;

use super::stages::Stages;
use super::{Check, STAGE_TOLERANCE};
use crate::error::Result;

/// A cue as the golden file holds it.
#[derive(Deserialize)]
struct GoldenCue {
    text: String,
    start_s: Option<f64>,
    end_s: Option<f64>,
}

impl Check<'_> {
    /// Posteriors, fits, scores and classes of a document with both modalities, each fed its golden input.
    ///
    /// What the golden file holds of the posteriors counts; the fits need those of all segments.
    pub(super) fn alignment(&mut self, stages: &Stages<'_>) -> Result<()> {
        let Some((_, alignment)) = stages.model.alignment() else { return Ok(()) };
        let Features::LogMel { hop, frames, .. } = stages.manifest.features;
        let reduction = stages.manifest.alignment.as_ref().map_or(1, |a| frames / a.frames);
        let spans = self.golden.spans(&self.document)?;
        let samples =
            |[start, end]: &[i64; 2]| usize::try_from(end.saturating_sub(*start)).unwrap_or(0);
        let real: Vec<_> =
            spans.iter().map(|s| samples(s).div_ceil(hop).div_ceil(reduction)).collect();
        let log = stages.log_posteriors(self.golden, &self.document, &real)?;
        self.compare_start("alignment_log_posteriors", &log)?;

        let log = self.stage("alignment_log_posteriors")?;
        if log.len() == real.iter().sum::<usize>() * Alignment::CLASSES {
            let mut document = alignment.document(0, 0);
            alignment.push_cues(&mut document, &self.cues()?);
            let mut rest = &log[..];
            for (span, real) in spans.iter().zip(&real) {
                let (segment, after) = rest.split_at(real * Alignment::CLASSES);
                let start = u64::try_from(span[0]).unwrap_or(0);
                alignment.push_segment(&mut document, start, samples(span), segment);
                rest = after;
            }
            alignment.finish(&mut document);
            let fits = document.cues().iter().map(|cue| cue.fit.unwrap_or(f64::NAN));
            self.compare_known("cue_fits", fits.collect())?;
        }

        let aligned = self.golden_fits()?;
        let scores = aligned.iter().map(|cue| cue.fit.map_or(f64::NAN, |fit| alignment.score(fit)));
        self.compare_known("cue_scores", scores.collect())?;
        let labels = stages.manifest.alignment.as_ref().map_or(0, |a| a.integrity.labels.len());
        let probabilities = alignment.probabilities(&aligned);
        let probabilities = probabilities.map_or(vec![f64::NAN; labels], |p| p.to_vec());
        self.compare_known("integrity", probabilities)
    }

    fn cues(&self) -> Result<Vec<Cue>> {
        let json = self.golden.cues_json(&self.document)?;
        let cues: Vec<GoldenCue> = serde_json::from_slice(json).map_err(|error| {
            let name = format!("inputs/{}/cues_json", self.document);
            self.golden.wrong(&name, error.to_string(), "a list of cues".into())
        })?;
        let cue = |GoldenCue { text, start_s, end_s }| {
            let times = start_s.zip(end_s).map(|(start_s, end_s)| CueTimes { start_s, end_s });
            Cue { text, times, line: 1 }
        };
        Ok(cues.into_iter().map(cue).collect())
    }

    fn golden_fits(&self) -> Result<Vec<AlignedCue>> {
        let aligned = |fit: f32| {
            let fit = if fit.is_nan() { Err(NotAligned::Unspoken) } else { Ok(f64::from(fit)) };
            AlignedCue { times: None, line: 1, fit }
        };
        Ok(self.known_stage("cue_fits")?.into_iter().map(aligned).collect())
    }

    fn known_stage(&self, stage: &str) -> Result<Vec<f32>> {
        self.golden.floats_of_any_width(&format!("{}/{}/{stage}", self.set, self.document))
    }

    /// As `compare`, where NaN stands for what is not known: both sides have it or neither.
    fn compare_known(&mut self, stage: &str, ours: Vec<f64>) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "compared in single precision")]
        let mut ours: Vec<f32> = ours.into_iter().map(|value| value as f32).collect();
        let mut reference = self.known_stage(stage)?;
        for (a, b) in ours.iter_mut().zip(&mut reference).filter(|(a, b)| a.is_nan() && b.is_nan())
        {
            (*a, *b) = (0.0, 0.0);
        }
        self.agree(stage, &ours, &reference, STAGE_TOLERANCE)
    }
}
