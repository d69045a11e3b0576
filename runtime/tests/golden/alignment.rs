//! The stages of `integrity`, of documents with both modalities, if the bundle has an alignment head.

use hilbert_formats::manifest::{self, Features};
use hilbert_runtime::{AlignedCue, Classification, Input, LogMel, NotAligned, Segmenter, Span};

use crate::file::Golden;
use crate::report::{CHAINED, Report, STAGE, Tolerance};
use crate::stages::{double, single};

const CLASSES: usize = manifest::Alignment::CLASSES;

/// What is not known is NaN in the golden file, which equals nothing.
const UNKNOWN: f64 = -1.0;

pub(crate) fn check_alignment(golden: &Golden, document: &str, report: &mut Report) {
    let Some((_, alignment)) = golden.model.alignment() else { return };
    if golden.modalities(document) != ["audio", "text"] {
        return;
    }
    let Features::LogMel { hop, n_mels, frames, .. } = golden.model.manifest().features;
    let reduction = frames / golden.model.manifest().alignment.as_ref().unwrap().frames;
    let segments = golden.input(document, "segments").unwrap();
    let log_mel = golden.input(document, "log_mel").unwrap();
    let posteriors = golden.output(document, "alignment_log_posteriors");
    let mut rest = &posteriors[..];
    for (segment, log_mel) in segments.chunks_exact(2).zip(log_mel.chunks_exact(n_mels * frames)) {
        let real = ((segment[1] - segment[0]) as usize).div_ceil(hop);
        let mask: Vec<f32> = (0..frames).map(|t| if t < real { 1.0 } else { 0.0 }).collect();
        let encoded =
            golden.run("speech_encoder", &[Input::F32(&single(log_mel)), Input::F32(&mask)]);
        let found = golden.run("alignment", &[Input::F32(&encoded[1])]).swap_remove(0);
        let (expected, after) = rest.split_at(real.div_ceil(reduction) * CLASSES);
        let found = double(&found[..expected.len()]);
        report.compare("alignment_log_posteriors", document, &found, expected, STAGE);
        rest = after;
    }

    let fits = golden.output(document, "cue_fits");
    let aligned: Vec<AlignedCue> = fits
        .iter()
        .map(|fit| if fit.is_nan() { Err(NotAligned::Unspoken) } else { Ok(*fit) })
        .map(|fit| AlignedCue { times: None, line: 1, fit })
        .collect();
    let scores: Vec<f64> =
        aligned.iter().map(|cue| cue.fit.map_or(UNKNOWN, |fit| alignment.score(fit))).collect();
    let expected_scores = expected(golden, document, "cue_scores");
    report.compare("cue_scores", document, &scores, &expected_scores, STAGE);
    let classes = expected(golden, document, "integrity");
    let found =
        alignment.probabilities(&aligned).map_or(vec![UNKNOWN; classes.len()], |p| p.to_vec());
    report.compare("integrity", document, &found, &classes, STAGE);
}

/// From the recording and the cues to fits, scores and classes.
pub(crate) fn check_result(
    golden: &Golden,
    document: &str,
    result: &Classification,
    tolerance: Tolerance,
    report: &mut Report,
) {
    let Some(integrity) = &result.integrity else {
        let both = golden.modalities(document) == ["audio", "text"];
        assert!(golden.model.alignment().is_none() || !both, "{document}: no integrity");
        return;
    };
    let mut check = |stage: &str, found: &[f64]| {
        let expected = expected(golden, document, stage);
        report.compare(&format!("chained {stage}"), document, found, &expected, tolerance);
    };
    // Log likelihoods, which have no bound to hold rounded activations to; the scores made of them are probabilities.
    if tolerance == CHAINED {
        check("cue_fits", &chained_fits(golden, document));
    }
    let scores: Vec<f64> = integrity.cues.iter().map(|cue| cue.score.unwrap_or(UNKNOWN)).collect();
    check("cue_scores", &scores);
    let mut classes: Vec<f64> = integrity.probabilities.iter().map(|one| one.probability).collect();
    if integrity.label.is_none() {
        classes = vec![UNKNOWN; golden.output(document, "integrity").len()];
    }
    check("integrity", &classes);
}

/// Fits of the document's cues, stage by stage as a session does it: a result has only their scores.
fn chained_fits(golden: &Golden, document: &str) -> Vec<f64> {
    let (manifest, encoder) = (golden.model.manifest(), golden.model.speech_encoder());
    let (head, alignment) = golden.model.alignment().unwrap();
    let mut aligned = alignment.document(0, 0);
    alignment.push_cues(&mut aligned, &golden.cues(document).unwrap());
    let mut log_mel = LogMel::new(&manifest.features, &manifest.audio).unwrap();
    let (mut row, mut frames) = (vec![0.0; encoder.row_width()], vec![0.0; encoder.frames_len()]);
    let mut log = vec![0.0; head.posteriors_len()];
    let mut push = |span: Span<'_>| {
        let Span::Segment(segment) = span else { return Ok(()) };
        encoder.encode(log_mel.compute(segment.samples)?, &mut row, &mut frames)?;
        head.log_posteriors(&frames, &mut log)?;
        alignment.push_segment(&mut aligned, segment.start, segment.samples.len(), &log);
        Ok(())
    };
    let mut segmenter = Segmenter::new(&manifest.segmentation, &manifest.audio).unwrap();
    segmenter.push(&golden.samples(document).unwrap(), &mut push).unwrap();
    segmenter.finish(&mut push).unwrap();
    alignment.finish(&mut aligned);
    aligned.cues().iter().map(|cue| cue.fit.unwrap_or(UNKNOWN)).collect()
}

fn expected(golden: &Golden, document: &str, stage: &str) -> Vec<f64> {
    known(&golden.output(document, stage))
}

fn known(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| if value.is_nan() { UNKNOWN } else { *value }).collect()
}
