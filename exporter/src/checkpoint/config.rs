//! `config.json` of a checkpoint: the data classes of `models/reference/hilbert.py`, `log_mel.py` and `segment.py`.

use std::collections::BTreeMap;

use hilbert_formats::manifest::{CalibrationSet, Conformal, Integrity, Segmentation, TaskKind};
use serde::Deserialize;

use super::encoders_config::{EncoderConfig, EncoderForm, EncodersConfig};

/// Largest value of any width, count or length; keeps every product of them inside `usize`.
const LARGEST: usize = 1 << 17;

/// `config.json`. Facts about the training that the bundle does not carry are skipped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Config {
    /// Always `checkpoint::SCHEMA`.
    pub schema: String,
    /// Name of the model; the bundle's unless another is given.
    pub name: String,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// Sources to credit.
    pub credits: Vec<String>,
    /// Calibration of every task by its name.
    pub calibration: BTreeMap<String, CalibrationSet>,
    /// Conformal sets by the task's name, for tasks that have them.
    #[serde(default)]
    pub conformal: BTreeMap<String, Conformal>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// What the speech encoder reads.
    pub log_mel: LogMelConfig,
    /// Pause segmentation.
    pub segmentation: Segmentation,
    /// Widths and counts.
    pub model: ModelConfig,
    /// The alignment head and the scores of `integrity`, where the model has them.
    pub alignment: Option<AlignmentConfig>,
    /// Where the encoders stand, if not in this checkpoint.
    pub encoders: Option<EncodersConfig>,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Provenance {
    /// Device of the training.
    pub device: String,
    /// Its seed.
    pub seed: u64,
    /// Versions of the training software.
    pub versions: BTreeMap<String, String>,
    /// SHA-256 over the training data.
    pub data_sha256: String,
}

/// Log-mel constants, see `hilbert_formats::manifest::Features::LogMel`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manifest's field of the same name documents each")]
pub struct LogMelConfig {
    pub sample_rate: u32,
    pub n_fft: usize,
    pub hop: usize,
    pub n_mels: usize,
    pub frames: usize,
    pub floor: f64,
    pub dynamic_range: f64,
    pub offset: f64,
    pub scale: f64,
}

/// The alignment head, see `hilbert_formats::manifest::Alignment`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the manifest's field of the same name documents each")]
pub struct AlignmentConfig {
    /// Width of the head.
    pub hidden: usize,
    pub alphabet: String,
    pub margin_s: f64,
    pub worst_fit: f64,
    pub integrity: Integrity,
}

/// `HilbertConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The speech encoder.
    pub speech: SpeechConfig,
    /// The text encoder.
    pub text: TextConfig,
    /// The fusion.
    pub fusion: FusionConfig,
    /// The mixture of experts.
    pub experts: ExpertsConfig,
    /// The tasks in the order of the router's rows.
    pub tasks: Vec<TaskConfig>,
}

/// A Whisper-style encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechConfig {
    /// Mel bands.
    pub n_mels: usize,
    /// Log-mel frames of one input.
    pub frames: usize,
    /// Width of a layer.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Frames are averaged in pairs after this many layers; 0: never.
    pub halve_after: usize,
}

/// A BERT-style encoder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Word pieces.
    pub vocabulary: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Width of a layer.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Tokens of one row.
    pub max_tokens: usize,
}

/// The fusion.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// Width of a row of the speech encoder.
    pub audio_row: usize,
    /// Width of a row of the text encoder.
    pub text_row: usize,
    /// Width of a projected row.
    pub width: usize,
    /// Heads of cross-attention.
    pub heads: usize,
    /// Hidden width of a pooling score.
    pub pooling: usize,
    /// Width of the training's contrastive projections; no graph has them.
    pub contrast: usize,
    /// Dropout of the training; no graph has it.
    pub dropout: f64,
    /// Rows of one modality kept for cross-attention.
    pub n_max: usize,
    /// Shortest wavelength of the position encoding, seconds.
    pub period_min_s: f64,
    /// Longest wavelength of the position encoding, seconds.
    pub period_max_s: f64,
}

/// The mixture of experts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertsConfig {
    /// Number of experts.
    pub count: usize,
    /// Width of an expert.
    pub width: usize,
    /// Experts whose gate is below this are not run.
    pub threshold: f32,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskConfig {
    /// Its name.
    pub name: String,
    /// What its head returns.
    pub kind: TaskKind,
    /// Its labels.
    pub labels: Vec<String>,
}

impl SpeechConfig {
    /// Log-mel frames of one frame of the last layer.
    #[must_use]
    pub fn reduction(&self) -> usize {
        let halved = self.halve_after != 0 && self.halve_after < self.layers;
        if halved { 4 } else { 2 }
    }
}

impl TaskConfig {
    /// Numbers that the task's head returns: one for an ordinal task, else one a label.
    #[must_use]
    pub fn outputs(&self) -> usize {
        if self.kind == TaskKind::Ordinal { 1 } else { self.labels.len() }
    }
}

impl Config {
    /// Whether every width, count and length is at least 1 and at most `LARGEST`.
    pub(super) fn is_bounded(&self) -> bool {
        self.sizes().iter().all(|(_, n)| (1..=LARGEST).contains(n))
    }

    /// What keeps the configuration from making graphs, one line each.
    pub(super) fn problems(&self) -> Vec<String> {
        let sizes = self.sizes().into_iter().filter(|(_, n)| !(1..=LARGEST).contains(n));
        let mut problems: Vec<String> =
            sizes.map(|(name, n)| format!("{name}: found {n}, expected 1 to {LARGEST}")).collect();
        if !problems.is_empty() {
            return problems;
        }
        let (mel, m) = (&self.log_mel, &self.model);
        let (speech, text, fusion) = (&m.speech, &m.text, &m.fusion);
        let mut equal = |name: &str, found: usize, expected: usize| {
            if found != expected {
                problems.push(format!("{name}: found {found}, expected {expected}"));
            }
        };
        equal("speech.n_mels", speech.n_mels, mel.n_mels);
        equal("speech.frames", speech.frames, mel.frames);
        equal("speech.frames modulo its reductions", speech.frames % speech.reduction(), 0);
        equal("speech.width modulo speech.heads", speech.width % speech.heads, 0);
        equal("text.width modulo text.heads", text.width % text.heads, 0);
        equal("fusion.width modulo fusion.heads", fusion.width % fusion.heads, 0);
        // An ONNX graph may return rows of any width.
        if !self.is_onnx(EncodersConfig::speech) {
            equal("fusion.audio_row", fusion.audio_row, 2 * speech.width);
        }
        if !self.is_onnx(EncodersConfig::text) {
            equal("fusion.text_row", fusion.text_row, text.width);
        }
        for (name, width) in [("speech.width", speech.width), ("fusion.width", fusion.width)] {
            if width < 4 || width % 2 != 0 {
                problems.push(format!("{name}: found {width}, expected an even number from 4 on"));
            }
        }
        if text.max_tokens > text.positions {
            let (found, most) = (text.max_tokens, text.positions);
            problems.push(format!("text.max_tokens: found {found}, expected at most {most}, the rows of text.positions"));
        }
        for task in m.tasks.iter().filter(|t| !self.calibration.contains_key(&t.name)) {
            problems
                .push(format!("calibration: found none for task {:?}, expected one", task.name));
        }
        let fitted = self.calibration.keys().map(|name| ("calibration", name));
        let fitted = fitted.chain(self.conformal.keys().map(|name| ("conformal", name)));
        for (what, name) in fitted.filter(|(_, name)| !m.tasks.iter().any(|t| t.name == **name)) {
            problems.push(format!("{what}: found one for {name:?}, expected a task of this name"));
        }
        problems
    }

    /// Whether this one of the encoders is an ONNX graph.
    fn is_onnx(&self, encoder: impl Fn(&EncodersConfig) -> Option<&EncoderConfig>) -> bool {
        let stated = self.encoders.as_ref().and_then(encoder);
        stated.is_some_and(|encoder| encoder.form == EncoderForm::Onnx)
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let (speech, text, fusion, experts) =
            (&self.model.speech, &self.model.text, &self.model.fusion, &self.model.experts);
        let mut sizes = vec![
            ("log_mel.n_fft", self.log_mel.n_fft),
            ("log_mel.hop", self.log_mel.hop),
            ("speech.n_mels", speech.n_mels),
            ("speech.frames", speech.frames),
            ("speech.width", speech.width),
            ("speech.heads", speech.heads),
            ("speech.layers", speech.layers),
            ("speech.ffn", speech.ffn),
            ("text.vocabulary", text.vocabulary),
            ("text.positions", text.positions),
            ("text.width", text.width),
            ("text.heads", text.heads),
            ("text.layers", text.layers),
            ("text.ffn", text.ffn),
            ("text.max_tokens", text.max_tokens),
            ("fusion.audio_row", fusion.audio_row),
            ("fusion.text_row", fusion.text_row),
            ("fusion.width", fusion.width),
            ("fusion.heads", fusion.heads),
            ("fusion.pooling", fusion.pooling),
            ("experts.count", experts.count),
            ("experts.width", experts.width),
            ("number of tasks", self.model.tasks.len()),
        ];
        sizes.extend(self.alignment.iter().map(|a| ("alignment.hidden", a.hidden)));
        sizes
    }
}
