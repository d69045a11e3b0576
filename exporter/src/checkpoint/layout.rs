//! Names and shapes of every tensor that a configuration implies: the state dictionary of `hilbert.Hilbert`.

use std::collections::BTreeMap;

use hilbert_formats::manifest::Alignment;

use super::config::{AlignmentConfig, ModelConfig};

/// Shape of every tensor that a model of this configuration has, by name: the state dictionary of `hilbert.Hilbert`, and of
/// `hilbert.AlignmentHead` where there is one.
#[must_use]
pub fn tensors(
    config: &ModelConfig,
    alignment: Option<&AlignmentConfig>,
) -> BTreeMap<String, Vec<usize>> {
    let mut layout = Layout(BTreeMap::new());
    let speech = &config.speech;
    layout.affine("speech.conv1", &[speech.width, speech.n_mels, 3]);
    layout.affine("speech.conv2", &[speech.width, speech.width, 3]);
    layout.transformer("speech", speech.layers, speech.width, speech.ffn);
    layout.norm("speech.norm", speech.width);

    if let Some(&AlignmentConfig { hidden, .. }) = alignment {
        layout.norm("alignment.norm", speech.width);
        layout.affine("alignment.reduce", &[hidden, speech.width]);
        layout.affine("alignment.context", &[hidden, hidden, 3]);
        layout.affine("alignment.classes", &[Alignment::CLASSES, hidden]);
    }

    let text = &config.text;
    layout.add("text.tokens.weight", &[text.vocabulary, text.width]);
    layout.add("text.positions.weight", &[text.positions, text.width]);
    layout.norm("text.norm", text.width);
    layout.transformer("text", text.layers, text.width, text.ffn);

    let fusion = &config.fusion;
    for (name, row) in [("audio", fusion.audio_row), ("text", fusion.text_row)] {
        let project = format!("fusion.project_{name}");
        layout.affine(&format!("{project}.linear"), &[fusion.width, row]);
        layout.norm(&format!("{project}.norm"), fusion.width);
        layout.pooling(&project, fusion.width, fusion.pooling);
        let cross = format!("fusion.cross_{name}");
        layout.attention(&cross, fusion.width);
        layout.norm(&format!("{cross}.norm"), fusion.width);
        layout.pooling(&cross, fusion.width, fusion.pooling);
        layout.norm(&format!("fusion.{name}_norm"), fusion.width);
        layout.add(&format!("fusion.null_{name}"), &[fusion.width]);
        layout.add(&format!("fusion.null_cross_{name}"), &[fusion.width]);
    }
    layout.affine("fusion.joint", &[fusion.width, 2 * fusion.width]);
    layout.norm("fusion.joint_norm", fusion.width);

    let (experts, document) = (&config.experts, 3 * fusion.width);
    layout.add("moe.router.weight", &[config.tasks.len() * experts.count, document]);
    for i in 0..experts.count {
        layout.affine(&format!("moe.experts.{i}.expand"), &[experts.width, document]);
        layout.affine(&format!("moe.experts.{i}.contract"), &[experts.width, experts.width]);
    }
    for task in &config.tasks {
        layout.affine(&format!("moe.heads.{}", task.name), &[task.outputs(), experts.width]);
    }
    layout.0
}

struct Layout(BTreeMap<String, Vec<usize>>);

impl Layout {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.into(), shape.to_vec());
    }

    /// Weight of this shape, and a bias for each of its first dimension.
    fn affine(&mut self, name: &str, shape: &[usize]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.affine(name, &[width]);
    }

    fn attention(&mut self, name: &str, width: usize) {
        for part in ["query", "key", "value", "output"] {
            self.affine(&format!("{name}.{part}"), &[width, width]);
        }
    }

    fn pooling(&mut self, name: &str, width: usize, hidden: usize) {
        self.add(&format!("{name}.pool.hidden.weight"), &[hidden, width]);
        self.add(&format!("{name}.pool.score.weight"), &[1, hidden]);
    }

    fn transformer(&mut self, name: &str, layers: usize, width: usize, ffn: usize) {
        for i in 0..layers {
            let layer = format!("{name}.layers.{i}");
            self.attention(&format!("{layer}.attention"), width);
            self.norm(&format!("{layer}.attention_norm"), width);
            self.affine(&format!("{layer}.expand"), &[ffn, width]);
            self.affine(&format!("{layer}.contract"), &[width, ffn]);
            self.norm(&format!("{layer}.ffn_norm"), width);
        }
    }
}
