//! The graph `alignment`: character posteriors of the speech encoder's frames.

use hilbert_formats::manifest::Dtype;

use crate::checkpoint::{AlignmentConfig, Checkpoint};
use crate::error::Result;
use crate::graph::{Graph, GraphBuilder, int};
use crate::layers::EPSILON;
use crate::recipe::Recipe;
use crate::speech::convolution;

/// Builds `alignment`: `frames [F, D]`, zeros beyond the segment's end -> `log_posteriors [F, CLASSES]`.
///
/// `AlignmentHead` of `models/reference/hilbert.py`.
///
/// # Errors
/// A tensor that is not there: a fault of the exporter.
pub fn alignment(
    checkpoint: &Checkpoint,
    head: &AlignmentConfig,
    recipe: &Recipe,
) -> Result<Graph> {
    let speech = &checkpoint.config().model.speech;
    let count = speech.frames / speech.reduction();
    let mut g = GraphBuilder::new("alignment", checkpoint, recipe);
    let frames = g.input("frames", Dtype::F32, &[count, speech.width]);
    let x = g.layer_norm("alignment.norm", &frames, EPSILON)?;
    let x = g.tap("alignment.norm", &x);
    let x = g.linear("alignment.reduce", &x)?;
    let x = g.tap("alignment.reduce", &x);
    let x = g.gelu(&x);
    let x = g.transpose(&x, &[1, 0]);
    let x = g.reshape(&x, &[1, head.hidden, count]);
    let x = convolution(&mut g, "alignment.context", &x, head.hidden, 1)?;
    let x = g.reshape(&x, &[head.hidden, count]);
    let x = g.transpose(&x, &[1, 0]);
    let logits = g.linear("alignment.classes", &x)?;
    let logits = g.tap("alignment.classes", &logits);
    let log = g.node("LogSoftmax", &[&logits], vec![int("axis", -1)], logits.shape().to_vec());
    g.output("log_posteriors", &log);
    Ok(g.finish())
}
