//! Encoders as Hugging Face's `transformers` writes them: Whisper's for speech, BERT for text.

mod facts;
mod tokenizer;

use std::path::Path;

use serde_json::{Value, json};

use self::facts::{Fact, disagreements};
pub(super) use self::tokenizer::vocabulary;
use super::stored::{MODEL, Stored};
use super::{Config, Names, Tensor, read_json};
use crate::error::Result;
use crate::layers::BERT_EPSILON;
use crate::speech::positions;

/// The table of positions, BERT's own and the exporter's.
const POSITIONS: (&str, &str) = ("text.positions.weight", "embeddings.position_embeddings.weight");

/// BERT's embedding of segments; every token is of the first, A.
const SEGMENTS: &str = "embeddings.token_type_embeddings.weight";

/// Whisper's table of positions.
const SINUSOIDS: &str = "embed_positions.weight";

/// How the exporter's names of Whisper's key biases end, which Whisper lacks.
const KEY_BIAS: &str = ".attention.key.bias";

/// One of the two families.
#[derive(Debug)]
pub(super) struct Family {
    /// `model_type` of its `config.json`.
    model_type: &'static str,
    /// What may stand before a name, by the class that was saved.
    roots: &'static [&'static str],
    /// The exporter's names, and the file's without what stands before them.
    names: &'static [(&'static str, &'static str)],
    /// How names begin of what is no part of the encoder.
    skipped: &'static [&'static str],
    facts: fn(&Config) -> Vec<Fact>,
}

/// Whisper's encoder, from `WhisperModel`, `WhisperForConditionalGeneration` or `WhisperForAudioClassification`.
pub(super) const WHISPER: Family = Family {
    model_type: "whisper",
    roots: &["model.encoder.", "encoder.", ""],
    names: &[
        ("speech.conv*", "conv*"),
        ("speech.norm.*", "layer_norm.*"),
        ("speech.layers.*.attention.query.*", "layers.*.self_attn.q_proj.*"),
        ("speech.layers.*.attention.key.*", "layers.*.self_attn.k_proj.*"),
        ("speech.layers.*.attention.value.*", "layers.*.self_attn.v_proj.*"),
        ("speech.layers.*.attention.output.*", "layers.*.self_attn.out_proj.*"),
        ("speech.layers.*.attention_norm.*", "layers.*.self_attn_layer_norm.*"),
        ("speech.layers.*.expand.*", "layers.*.fc1.*"),
        ("speech.layers.*.contract.*", "layers.*.fc2.*"),
        ("speech.layers.*.ffn_norm.*", "layers.*.final_layer_norm.*"),
    ],
    skipped: &[
        "model.decoder.",
        "decoder.",
        "proj_out.",
        "projector.",
        "classifier.",
        "layer_weights",
    ],
    facts: whisper_facts,
};

/// BERT, from `BertModel`, `BertForMaskedLM`, `BertForPreTraining` or the like.
pub(super) const BERT: Family = Family {
    model_type: "bert",
    roots: &["bert.", ""],
    names: &[
        ("text.tokens.weight", "embeddings.word_embeddings.weight"),
        POSITIONS,
        ("text.norm.*", "embeddings.LayerNorm.*"),
        ("text.layers.*.attention.output.*", "encoder.layer.*.attention.output.dense.*"),
        ("text.layers.*.attention_norm.*", "encoder.layer.*.attention.output.LayerNorm.*"),
        ("text.layers.*.attention.*", "encoder.layer.*.attention.self.*"),
        ("text.layers.*.expand.*", "encoder.layer.*.intermediate.dense.*"),
        ("text.layers.*.contract.*", "encoder.layer.*.output.dense.*"),
        ("text.layers.*.ffn_norm.*", "encoder.layer.*.output.LayerNorm.*"),
    ],
    skipped: &[
        "bert.pooler.",
        "pooler.",
        "cls.",
        "classifier.",
        "qa_outputs.",
        "bert.embeddings.position_ids",
        "embeddings.position_ids",
    ],
    facts: bert_facts,
};

/// How the tensors of one folder are named.
#[derive(Debug)]
pub(super) struct HuggingFace {
    family: &'static Family,
    root: &'static str,
    names: Names,
}

impl HuggingFace {
    /// The names of this family in `stored`.
    pub(super) fn new(family: &'static Family, stored: &Stored) -> Self {
        let names = Names::new(family.names.iter().copied());
        // The last, nothing, stands before every name.
        let is_root = |root: &&&str| stored.names().any(|name| name.starts_with(**root));
        let root = family.roots.iter().find(is_root).copied().unwrap_or_default();
        Self { family, root, names }
    }

    /// What the file calls the exporter's tensor `ours`.
    pub(super) fn name_of(&self, ours: &str, stored: &Stored) -> String {
        let name = format!("{}{}", self.root, self.names.of(ours).unwrap_or_default());
        // The names of checkpoints that were converted from TensorFlow.
        let older = name
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        if !stored.contains(&name) && stored.contains(&older) { older } else { name }
    }

    /// Whether the tensor `theirs` is known and no weight of the exporter's.
    pub(super) fn skips(&self, theirs: &str) -> bool {
        let known = [SINUSOIDS, SEGMENTS].map(|name| format!("{}{name}", self.root));
        known.iter().any(|name| name == theirs)
            || self.family.skipped.iter().any(|prefix| theirs.starts_with(prefix))
    }

    /// The exporter's tensor `ours`, which the file calls `theirs`.
    ///
    /// # Errors
    /// Everything wrong with it, a line each.
    pub(super) fn load(
        &self,
        ours: &str,
        theirs: &str,
        shape: &[usize],
        stored: &Stored,
    ) -> std::result::Result<Tensor, Vec<String>> {
        if self.family.model_type == WHISPER.model_type
            && ours.ends_with(KEY_BIAS)
            && !stored.contains(theirs)
        {
            let values = vec![0.0; shape.iter().product()];
            return Ok(Tensor { shape: shape.to_vec(), values });
        }
        let mut tensor = stored.load(theirs, shape)?;
        if ours == POSITIONS.0 {
            let name = format!("{}{SEGMENTS}", self.root);
            let width = shape.last().copied().unwrap_or(0);
            let segments = match stored.shape(&name) {
                Some([n, columns]) if *n > 0 && *columns == width => vec![*n, width],
                _ => vec![2, width],
            };
            let segments = stored.load(&name, &segments);
            let segments = segments.map_err(|problems| {
                problems.iter().map(|p| format!("with {name:?}: {p}")).collect::<Vec<_>>()
            })?;
            for row in tensor.values.chunks_exact_mut(width.max(1)) {
                row.iter_mut().zip(&segments.values).for_each(|(value, a)| *value += a);
            }
        }
        Ok(tensor)
    }

    /// What keeps tensors that are in no graph from being those of the family, a line each.
    pub(super) fn problems(&self, config: &Config, stored: &Stored) -> Vec<String> {
        if self.family.model_type != WHISPER.model_type {
            return Vec::new();
        }
        let name = format!("{}{SINUSOIDS}", self.root);
        let (width, least) = (config.model.speech.width, config.model.speech.frames / 2);
        let rows = match stored.shape(&name) {
            Some([rows, columns]) if *columns == width && *rows >= least => *rows,
            found => {
                let found = found.map_or("none".into(), |shape| format!("shape {shape:?}"));
                return vec![format!(
                    "{MODEL}: tensor {name:?}: found {found}, expected [{least} or more, {width}]"
                )];
            }
        };
        let label = |problem| format!("{MODEL}: tensor {name:?}: {problem}");
        match stored.load(&name, &[rows, width]) {
            Err(problems) => problems.into_iter().map(label).collect(),
            Ok(table) => {
                // Whisper computes the angles of up to 1,500 frames in f32.
                let tolerance = 1e-3_f32.max(stored.step(&name));
                let expected = positions(rows, width).values;
                let pairs = || table.values.iter().zip(&expected);
                let first = pairs().position(|(found, sine)| (found - sine).abs() > tolerance);
                let differs = |at: usize| {
                    let (row, column) = (at / width, at % width);
                    let (found, sine) = (table.values[at], expected[at]);
                    label(format!(
                        "found {found} at [{row}, {column}], expected {sine}, Whisper's sinusoid"
                    ))
                };
                first.map(differs).into_iter().collect()
            }
        }
    }
}

/// Every disagreement between the folder's `config.json` and the checkpoint's, a line each, and whether the model is one of
/// the family at all.
///
/// # Errors
/// A file that cannot be read or parsed.
pub(super) fn configuration(
    folder: &Path,
    family: &Family,
    config: &Config,
) -> Result<(Vec<String>, bool)> {
    let file = "config.json";
    let stated: Value = read_json(&folder.join(file), "the configuration of a Hugging Face model")?;
    let of_family = disagreements(file, &stated, &[Fact::new("model_type", family.model_type)]);
    if !of_family.is_empty() {
        return Ok((of_family, false));
    }
    let mut problems = disagreements(file, &stated, &(family.facts)(config));
    let (file, mel) = ("preprocessor_config.json", &config.log_mel);
    if family.model_type == WHISPER.model_type && folder.join(file).exists() {
        let stated: Value = read_json(&folder.join(file), "a feature extractor's configuration")?;
        let facts = [
            Fact::new("feature_size", mel.n_mels),
            Fact::new("sampling_rate", mel.sample_rate),
            Fact::new("hop_length", mel.hop),
            Fact::new("n_fft", mel.n_fft),
        ];
        problems.extend(disagreements(file, &stated, &facts.map(Fact::or_absent)));
    }
    Ok((problems, true))
}

fn whisper_facts(config: &Config) -> Vec<Fact> {
    let speech = &config.model.speech;
    vec![
        Fact::new("d_model", speech.width),
        Fact::new("encoder_layers", speech.layers),
        Fact::new("encoder_attention_heads", speech.heads),
        Fact::new("encoder_ffn_dim", speech.ffn),
        Fact::new("num_mel_bins", speech.n_mels),
        Fact::new("activation_function", "gelu").or_absent(),
    ]
}

fn bert_facts(config: &Config) -> Vec<Fact> {
    let text = &config.model.text;
    vec![
        Fact::new("vocab_size", text.vocabulary),
        Fact::new("max_position_embeddings", text.positions),
        Fact::new("hidden_size", text.width),
        Fact::new("num_attention_heads", text.heads),
        Fact::new("num_hidden_layers", text.layers),
        Fact::new("intermediate_size", text.ffn),
        Fact::new("hidden_act", "gelu").or_absent(),
        Fact::new("layer_norm_eps", json!(BERT_EPSILON)).or_absent(),
        Fact::new("position_embedding_type", "absolute").or_absent(),
        Fact::new("is_decoder", false).or_absent(),
        Fact::new("add_cross_attention", false).or_absent(),
    ]
}
