//! The graph `text_encoder`: a BERT-style encoder and the mean over the real tokens of its last layer.

use hilbert_formats::manifest::Dtype;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::graph::{Graph, GraphBuilder};
use crate::layers::{BERT_EPSILON, LayerForm};
use crate::recipe::Recipe;

/// Builds `text_encoder`: `tokens [1, L]` i64, `mask [1, L]` (1 real, 0 padding) -> `row [1, D]`.
///
/// `TextEncoder` of `models/reference/hilbert.py` (after huggingface/transformers, `models/bert/modeling_bert.py`). Token
/// ids outside the vocabulary are the caller's fault: operators disagree about them.
///
/// # Errors
/// A tensor that is not there: a fault of the exporter.
pub fn text_encoder(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Graph> {
    let config = &checkpoint.config().model.text;
    let length = config.max_tokens;
    let mut g = GraphBuilder::new("text_encoder", checkpoint, recipe);
    let tokens = g.input("tokens", Dtype::I64, &[1, length]);
    let mask = g.input("mask", Dtype::F32, &[1, length]);

    let tokens = g.reshape(&tokens, &[length]);
    let x = g.lookup("text.tokens.weight", &tokens)?;
    let x = g.tap("text.tokens", &x);
    let positions =
        g.rows("text.positions.weight", checkpoint.tensor("text.positions.weight")?, length);
    let x = g.binary("Add", &x, &positions);
    let x = g.layer_norm("text.norm", &x, BERT_EPSILON)?;
    let mut x = g.tap("text.norm", &x);

    let bias = g.additive(&mask);
    let form = LayerForm { heads: config.heads, pre_norm: false, epsilon: BERT_EPSILON };
    for i in 0..config.layers {
        let name = format!("text.layers.{i}");
        x = g.layer(&name, &x, &bias, form)?;
        x = g.tap(&name, &x);
    }
    let mean_weights = g.mean_weights(&mask);
    let row = g.matmul(&mean_weights, &x);
    g.output("row", &row);
    Ok(g.finish())
}
