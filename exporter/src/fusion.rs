//! The graphs of the fusion: projections, cross-attention over blocks, what follows the merge, and the document vector.

use hilbert_formats::manifest::Dtype;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder, Value};
use crate::layers::EPSILON;
use crate::recipe::Recipe;

/// Rows of one block of queries or keys.
pub const BLOCK: usize = 64;

/// One of the two modalities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// Segments of the recording.
    Audio,
    /// Cues of the transcript.
    Text,
}

impl Modality {
    /// Both, in the order of every list.
    pub const BOTH: [Self; 2] = [Self::Audio, Self::Text];

    /// Its name in graphs and tensors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Text => "text",
        }
    }

    /// Its place in [`Modality::BOTH`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Audio => 0,
            Self::Text => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Audio => Self::Text,
            Self::Text => Self::Audio,
        }
    }
}

/// Builds `project_audio` or `project_text`: `row [1, R]`, `position [1, D]` -> `x [1, D]`, `score [1, 1]`.
///
/// `Projection` of `models/reference/hilbert.py`.
///
/// # Errors
/// A tensor that is not there: a fault of the exporter, as everywhere below.
pub fn project(checkpoint: &Checkpoint, recipe: &Recipe, modality: Modality) -> Result<Graph> {
    let config = &checkpoint.config().model.fusion;
    let width = match modality {
        Modality::Audio => config.audio_row,
        Modality::Text => config.text_row,
    };
    let mut g = GraphBuilder::new(format!("project_{}", modality.name()), checkpoint, recipe);
    let row = g.input("row", Dtype::F32, &[1, width]);
    let position = g.input("position", Dtype::F32, &[1, config.width]);
    let name = format!("fusion.project_{}", modality.name());
    let y = g.linear(&format!("{name}.linear"), &row)?;
    let y = g.tap(&format!("{name}.linear"), &y);
    let y = g.layer_norm(&format!("{name}.norm"), &y, EPSILON)?;
    let y = g.tap(&format!("{name}.norm"), &y);
    let x = g.binary("Add", &y, &position);
    let score = g.pooling_score(&name, &x)?;
    g.output("x", &x);
    g.output("score", &score);
    Ok(g.finish())
}

/// Builds `cross_audio` or `cross_text`, named after the modality of the queries.
///
/// `query_rows [B, D]`, `key_rows [B, D]`, `bias [B]` (log size at real keys, -1e9 at padding) ->
/// `numerator [H, B, D / H]`, `maximum [H, B]`, `sum [H, B]`, from which blocks of keys merge by online softmax: for
/// scores s of one query, maximum = max s, sum = sum of exp(s - maximum), numerator = the same sum over values.
///
/// # Errors
/// As [`project`].
pub fn cross(checkpoint: &Checkpoint, recipe: &Recipe, modality: Modality) -> Result<Graph> {
    let config = &checkpoint.config().model.fusion;
    let heads = config.heads;
    let mut g = GraphBuilder::new(format!("cross_{}", modality.name()), checkpoint, recipe);
    let [query_rows, key_rows] =
        ["query_rows", "key_rows"].map(|n| g.input(n, Dtype::F32, &[BLOCK, config.width]));
    let bias = g.input("bias", Dtype::F32, &[BLOCK]);
    let name = format!("fusion.cross_{}", modality.name());
    let mut projected = |part: &str, rows: &Value| {
        let name = format!("{name}.{part}");
        let rows = g.linear(&name, rows)?;
        Ok::<_, Error>(g.tap(&name, &rows))
    };
    let query = projected("query", &query_rows)?;
    let key = projected("key", &key_rows)?;
    let value = projected("value", &key_rows)?;
    let scores = g.scores(&query, &key, &bias, heads);
    let highest = g.reduce("ReduceMax", &scores, 2, true);
    let shifted = g.binary("Sub", &scores, &highest);
    let terms = g.unary("Exp", &shifted);
    let value = g.split_heads(&value, heads);
    let numerator = g.matmul(&terms, &value);
    let maximum = g.reshape(&highest, &[heads, BLOCK]);
    let sum = g.reduce_sum(&terms, 2, false);
    g.output("numerator", &numerator);
    g.output("maximum", &maximum);
    g.output("sum", &sum);
    Ok(g.finish())
}

/// Builds `finish_audio` or `finish_text`: what `CrossAttention` does with merged attention.
///
/// `attended [B, D]` (numerator / sum, heads side by side), `rows [B, D]` (the queries) -> `c [B, D]`, `score [B]`.
///
/// # Errors
/// As [`project`].
pub fn finish(checkpoint: &Checkpoint, recipe: &Recipe, modality: Modality) -> Result<Graph> {
    let width = checkpoint.config().model.fusion.width;
    let mut g = GraphBuilder::new(format!("finish_{}", modality.name()), checkpoint, recipe);
    let [attended, rows] = ["attended", "rows"].map(|n| g.input(n, Dtype::F32, &[BLOCK, width]));
    let name = format!("fusion.cross_{}", modality.name());
    let y = g.linear(&format!("{name}.output"), &attended)?;
    let y = g.tap(&format!("{name}.output"), &y);
    let sum = g.binary("Add", &rows, &y);
    let c = g.layer_norm(&format!("{name}.norm"), &sum, EPSILON)?;
    let score = g.pooling_score(&name, &c)?;
    let score = g.reshape(&score, &[BLOCK]);
    g.output("c", &c);
    g.output("score", &score);
    Ok(g.finish())
}

/// Builds `join`: pooled vectors and `presence [1, 2]` (audio, text; 1 or 0) -> `document [1, 3 D]`.
///
/// The pooled vectors are `audio`, `text`, `cross_audio` and `cross_text`, `[1, D]` each, zeros where absent.
///
/// The second half of `Fusion` of `models/reference/hilbert.py`; the learned null vectors are here.
///
/// # Errors
/// As [`project`].
pub fn join(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Graph> {
    let width = checkpoint.config().model.fusion.width;
    let mut g = GraphBuilder::new("join", checkpoint, recipe);
    let [audio, text, cross_audio, cross_text] =
        ["audio", "text", "cross_audio", "cross_text"].map(|n| g.input(n, Dtype::F32, &[1, width]));
    let presence = g.input("presence", Dtype::F32, &[1, 2]);
    let has_audio = g.slice(&presence, 1, 0, 1, 1);
    let has_text = g.slice(&presence, 1, 1, 2, 1);
    let z_a = or_null(&mut g, &audio, &has_audio, "fusion.null_audio")?;
    let z_t = or_null(&mut g, &text, &has_text, "fusion.null_text")?;
    let z_ca = or_null(&mut g, &cross_audio, &has_audio, "fusion.null_cross_audio")?;
    let z_ct = or_null(&mut g, &cross_text, &has_text, "fusion.null_cross_text")?;
    let both = g.concat(&[&z_ca, &z_ct], 1);
    let z_j = g.linear("fusion.joint", &both)?;
    let z_j = g.tap("fusion.joint", &z_j);
    let mut normed = |name, z: &Value| {
        let z = g.layer_norm(name, z, EPSILON)?;
        Ok::<_, Error>(g.tap(name, &z))
    };
    let z_j = normed("fusion.joint_norm", &z_j)?;
    let z_a = normed("fusion.audio_norm", &z_a)?;
    let z_t = normed("fusion.text_norm", &z_t)?;
    let document = g.concat(&[&z_a, &z_t, &z_j], 1);
    g.output("document", &document);
    Ok(g.finish())
}

/// `has x + (1 - has) null`
fn or_null(g: &mut GraphBuilder<'_>, x: &Value, has: &Value, null: &str) -> Result<Value> {
    let null = g.weight(null)?;
    let one = g.scalar(1.0);
    let absent = g.binary("Sub", &one, has);
    let kept = g.binary("Mul", x, has);
    let filled = g.binary("Mul", &absent, &null);
    Ok(g.binary("Add", &kept, &filled))
}
