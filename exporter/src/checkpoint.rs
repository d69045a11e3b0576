//! The checkpoint that `models/reference/train.py` writes: `config.json`, `model.safetensors` and `vocab.txt`.
//!
//! A [`Checkpoint`] that exists has been checked: every tensor that the configuration implies is there in its shape, all
//! values are finite, and nothing unknown is. The encoders may stand in another checkpoint, in models of Hugging Face's, or be
//! ONNX graphs already. Normative description: `docs/checkpoint-format.md`.

mod config;
mod damage;
mod encoders_config;
mod hugging_face;
mod layout;
mod names;
mod sources;
mod stored;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::config::{
    AlignmentConfig, Config, ExpertsConfig, FusionConfig, LogMelConfig, ModelConfig, Provenance,
    SpeechConfig, TaskConfig, TextConfig,
};
pub use self::encoders_config::{EncoderConfig, EncoderForm, EncodersConfig};
pub use self::layout::tensors;
pub use self::names::Names;
use self::sources::Sources;
use self::stored::Stored;
use crate::error::{ErrorKind, Result};
use crate::external::OnnxEncoder;
use crate::quantize::is_quantised;
use crate::speech::POSITIONS;

/// The schema this exporter reads.
pub const SCHEMA: &str = "hilbert.checkpoint/1";

/// How the names of the encoders' tensors begin.
const ENCODERS: [&str; 2] = ["speech.", "text."];

/// A trained model, checked.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    config: Config,
    tensors: BTreeMap<String, Tensor>,
    speech: Option<OnnxEncoder>,
    text: Option<OnnxEncoder>,
    vocabulary: Vec<u8>,
    sha256: String,
}

/// One float tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape; the product is the length of `values`.
    pub shape: Vec<usize>,
    /// Its elements, finite.
    pub values: Vec<f32>,
}

impl Checkpoint {
    /// Reads the checkpoint in `folder`.
    ///
    /// Half-precision tensors become floats of the same value.
    ///
    /// # Errors
    /// A file that cannot be read or parsed; [`ErrorKind::Schema`]; [`ErrorKind::Checkpoint`] with every inconsistency at
    /// once: configuration, missing, unknown and misshapen tensors, types, values that are not finite, the vocabulary,
    /// encoders that are not those the checkpoint was trained on, or that no graph can be built of.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_named(folder, &Names::default())
    }

    /// Reads the checkpoint in `folder`, whose tensors have these names.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; [`ErrorKind::Checkpoint`] also for names that name nothing.
    pub fn open_named(folder: &Path, names: &Names) -> Result<Self> {
        let config = read_config(&folder.join("config.json"))?;
        let mut problems = config.problems();
        let sources = Sources::open(folder, &config, &mut problems)?;
        let lines = sources.vocabulary.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count();
        if lines != config.model.text.vocabulary {
            let expected = config.model.text.vocabulary;
            problems.push(format!(
                "vocab.txt: found {lines} pieces, expected {expected} as text.vocabulary says"
            ));
        }
        let mut loaded = BTreeMap::new();
        if config.is_bounded() {
            let expected = sources.held(tensors(&config.model, config.alignment.as_ref()));
            problems.extend(names.problems(expected.keys()));
            loaded = sources.load(expected, names, &mut problems);
        }
        if !problems.is_empty() {
            return Err(ErrorKind::Checkpoint { path: folder.to_path_buf(), problems }.into());
        }
        let sha256 = sources.sha256();
        let Sources { speech, text, vocabulary, .. } = sources;
        let (speech, text) = (speech.into_onnx(), text.into_onnx());
        Ok(Self { config, tensors: loaded, speech, text, vocabulary, sha256 })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The encoders' `vocab.txt` as it stands: one word piece a line, the line number is the id.
    #[must_use]
    pub fn vocabulary(&self) -> &[u8] {
        &self.vocabulary
    }

    /// SHA-256 of its own `model.safetensors`, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The speech encoder, if it is a graph already: the checkpoint then holds none of its tensors.
    #[must_use]
    pub fn speech_onnx(&self) -> Option<&OnnxEncoder> {
        self.speech.as_ref()
    }

    /// The text encoder, if it is a graph already: the checkpoint then holds none of its tensors.
    #[must_use]
    pub fn text_onnx(&self) -> Option<&OnnxEncoder> {
        self.text.as_ref()
    }

    /// Shapes of the tensors that are large enough for int8, by name: the checkpoint's, `speech.positions`, which the exporter
    /// computes, and the constants of encoders that are ONNX graphs, of which two may have one name.
    #[must_use]
    pub fn quantisable(&self) -> BTreeMap<String, Vec<usize>> {
        let stored = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        let mut tensors: BTreeMap<_, _> = stored.collect();
        if self.speech.is_none() {
            let speech = &self.config.model.speech;
            tensors.insert(POSITIONS.into(), vec![speech.frames / 2, speech.width]);
        }
        tensors.retain(|_, shape| is_quantised(shape));
        tensors.extend(self.speech.iter().chain(&self.text).flat_map(OnnxEncoder::quantisable));
        tensors
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`ErrorKind::NoTensor`], which only a fault of the exporter can cause.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        Ok(self.tensors.get(name).ok_or_else(|| ErrorKind::NoTensor { name: name.into() })?)
    }
}

/// The file's bytes, or an error that names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(fs::read(path).map_err(|source| ErrorKind::Read { path: path.into(), source })?)
}

/// The file's content, which is `what`.
fn read_json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T> {
    let json = |source| ErrorKind::Json { path: path.into(), what, source };
    Ok(serde_json::from_slice(&read(path)?).map_err(json)?)
}

fn read_config(path: &Path) -> Result<Config> {
    let what = "a checkpoint's configuration";
    let stated: Value = read_json(path, what)?;
    if let (None, Some(model)) = (stated.get("schema"), stated.get("model_type")) {
        let problem = format!(
            "found the configuration of a Hugging Face model, {model}, expected a checkpoint's, which may name such a model's \
             folder as one of its `encoders`"
        );
        return Err(ErrorKind::Checkpoint { path: path.into(), problems: vec![problem] }.into());
    }
    let schema = stated["schema"].as_str();
    if let Some(found) = schema.filter(|schema| *schema != SCHEMA) {
        let (found, command) = (found.to_owned(), "models/reference/train.py");
        let path = path.into();
        return Err(ErrorKind::Schema { path, found, expected: SCHEMA, command }.into());
    }
    Ok(Config::deserialize(stated).map_err(|source| ErrorKind::Json {
        path: path.into(),
        what,
        source,
    })?)
}

/// SHA-256, hexadecimal, over name and bytes of each tensor of the encoders in the checkpoint in `folder` by ascending name,
/// then its `vocab.txt`: what a checkpoint that shares them states.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn encoders_sha256(folder: &Path) -> Result<String> {
    Ok(Stored::open(folder)?.encoders_sha256(&read(&folder.join("vocab.txt"))?))
}
