//! The section `encoders` of a checkpoint's `config.json`: where its encoders stand, if not in it.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the encoders of a checkpoint stand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Stated")]
pub enum EncodersConfig {
    /// Both, and the vocabulary, in another checkpoint.
    Shared {
        /// Its folder, relative to this one's.
        checkpoint: PathBuf,
        /// The encoders' `checkpoint::encoders_sha256`, hexadecimal.
        sha256: String,
    },
    /// Each in files of its own; one that is not named stands in this checkpoint.
    Each {
        /// The speech encoder.
        speech: Option<EncoderConfig>,
        /// The text encoder.
        text: Option<EncoderConfig>,
    },
}

/// One encoder in files of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "StatedEncoder")]
pub struct EncoderConfig {
    /// What the files are.
    pub form: EncoderForm,
    /// The folder or file, relative to the checkpoint's folder.
    pub path: PathBuf,
    /// SHA-256, hexadecimal, of the file, of the folder's `model.safetensors` or of its shards one after the other, if it is
    /// to be this one and no other.
    pub sha256: Option<String>,
}

/// What an encoder's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderForm {
    /// A folder of Hugging Face's `transformers`.
    HuggingFace,
    /// An ONNX graph.
    Onnx,
}

impl EncodersConfig {
    /// Where the speech encoder stands, if it has files of its own.
    #[must_use]
    pub fn speech(&self) -> Option<&EncoderConfig> {
        match self {
            Self::Shared { .. } => None,
            Self::Each { speech, .. } => speech.as_ref(),
        }
    }

    /// Where the text encoder stands, if it has files of its own.
    #[must_use]
    pub fn text(&self) -> Option<&EncoderConfig> {
        match self {
            Self::Shared { .. } => None,
            Self::Each { text, .. } => text.as_ref(),
        }
    }
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    checkpoint: Option<PathBuf>,
    sha256: Option<String>,
    speech: Option<EncoderConfig>,
    text: Option<EncoderConfig>,
}

impl TryFrom<Stated> for EncodersConfig {
    type Error = &'static str;

    fn try_from(stated: Stated) -> Result<Self, Self::Error> {
        match stated {
            Stated {
                checkpoint: Some(checkpoint),
                sha256: Some(sha256),
                speech: None,
                text: None,
            } => Ok(Self::Shared { checkpoint, sha256 }),
            Stated { checkpoint: None, sha256: None, speech, text }
                if speech.is_some() || text.is_some() =>
            {
                Ok(Self::Each { speech, text })
            }
            _ => Err("encoders: expected `checkpoint` and `sha256`, or `speech`, `text` or both"),
        }
    }
}

/// One encoder as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedEncoder {
    hugging_face: Option<PathBuf>,
    onnx: Option<PathBuf>,
    sha256: Option<String>,
}

impl TryFrom<StatedEncoder> for EncoderConfig {
    type Error = &'static str;

    fn try_from(stated: StatedEncoder) -> Result<Self, Self::Error> {
        let (form, path) = match (stated.hugging_face, stated.onnx) {
            (Some(path), None) => (EncoderForm::HuggingFace, path),
            (None, Some(path)) => (EncoderForm::Onnx, path),
            _ => return Err("an encoder: expected `hugging_face` or `onnx`, one of the two"),
        };
        Ok(Self { form, path, sha256: stated.sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_names_one_checkpoint_or_each_encoders_files() {
        let rows = [
            (r#"{"checkpoint": "a", "sha256": ""}"#, true),
            (r#"{"speech": {"hugging_face": "a"}}"#, true),
            (r#"{"speech": {"onnx": "a", "sha256": ""}, "text": {"hugging_face": "b"}}"#, true),
            (r#"{}"#, false),
            (r#"{"checkpoint": "a"}"#, false),
            (r#"{"checkpoint": "a", "sha256": "", "text": {"onnx": "b"}}"#, false),
            (r#"{"speech": {}}"#, false),
            (r#"{"speech": {"onnx": "a", "hugging_face": "b"}}"#, false),
            (r#"{"speech": {"tflite": "a"}}"#, false),
            (r#"{"audio": {"onnx": "a"}}"#, false),
        ];
        let wrong: Vec<_> = rows
            .iter()
            .filter(|(json, fits)| serde_json::from_str::<EncodersConfig>(json).is_ok() != *fits)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
