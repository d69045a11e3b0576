//! Inputs and outputs that an encoder's graph must have: those that the bundle's manifest lists.

use hilbert_formats::manifest::{Dtype, TensorEntry};

use crate::checkpoint::Config;

/// The interface of one encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// Name of the graph in the bundle.
    pub name: &'static str,
    /// Its inputs in order.
    pub inputs: Vec<TensorEntry>,
    /// Its outputs in order.
    pub outputs: Vec<TensorEntry>,
    /// Word pieces that a table may be asked for; 0 for a graph without such a table.
    pub vocabulary: usize,
}

impl Interface {
    /// `speech_encoder` of a model of this configuration.
    #[must_use]
    pub fn speech_encoder(config: &Config) -> Self {
        let speech = &config.model.speech;
        let frames = speech.frames / speech.reduction();
        let mut outputs = vec![entry("row", Dtype::F32, &[1, config.model.fusion.audio_row])];
        outputs.extend(
            config.alignment.iter().map(|_| entry("frames", Dtype::F32, &[frames, speech.width])),
        );
        let inputs = vec![
            entry("log_mel", Dtype::F32, &[1, speech.n_mels, speech.frames]),
            entry("mask", Dtype::F32, &[1, speech.frames]),
        ];
        Self { name: "speech_encoder", inputs, outputs, vocabulary: 0 }
    }

    /// `text_encoder` of a model of this configuration.
    #[must_use]
    pub fn text_encoder(config: &Config) -> Self {
        let text = &config.model.text;
        let inputs = vec![
            entry("tokens", Dtype::I64, &[1, text.max_tokens]),
            entry("mask", Dtype::F32, &[1, text.max_tokens]),
        ];
        let outputs = vec![entry("row", Dtype::F32, &[1, config.model.fusion.text_row])];
        Self { name: "text_encoder", inputs, outputs, vocabulary: text.vocabulary }
    }
}

fn entry(name: &str, dtype: Dtype, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.into(), dtype, shape: shape.to_vec() }
}
