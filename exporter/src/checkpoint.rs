//! The checkpoint that `models/reference/train.py` writes: `config.json`, `model.safetensors` and `vocab.txt`.
//!
//! A [`Checkpoint`] that exists has been checked: every tensor that the configuration implies is there in its shape, all
//! values are finite, and nothing unknown is. The encoders may stand in another checkpoint. Normative description:
//! `docs/checkpoint-format.md`.

mod config;
mod layout;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::f16;
use hilbert_formats::bundle::sha256;
use safetensors::{Dtype, SafeTensors};

pub use self::config::{
    AlignmentConfig, Config, EncodersConfig, ExpertsConfig, FusionConfig, LogMelConfig,
    ModelConfig, Provenance, SpeechConfig, TaskConfig, TextConfig,
};
pub use self::layout::tensors;
use crate::error::{ErrorKind, Result};
use crate::quantize::is_quantised;
use crate::speech::POSITIONS;

/// The schema this exporter reads.
pub const SCHEMA: &str = "hilbert.checkpoint/1";

/// How the names of the encoders' tensors begin.
const ENCODERS: [&str; 2] = ["speech.", "text."];

/// Tensors that only the training uses; a checkpoint may hold them.
const TRAINING_ONLY: [&str; 2] = ["contrast.", "segment_score."];

/// A trained model, checked.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    config: Config,
    tensors: BTreeMap<String, Tensor>,
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
    /// once: configuration, missing, unknown and misshapen tensors, types, values that are not finite, the vocabulary, shared
    /// encoders that are not those the checkpoint was trained on.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = read_config(&folder.join("config.json"))?;
        let shared = config.encoders.as_ref();
        let home = shared.map_or_else(|| folder.into(), |s| folder.join(&s.checkpoint));
        let [path, encoders_path] = [folder, &home].map(|f| f.join("model.safetensors"));
        let (bytes, encoders_bytes) = (read(&path)?, read(&encoders_path)?);
        let stored = deserialize(&bytes, &path)?;
        let encoders = deserialize(&encoders_bytes, &encoders_path)?;
        let vocabulary = read(&home.join("vocab.txt"))?;

        let mut problems = config.problems();
        let lines = vocabulary.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count();
        if lines != config.model.text.vocabulary {
            let expected = config.model.text.vocabulary;
            problems.push(format!(
                "vocab.txt: found {lines} pieces, expected {expected} as text.vocabulary says"
            ));
        }
        if let Some(EncodersConfig { checkpoint, sha256: expected }) = shared {
            let found = encoders_sha256(&encoders, &vocabulary);
            if found != *expected {
                let at = checkpoint.display();
                problems
                    .push(format!("encoders: found SHA-256 {found} in {at}, expected {expected}"));
            }
        }
        let mut loaded = BTreeMap::new();
        if config.is_bounded() {
            let expected = tensors(&config.model, config.alignment.as_ref());
            problems.extend(unknown(&stored, &expected, shared.is_some()));
            for (name, shape) in expected {
                let holder = if is_encoder(&name) { &encoders } else { &stored };
                match load(holder, &name, &shape) {
                    Ok(tensor) => drop(loaded.insert(name, tensor)),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        if !problems.is_empty() {
            return Err(ErrorKind::Checkpoint { path: folder.to_path_buf(), problems }.into());
        }
        Ok(Self { config, tensors: loaded, vocabulary, sha256: sha256(&bytes) })
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

    /// Shapes of the tensors that are large enough for int8, by name: the checkpoint's, and `speech.positions`, which the
    /// exporter computes.
    #[must_use]
    pub fn quantisable(&self) -> BTreeMap<String, Vec<usize>> {
        let config = &self.config;
        let mut tensors = tensors(&config.model, config.alignment.as_ref());
        let speech = &config.model.speech;
        tensors.insert(POSITIONS.into(), vec![speech.frames / 2, speech.width]);
        tensors.retain(|_, shape| is_quantised(shape));
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

fn read_config(path: &Path) -> Result<Config> {
    #[derive(serde::Deserialize)]
    struct Stated {
        schema: String,
    }
    let bytes = read(path)?;
    let what = "a checkpoint's configuration";
    let json = |source| ErrorKind::Json { path: path.into(), what, source };
    let stated: Stated = serde_json::from_slice(&bytes).map_err(json)?;
    if stated.schema != SCHEMA {
        let command = "models/reference/train.py";
        return Err(ErrorKind::Schema {
            path: path.into(),
            found: stated.schema,
            expected: SCHEMA,
            command,
        }
        .into());
    }
    Ok(serde_json::from_slice(&bytes).map_err(json)?)
}

fn deserialize<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    let error = |source| ErrorKind::SafeTensors { path: path.into(), source };
    Ok(SafeTensors::deserialize(bytes).map_err(error)?)
}

fn is_encoder(name: &str) -> bool {
    ENCODERS.iter().any(|prefix| name.starts_with(prefix))
}

/// SHA-256, hexadecimal, over name and bytes of each tensor of the encoders by ascending name, then `vocab.txt`.
#[must_use]
pub fn encoders_sha256(stored: &SafeTensors<'_>, vocabulary: &[u8]) -> String {
    let mut views: Vec<_> = stored.iter().filter(|(name, _)| is_encoder(name)).collect();
    views.sort_unstable_by_key(|(name, _)| *name);
    let mut content = Vec::new();
    for (name, view) in &views {
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(view.data());
    }
    content.extend_from_slice(vocabulary);
    sha256(&content)
}

/// Tensors that `expected` lacks, and with shared encoders those that the other checkpoint holds.
fn unknown(
    stored: &SafeTensors<'_>,
    expected: &BTreeMap<String, Vec<usize>>,
    shared: bool,
) -> Vec<String> {
    let mut names: Vec<_> = stored.names();
    names.sort_unstable();
    names.retain(|n| {
        let known = expected.contains_key(*n) && !(shared && is_encoder(n));
        !known && !TRAINING_ONLY.iter().any(|prefix| n.starts_with(prefix))
    });
    names.iter().map(|n| format!("tensor {n:?}: found, expected none of this name")).collect()
}

fn load(
    stored: &SafeTensors<'_>,
    name: &str,
    shape: &[usize],
) -> std::result::Result<Tensor, String> {
    let Ok(view) = stored.tensor(name) else {
        return Err(format!("tensor {name:?}: found none, expected shape {shape:?}"));
    };
    if view.shape() != shape {
        return Err(format!("tensor {name:?}: found shape {:?}, expected {shape:?}", view.shape()));
    }
    let values: Vec<f32> = match view.dtype() {
        Dtype::F16 => {
            view.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::F32 => view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        other => return Err(format!("tensor {name:?}: found type {other:?}, expected F16 or F32")),
    };
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!(
            "tensor {name:?}: found {} at element {i}, expected a finite number",
            values[i]
        )),
        None => Ok(Tensor { shape: shape.to_vec(), values }),
    }
}
