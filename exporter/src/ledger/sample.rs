//! The one document of the ledger: the same for every bundle and, to the last bit, on every machine and in the reference.

use hilbert_formats::Cue;
use hilbert_formats::manifest::{Features, Manifest};
use hilbert_formats::taps::{Input, Stored};
use hilbert_runtime::TokenRows;

use crate::error::{ErrorKind, Result};
use crate::package::Package;

/// Log-mel of the first 6 s of the sample recording, `[80, 600]`, in the bytes of [`Input::Levels`]; CC BY 4.0.
///
/// `models/reference/taps.py` wrote it and reads it too.
const LOG_MEL: &[u8] = include_bytes!("../../../examples/data/session.mel");
const BANDS: usize = 80;
const FRAMES: usize = 600;

/// What is said in it; it enters untimed.
const SENTENCE: &str = "It's just so hard to picture.";

/// Most bytes of log-mel that a bundle carries: beyond 163 bands there are fewer frames.
const MOST_LOG_MEL: usize = 96 << 10;

/// Middle of the segment, seconds.
pub(super) const MIDDLE_S: f64 = 3.0;

/// Frames that the alignment head reads; zeros stand behind them.
pub(super) const ALIGNED_FRAMES: usize = 16;

/// One segment and one row of tokens, as the encoders of one bundle read them.
#[derive(Debug)]
pub(super) struct Sample {
    /// `[1, M, real]`
    pub(super) log_mel: Stored,
    /// Frames of log-mel that are real, and frames of the encoder's input.
    pub(super) frames: (usize, usize),
    /// `[1, L]`
    pub(super) tokens: Vec<i64>,
    /// Tokens that are real, and tokens of the encoder's input.
    pub(super) length: (usize, usize),
}

impl Sample {
    pub(super) fn new(package: &Package) -> Result<Self> {
        let manifest = package.manifest();
        let Features::LogMel { n_mels, frames, .. } = manifest.features;
        let real = FRAMES.min(frames).min(MOST_LOG_MEL / n_mels.max(1)).max(1);
        let band = |i: usize| &LOG_MEL[i * BANDS / n_mels * FRAMES..][..real];
        let levels = (0..n_mels).flat_map(band).copied().collect();
        let tokens = tokens(manifest, package.file(manifest.text.vocabulary()))?;
        let words = tokens.iter().rposition(|token| *token != 0).map_or(1, |last| last + 1);
        Ok(Self {
            log_mel: Stored { shape: vec![1, n_mels, real], values: Input::Levels(levels) },
            frames: (real, frames),
            length: (words, tokens.len()),
            tokens,
        })
    }
}

/// The first `real` of `all` as a mask.
pub(super) fn mask((real, all): (usize, usize)) -> Input {
    Input::F32((0..all).map(|i| if i < real { 1.0 } else { 0.0 }).collect())
}

fn tokens(manifest: &Manifest, vocabulary: &[u8]) -> Result<Vec<i64>> {
    let failed = |source| ErrorKind::Runtime { stage: "the ledger's sentence".into(), source };
    let mut rows = TokenRows::new(&manifest.text, vocabulary).map_err(failed)?;
    let mut first = None;
    let mut keep = |row: hilbert_runtime::TokenRow<'_>| {
        first.get_or_insert_with(|| row.tokens.to_vec());
        Ok(())
    };
    let cue = Cue { text: SENTENCE.into(), times: None, line: 1 };
    rows.push(&cue, &mut keep).map_err(failed)?;
    rows.finish(&mut keep).map_err(failed)?;
    Ok(first.unwrap_or_else(|| vec![0; manifest.text.max_tokens()]))
}
