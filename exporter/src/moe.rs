//! The graphs of the mixture of experts: router, one graph an expert, one a task's head.

use hilbert_formats::manifest::Dtype;

use crate::checkpoint::{Checkpoint, TaskConfig};
use crate::error::Result;
use crate::graph::{Graph, GraphBuilder};
use crate::recipe::Recipe;

/// Builds `router`: `document [1, 3 D]` -> `gates [K, E]`, one softmax a task, before the threshold.
///
/// # Errors
/// A tensor that is not there: a fault of the exporter, as everywhere below.
pub fn router(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Graph> {
    let config = &checkpoint.config().model;
    let mut g = GraphBuilder::new("router", checkpoint, recipe);
    let document = g.input("document", Dtype::F32, &[1, 3 * config.fusion.width]);
    let logits = g.linear_without_bias("moe.router", &document)?;
    let logits = g.tap("moe.router", &logits);
    let logits = g.reshape(&logits, &[config.tasks.len(), config.experts.count]);
    let gates = g.softmax(&logits);
    g.output("gates", &gates);
    Ok(g.finish())
}

/// Builds `expert_INDEX`: `document [1, 3 D]` -> `output [1, W]`.
///
/// # Errors
/// As [`router`].
pub fn expert(checkpoint: &Checkpoint, recipe: &Recipe, index: usize) -> Result<Graph> {
    let width = checkpoint.config().model.fusion.width;
    let mut g = GraphBuilder::new(format!("expert_{index}"), checkpoint, recipe);
    let document = g.input("document", Dtype::F32, &[1, 3 * width]);
    let name = format!("moe.experts.{index}");
    let expanded = g.linear(&format!("{name}.expand"), &document)?;
    let expanded = g.tap(&format!("{name}.expand"), &expanded);
    let active = g.gelu(&expanded);
    let output = g.linear(&format!("{name}.contract"), &active)?;
    g.output("output", &output);
    Ok(g.finish())
}

/// Builds `head_NAME`: `mixed [1, W]` -> `output [1, C]`, logits or one score.
///
/// # Errors
/// As [`router`].
pub fn head(checkpoint: &Checkpoint, recipe: &Recipe, task: &TaskConfig) -> Result<Graph> {
    let width = checkpoint.config().model.experts.width;
    let mut g = GraphBuilder::new(format!("head_{}", task.name), checkpoint, recipe);
    let mixed = g.input("mixed", Dtype::F32, &[1, width]);
    let output = g.linear(&format!("moe.heads.{}", task.name), &mixed)?;
    g.output("output", &output);
    Ok(g.finish())
}
