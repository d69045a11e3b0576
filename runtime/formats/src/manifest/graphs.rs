//! Graphs, and the inputs and outputs that the rest of the manifest implies for each.

use serde::{Deserialize, Serialize};

use super::check::{mismatch, require};
use super::{Alignment, Features, GraphMemory, Manifest};
use crate::error::Result;

/// One ONNX graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphEntry {
    /// One of [`Manifest::files`].
    pub file: String,
    /// Inputs in order.
    pub inputs: Vec<TensorEntry>,
    /// Outputs in order.
    pub outputs: Vec<TensorEntry>,
    /// Heap that it takes; every graph of a bundle states it, or none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<GraphMemory>,
}

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// Its name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Fixed shape.
    pub shape: Vec<usize>,
}

/// Element type of a graph's input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// 64-bit integer.
    I64,
}

/// Widths of the encoders' rows: what the manifest states nowhere but in the encoders' outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowWidths {
    /// Of `speech_encoder`.
    pub audio: usize,
    /// Of `text_encoder`.
    pub text: usize,
}

/// Inputs and outputs of one graph, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensors {
    /// Inputs.
    pub inputs: Vec<TensorEntry>,
    /// Outputs.
    pub outputs: Vec<TensorEntry>,
}

impl Manifest {
    /// Names of all graphs that the bundle must have: the fixed ones, `alignment` where the manifest has one, then `expert_0`
    /// and on, then `head_TASK`.
    #[must_use]
    pub fn graph_names(&self) -> Vec<String> {
        let fixed = FIXED.iter().map(|&name| name.to_owned());
        let experts = (0..self.experts.count).map(|i| format!("expert_{i}"));
        let heads = self.tasks.iter().map(|task| format!("head_{}", task.name));
        let alignment = self.alignment.iter().map(|_| "alignment".to_owned());
        fixed.chain(alignment).chain(experts).chain(heads).collect()
    }

    /// Widths of the encoders' rows; `None` if the encoders' first outputs are not `[1, width]`, which parsing refuses.
    #[must_use]
    pub fn row_widths(&self) -> Option<RowWidths> {
        let width = |encoder| match self.graphs.get(encoder)?.outputs.first()?.shape.as_slice() {
            [1, width] => Some(*width),
            _ => None,
        };
        Some(RowWidths { audio: width(ENCODERS[0])?, text: width(ENCODERS[1])? })
    }

    /// Inputs and outputs of the graph `name` for this manifest's constants; `None` if it has no such graph.
    #[must_use]
    pub fn tensors(&self, name: &str, rows: RowWidths) -> Option<Tensors> {
        let Features::LogMel { n_mels, frames, .. } = self.features;
        let (width, heads, block) = (self.fusion.width, self.fusion.heads, self.fusion.block);
        let tokens = self.text.max_tokens();
        let row = |name, width| tensor(name, &[1, width]);
        let (inputs, outputs) = match name {
            "speech_encoder" => {
                let frames_out = self.alignment.as_ref().map(encoder_frames);
                (
                    vec![tensor("log_mel", &[1, n_mels, frames]), row("mask", frames)],
                    [row("row", rows.audio)].into_iter().chain(frames_out).collect(),
                )
            }
            "alignment" => {
                let alignment = self.alignment.as_ref()?;
                let shape = [alignment.frames, Alignment::CLASSES];
                (vec![encoder_frames(alignment)], vec![tensor("log_posteriors", &shape)])
            }
            "text_encoder" => {
                let ids = TensorEntry { dtype: Dtype::I64, ..row("tokens", tokens) };
                (vec![ids, row("mask", tokens)], vec![row("row", rows.text)])
            }
            "project_audio" | "project_text" => {
                let encoded = if name == "project_audio" { rows.audio } else { rows.text };
                (
                    vec![row("row", encoded), row("position", width)],
                    vec![row("x", width), row("score", 1)],
                )
            }
            "cross_audio" | "cross_text" => {
                let side = |name| tensor(name, &[block, width]);
                let per_query = |name| tensor(name, &[heads, block]);
                (
                    vec![side("query_rows"), side("key_rows"), tensor("bias", &[block])],
                    vec![
                        tensor("numerator", &[heads, block, width / heads.max(1)]),
                        per_query("maximum"),
                        per_query("sum"),
                    ],
                )
            }
            "finish_audio" | "finish_text" => {
                let side = |name| tensor(name, &[block, width]);
                (vec![side("attended"), side("rows")], vec![side("c"), tensor("score", &[block])])
            }
            "join" => {
                let pooled =
                    ["audio", "text", "cross_audio", "cross_text"].map(|name| row(name, width));
                let inputs = pooled.into_iter().chain([row("presence", 2)]).collect();
                (inputs, vec![row("document", 3 * width)])
            }
            "router" => {
                let gates = tensor("gates", &[self.tasks.len(), self.experts.count]);
                (vec![row("document", 3 * width)], vec![gates])
            }
            _ => {
                let expert = name.strip_prefix("expert_").and_then(|i| i.parse::<usize>().ok());
                let is_expert =
                    expert.is_some_and(|i| i < self.experts.count && name == format!("expert_{i}"));
                if is_expert {
                    (vec![row("document", 3 * width)], vec![row("output", self.experts.width)])
                } else {
                    let task = name
                        .strip_prefix("head_")
                        .and_then(|n| self.tasks.iter().find(|task| task.name == n))?;
                    (vec![row("mixed", self.experts.width)], vec![row("output", task.outputs())])
                }
            }
        };
        Some(Tensors { inputs, outputs })
    }

    /// Expects the other parts of the manifest to be checked.
    pub(super) fn check_graphs(&self) -> Result<()> {
        let names = self.graph_names();
        if let Some(missing) = names.iter().find(|name| !self.graphs.contains_key(*name)) {
            return Err(mismatch(&format!("graphs.{missing}"), "no such graph", "one"));
        }
        if let Some(unknown) = self.graphs.keys().find(|name| !names.contains(name)) {
            return Err(mismatch(
                &format!("graphs.{unknown}"),
                "a graph that nothing uses",
                "none",
            ));
        }
        for encoder in ENCODERS {
            let outputs = &self.graphs[encoder].outputs;
            let shape = outputs.first().map_or(&[][..], |row| &row.shape);
            let is_row = matches!(shape, [1, 1..=8192]);
            let at = format!("graphs.{encoder}.outputs[0].shape");
            require(is_row, &at, format!("{shape:?}"), "a first output of shape [1, 1 to 8192]")?;
        }
        let Some(rows) = self.row_widths() else {
            return Err(mismatch("graphs", "encoders without rows", "rows"));
        };
        let measured = self.graphs.values().any(|graph| graph.memory.is_some());
        for (name, graph) in &self.graphs {
            let at = format!("graphs.{name}");
            let stated = graph.memory.is_some() == measured;
            require(stated, &format!("{at}.memory"), "none", "figures, as other graphs have them")?;
            graph.memory.iter().try_for_each(|memory| memory.check(&format!("{at}.memory")))?;
            self.check_listed(&graph.file, &format!("{at}.file"))?;
            let other =
                self.graphs.iter().find(|(other, entry)| *other < name && entry.file == graph.file);
            let expected =
                || format!("another file than graph {}", other.map_or("", |(other, _)| other));
            require(other.is_none(), &format!("{at}.file"), &graph.file, expected())?;
            let Some(tensors) = self.tensors(name, rows) else { continue };
            check_tensors(&graph.inputs, &tensors.inputs, &format!("{at}.inputs"))?;
            check_tensors(&graph.outputs, &tensors.outputs, &format!("{at}.outputs"))?;
        }
        Ok(())
    }
}

/// What the speech encoder hands to the alignment head.
fn encoder_frames(alignment: &Alignment) -> TensorEntry {
    tensor("frames", &[alignment.frames, alignment.width])
}

fn tensor(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec() }
}

fn check_tensors(found: &[TensorEntry], expected: &[TensorEntry], at: &str) -> Result<()> {
    let counts = (format!("{} tensors", found.len()), format!("{}", expected.len()));
    require(found.len() == expected.len(), at, counts.0, counts.1)?;
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        require(
            found.name == expected.name,
            &format!("{at}[{i}].name"),
            &found.name,
            &expected.name,
        )?;
        let dtypes = (format!("{:?}", found.dtype), format!("{:?}", expected.dtype));
        let equal = dtypes.0 == dtypes.1;
        require(
            equal,
            &format!("{at}[{i}].dtype"),
            dtypes.0.to_lowercase(),
            dtypes.1.to_lowercase(),
        )?;
        let shapes = (format!("{:?}", found.shape), format!("{:?}", expected.shape));
        require(found.shape == expected.shape, &format!("{at}[{i}].shape"), shapes.0, shapes.1)?;
    }
    Ok(())
}

/// Graphs whose first output is a row.
const ENCODERS: [&str; 2] = ["speech_encoder", "text_encoder"];

/// Graphs that every bundle has.
const FIXED: [&str; 10] = [
    "speech_encoder",
    "text_encoder",
    "project_audio",
    "project_text",
    "cross_audio",
    "cross_text",
    "finish_audio",
    "finish_text",
    "join",
    "router",
];
