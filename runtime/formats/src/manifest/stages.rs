//! Constants of the stages, from the front end to the mixture of experts.

use serde::{Deserialize, Serialize};

use super::MAX_EXPERTS;
use super::check::{require, within};
use crate::error::Result;

/// What the front end resamples to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Hz.
    pub sample_rate: u32,
}

/// What the speech encoder reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Features {
    /// Whisper's log-mel spectrogram of one segment.
    LogMel {
        /// Window and transform length, samples.
        n_fft: usize,
        /// Samples between frames.
        hop: usize,
        /// Slaney bands from 0 Hz to half the sample rate.
        n_mels: usize,
        /// Frames of one encoder input.
        frames: usize,
        /// Power below which the logarithm is cut.
        floor: f64,
        /// log10 units kept below the segment's maximum.
        dynamic_range: f64,
        /// Output is `(log10 + offset) / scale`.
        offset: f64,
        /// See `offset`.
        scale: f64,
    },
}

/// Pause segmentation, as `models/reference/segment.py` specifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segmentation {
    /// Samples of one level frame.
    pub frame: usize,
    /// A pause closes a segment of at least this many seconds.
    pub min_s: f64,
    /// No segment is longer, seconds.
    pub max_s: f64,
    /// Without a pause the cut is at the quietest frame of the last so many seconds.
    pub search_s: f64,
    /// Seconds of silence that make a pause.
    pub pause_s: f64,
    /// Seconds of silence that close a segment of any length.
    pub long_pause_s: f64,
    /// Seconds of silence kept on either side of speech.
    pub padding_s: f64,
    /// A segment with fewer seconds of speech is a pause.
    pub min_speech_s: f64,
    /// Speech stands this many dB above the floor.
    pub margin_db: f64,
    /// Lower bound of the floor, dBFS.
    pub floor_min_db: f64,
    /// Upper bound of the floor, dBFS.
    pub floor_max_db: f64,
    /// How fast the floor rises, dB a second.
    pub floor_rise_db_per_s: f64,
}

/// How cues become tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Text {
    /// BERT's WordPiece, uncased, accents stripped.
    WordPiece {
        /// One of [`super::Manifest::files`]: one piece a line, the line number is the id.
        vocabulary: String,
        /// Tokens of one row, `[CLS]` and `[SEP]` among them.
        max_tokens: usize,
        /// Words of more characters are `[UNK]`.
        max_word_chars: usize,
    },
}

/// Widths and bounds of the fusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fusion {
    /// Width of a projected row.
    pub width: usize,
    /// Heads of cross-attention.
    pub heads: usize,
    /// Rows of one block of queries or keys.
    pub block: usize,
    /// Rows of one modality kept for cross-attention; beyond it neighbours merge.
    pub n_max: usize,
    /// Shortest wavelength of the position encoding, seconds.
    pub period_min_s: f64,
    /// Longest wavelength of the position encoding, seconds.
    pub period_max_s: f64,
}

/// The mixture of experts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Number of experts.
    pub count: usize,
    /// Width of an expert's output.
    pub width: usize,
    /// An expert whose gate is below this is not run; the other gates are divided by their sum.
    pub threshold: f32,
}

impl Audio {
    pub(super) fn check(&self) -> Result<()> {
        within("audio.sample_rate", self.sample_rate, 8_000..=48_000)?;
        let whole = self.sample_rate.is_multiple_of(100);
        require(
            whole,
            "audio.sample_rate",
            self.sample_rate,
            "a multiple of 100, for level frames last 10 ms",
        )
    }
}

impl Features {
    /// Samples of one encoder input.
    #[must_use]
    pub fn input_samples(&self) -> usize {
        let Self::LogMel { hop, frames, .. } = self;
        hop.saturating_mul(*frames)
    }

    pub(super) fn check(&self) -> Result<()> {
        let Self::LogMel { n_fft, hop, n_mels, frames, floor, dynamic_range, offset, scale } = self;
        within("features.n_fft", *n_fft, 16..=8192)?;
        require(n_fft.is_multiple_of(2), "features.n_fft", n_fft, "an even number")?;
        within("features.hop", *hop, 1..=*n_fft)?;
        within("features.n_mels", *n_mels, 1..=256.min(n_fft / 2 + 1))?;
        within("features.frames", *frames, 2..=6000)?;
        require(frames.is_multiple_of(2), "features.frames", frames, "an even number")?;
        let reflected = n_fft / 2 < self.input_samples();
        require(
            reflected,
            "features.frames",
            frames,
            "more samples than half a window, which the ends reflect",
        )?;
        within("features.floor", *floor, f64::MIN_POSITIVE..=1.0)?;
        within("features.dynamic_range", *dynamic_range, 1e-3..=100.0)?;
        within("features.offset", *offset, -1000.0..=1000.0)?;
        within("features.scale", *scale, 1e-3..=1000.0)
    }
}

impl Segmentation {
    pub(super) fn check(&self, sample_rate: u32, features: &Features) -> Result<()> {
        let frame = sample_rate as usize / 100;
        require(
            self.frame == frame,
            "segmentation.frame",
            self.frame,
            format!("{frame} samples, 10 ms"),
        )?;
        within("segmentation.max_s", self.max_s, 0.1..=60.0)?;
        let room = features.input_samples();
        let fits = self.max_s * f64::from(sample_rate) <= room as f64;
        require(
            fits,
            "segmentation.max_s",
            self.max_s,
            format!("at most the {room} samples of one encoder input"),
        )?;
        within("segmentation.min_s", self.min_s, 0.01..=self.max_s)?;
        within("segmentation.search_s", self.search_s, 0.01..=self.max_s)?;
        within("segmentation.long_pause_s", self.long_pause_s, 0.01..=60.0)?;
        within("segmentation.pause_s", self.pause_s, 0.01..=self.long_pause_s)?;
        // More would let a segment start longer than the longest.
        within("segmentation.padding_s", self.padding_s, 0.0..=self.max_s / 2.0)?;
        within("segmentation.min_speech_s", self.min_speech_s, 0.0..=self.min_s)?;
        within("segmentation.margin_db", self.margin_db, 0.0..=100.0)?;
        within("segmentation.floor_max_db", self.floor_max_db, -200.0..=0.0)?;
        within("segmentation.floor_min_db", self.floor_min_db, -200.0..=self.floor_max_db)?;
        within("segmentation.floor_rise_db_per_s", self.floor_rise_db_per_s, 0.0..=1000.0)
    }
}

impl Text {
    /// Tokens of one row.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        let Self::WordPiece { max_tokens, .. } = self;
        *max_tokens
    }

    /// Name of the vocabulary's file.
    #[must_use]
    pub fn vocabulary(&self) -> &str {
        let Self::WordPiece { vocabulary, .. } = self;
        vocabulary
    }

    pub(super) fn check(&self) -> Result<()> {
        let Self::WordPiece { max_tokens, max_word_chars, .. } = self;
        within("text.max_tokens", *max_tokens, 3..=512)?;
        within("text.max_word_chars", *max_word_chars, 1..=1000)
    }
}

impl Fusion {
    pub(super) fn check(&self) -> Result<()> {
        within("fusion.width", self.width, 4..=4096)?;
        require(
            self.width.is_multiple_of(2),
            "fusion.width",
            self.width,
            "an even number, sines and cosines",
        )?;
        within("fusion.heads", self.heads, 1..=64)?;
        let divides = self.width.is_multiple_of(self.heads);
        require(
            divides,
            "fusion.heads",
            self.heads,
            format!("a divisor of the width {}", self.width),
        )?;
        within("fusion.block", self.block, 1..=1024)?;
        within("fusion.n_max", self.n_max, 2..=65_536)?;
        within("fusion.period_max_s", self.period_max_s, 1e-3..=1e9)?;
        within("fusion.period_min_s", self.period_min_s, 1e-3..=self.period_max_s)
    }
}

impl Experts {
    pub(super) fn check(&self) -> Result<()> {
        within("experts.count", self.count, 1..=MAX_EXPERTS)?;
        within("experts.width", self.width, 1..=4096)?;
        // The largest gate is at least 1 / count, so that some expert always runs.
        let some_runs =
            self.threshold >= 0.0 && f64::from(self.threshold) * (self.count as f64) < 1.0;
        let expected = format!("0 to less than 1 / {}, so that some expert runs", self.count);
        require(some_runs, "experts.threshold", self.threshold, expected)
    }
}
