//! The constants of a graph that is there: what each is for, how it is stored, and which numbers it stands for.

use std::collections::{BTreeMap, BTreeSet};

use hilbert_runtime::ErrorKind as RuntimeError;
use prost::Message;
use serde::Serialize;

use crate::error::{ErrorKind, Result};
use crate::evaluate::{Tensor, dequantise, transpose};
use crate::external::constants::shape;
use crate::graph::parts::axis;
use crate::onnx::{DataType, GraphProto, ModelProto, NodeProto, TensorProto};

/// One constant of a graph.
#[derive(Debug, Clone)]
pub struct Constant<'a> {
    stored: &'a TensorProto,
    /// What it is for.
    pub kind: Kind,
    scale: Option<Scale<'a>>,
    /// Where it does not lie in the order of the weights' own shape: what brings it there.
    order: Option<Order>,
}

/// A `Transpose` and a `Reshape`.
#[derive(Debug, Clone)]
struct Order {
    permutation: Vec<usize>,
    shape: Vec<usize>,
}

/// What a constant is for, and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A weight of 8-bit levels.
    Int8,
    /// A weight, or another number that is calculated with, as 32-bit float.
    F32,
    /// Scales of levels.
    Scale,
    /// All else: lengths, dimensions, zero points, other types.
    Other,
}

/// What levels are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale<'a> {
    stored: &'a TensorProto,
    /// The dimension of the levels that has a scale for each place.
    axis: i64,
}

/// The graph that the ONNX file of the graph `name` holds.
///
/// # Errors
/// [`ErrorKind::Runtime`] for what is no ONNX file, as the runtime refuses it.
pub fn decode(name: &str, onnx: &[u8]) -> Result<GraphProto> {
    let refused = |message: String| ErrorKind::Runtime {
        stage: "reading it".into(),
        source: RuntimeError::GraphLoad { graph: name.into(), stage: "parsing", message }.into(),
    };
    let model = ModelProto::decode(onnx).map_err(|error| refused(error.to_string()))?;
    Ok(model.graph.ok_or_else(|| refused("found no graph, expected one".into()))?)
}

/// All constants of `graph` in the order of its file.
#[must_use]
pub fn constants(graph: &GraphProto) -> Vec<Constant<'_>> {
    let values = Values::of(graph);
    let (scaled, mut orders) = (scaled(graph, &values), orders(graph, &values));
    let scales: BTreeSet<_> = scaled.values().map(|scale| scale.stored.name()).collect();
    let steps = of_type(graph, "QuantizeLinear").chain(of_type(graph, "DequantizeLinear"));
    let steps: Vec<_> = steps.collect();
    let is_input = |i, name: &str| steps.iter().any(|node| input(node, i) == name);
    let kind = |stored: &TensorProto| match stored.data_type() {
        DataType::Float if scales.contains(stored.name()) || is_input(1, stored.name()) => {
            Kind::Scale
        }
        DataType::Float => Kind::F32,
        DataType::Int8 if !is_input(2, stored.name()) => Kind::Int8,
        _ => Kind::Other,
    };
    let all = graph.initializer.iter();
    all.map(|stored| {
        let scale = scaled.get(stored.name()).copied();
        Constant { stored, kind: kind(stored), scale, order: orders.remove(stored.name()) }
    })
    .collect()
}

impl<'a> Constant<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.stored.name()
    }

    /// Its shape; of weights that lie in panels the weights' own.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.order.as_ref().map_or_else(|| shape(self.stored), |order| order.shape.clone())
    }

    /// Number of its elements.
    #[must_use]
    pub fn values(&self) -> usize {
        self.shape().into_iter().fold(1, usize::saturating_mul)
    }

    /// Bytes of its elements.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let TensorProto { float_data, int32_data, int64_data, .. } = self.stored;
        self.stored.raw_data().len()
            + 4 * (float_data.len() + int32_data.len())
            + 8 * int64_data.len()
    }

    /// Whether `other` is stored alike: its kind, shape and elements, and those of its scales.
    #[must_use]
    pub fn is_stored_as(&self, other: &Constant<'_>) -> bool {
        (self.kind, self.stored, self.scale) == (other.kind, other.stored, other.scale)
    }

    /// The floats that a weight stands for: levels times their scales. `None` of what is no weight, and of levels whose
    /// scales are not found.
    #[must_use]
    pub fn weights(&self) -> Option<Vec<f32>> {
        let mut stored = Tensor::from_proto(self.stored).ok()?;
        if let Some(Order { permutation, shape }) = &self.order {
            stored = transpose(&stored, permutation).ok()?;
            stored.shape.clone_from(shape);
        }
        let weights = match (self.kind, self.scale) {
            (Kind::F32, _) => stored,
            (Kind::Int8, Some(scale)) => {
                dequantise(&stored, &Tensor::from_proto(scale.stored).ok()?, scale.axis).ok()?
            }
            _ => return None,
        };
        Some(weights.to_f32())
    }
}

/// The values of a graph by name: constants, and the nodes that give the others.
struct Values<'a> {
    stored: BTreeMap<&'a str, &'a TensorProto>,
    makers: BTreeMap<&'a str, &'a NodeProto>,
}

impl<'a> Values<'a> {
    fn of(graph: &'a GraphProto) -> Self {
        let stored = graph.initializer.iter().map(|c| (c.name(), c)).collect();
        let maker = |node: &'a NodeProto| Some((node.output.first()?.as_str(), node));
        Self { stored, makers: graph.node.iter().filter_map(maker).collect() }
    }

    fn made_by(&self, name: &str, operator: &str) -> Option<&'a NodeProto> {
        self.makers.get(name).copied().filter(|node| node.op_type() == operator)
    }

    /// The constant that a `Transpose` and a `Reshape` make `name` of, by its name, and what they do.
    fn reordered(&self, name: &str) -> Option<(&'a str, Order)> {
        let reshape = self.made_by(name, "Reshape")?;
        let transpose = self.made_by(input(reshape, 0), "Transpose")?;
        let levels = self.stored.get(input(transpose, 0))?.name();
        let order = transpose.attribute.iter().find(|a| a.name() == "perm")?;
        let index = |n: &i64| usize::try_from(*n).ok();
        let permutation = order.ints.iter().map(index).collect::<Option<_>>()?;
        let lengths = self.stored.get(input(reshape, 1))?;
        let shape = Tensor::from_proto(lengths).ok()?.indices().ok()?;
        Some((levels, Order { permutation, shape }))
    }
}

/// Levels that are brought into another order before they are multiplied, by name.
fn orders<'a>(graph: &'a GraphProto, values: &Values<'a>) -> BTreeMap<&'a str, Order> {
    let dequantised = of_type(graph, "DequantizeLinear");
    dequantised.filter_map(|node| values.reordered(input(node, 0))).collect()
}

/// Levels without a zero point, by name, with their scales: those of `DequantizeLinear`, and tables of which rows and their
/// scales are chosen before they are multiplied.
fn scaled<'a>(graph: &'a GraphProto, values: &Values<'a>) -> BTreeMap<&'a str, Scale<'a>> {
    let mut scaled = BTreeMap::new();
    let mut insert = |levels, scale, axis| {
        if let Some(&stored) = values.stored.get(scale) {
            scaled.insert(levels, Scale { stored, axis });
        }
    };
    for node in of_type(graph, "DequantizeLinear").filter(|node| node.input.len() < 3) {
        let levels = input(node, 0);
        let levels = values.reordered(levels).map_or(levels, |(levels, _)| levels);
        insert(levels, input(node, 1), axis(node));
    }
    for node in of_type(graph, "Mul") {
        for (levels, scales) in [(0, 1), (1, 0)] {
            let chosen = values.made_by(input(node, levels), "Cast");
            let chosen = chosen.and_then(|cast| values.made_by(input(cast, 0), "Gather"));
            if let (Some(levels), Some(scales)) =
                (chosen, values.made_by(input(node, scales), "Gather"))
                && input(levels, 1) == input(scales, 1)
            {
                insert(input(levels, 0), input(scales, 0), 0);
            }
        }
    }
    scaled
}

fn of_type<'a>(graph: &'a GraphProto, operator: &'a str) -> impl Iterator<Item = &'a NodeProto> {
    graph.node.iter().filter(move |node| node.op_type() == operator)
}

/// Name of the value that `node` reads in place `i`; empty where there is none.
fn input(node: &NodeProto, i: usize) -> &str {
    node.input.get(i).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::int;
    use crate::onnx::AttributeProto;

    fn tensor(name: &str, data_type: DataType, dims: &[i64], raw: Vec<u8>) -> TensorProto {
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type as i32),
            name: Some(name.into()),
            raw_data: Some(raw),
            ..TensorProto::default()
        }
    }

    fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensor(name, DataType::Float, dims, raw)
    }

    fn levels(name: &str, dims: &[i64], values: &[i8]) -> TensorProto {
        tensor(name, DataType::Int8, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.into()],
            op_type: Some(op.into()),
            attribute,
            ..NodeProto::default()
        }
    }

    #[test]
    fn levels_stand_for_themselves_times_the_scales_that_the_graph_multiplies_them_by() {
        let graph = GraphProto {
            initializer: vec![
                levels("columns", &[2, 2], &[1, 2, 3, -4]),
                floats("columns.steps", &[2], &[0.5, 0.25]),
                levels("rows", &[2, 2], &[1, 2, 3, -4]),
                floats("rows.steps", &[2], &[0.5, 0.25]),
                levels("table", &[2, 2], &[1, 2, 3, -4]),
                floats("table.steps", &[2, 1], &[0.5, 0.25]),
                levels("shifted", &[2], &[1, 2]),
                levels("zero", &[1], &[0]),
                floats("step", &[1], &[2.0]),
                levels("alone", &[2], &[1, 2]),
                floats("bias", &[2], &[1.5, -1.0]),
                tensor("shape", DataType::Int64, &[1], 2_i64.to_le_bytes().to_vec()),
            ],
            node: vec![
                node("DequantizeLinear", &["columns", "columns.steps"], "a", Vec::new()),
                node("DequantizeLinear", &["rows", "rows.steps"], "b", vec![int("axis", -2)]),
                node("Gather", &["table", "tokens"], "chosen", Vec::new()),
                node("Gather", &["table.steps", "tokens"], "steps", Vec::new()),
                node("Cast", &["chosen"], "cast", Vec::new()),
                node("Mul", &["steps", "cast"], "c", Vec::new()),
                node("DequantizeLinear", &["shifted", "step", "zero"], "d", Vec::new()),
            ],
            ..GraphProto::default()
        };
        let expected: [(&str, Kind, Option<&[f32]>); 12] = [
            ("columns", Kind::Int8, Some(&[0.5, 0.5, 1.5, -1.0])),
            ("columns.steps", Kind::Scale, None),
            ("rows", Kind::Int8, Some(&[0.5, 1.0, 0.75, -1.0])),
            ("rows.steps", Kind::Scale, None),
            ("table", Kind::Int8, Some(&[0.5, 1.0, 0.75, -1.0])),
            ("table.steps", Kind::Scale, None),
            ("shifted", Kind::Int8, None),
            ("zero", Kind::Other, None),
            ("step", Kind::Scale, None),
            ("alone", Kind::Int8, None),
            ("bias", Kind::F32, Some(&[1.5, -1.0])),
            ("shape", Kind::Other, None),
        ];
        let found = constants(&graph);
        let found: Vec<_> = found.iter().map(|c| (c.name(), c.kind, c.weights())).collect();
        let expected = expected.map(|(name, kind, weights)| (name, kind, weights.map(Vec::from)));
        assert_eq!(found, expected);
    }
}
