//! What a graph that someone else wrote must be to run in a bundle.

use std::collections::{BTreeMap, BTreeSet};

use hilbert_formats::manifest::{Dtype, TensorEntry};

use super::Interface;
use super::constants::shape;
use crate::graph::value_info;
use crate::onnx::{
    AttributeType, DataType, GraphProto, ModelProto, NodeProto, OPSET, ValueInfoProto,
};

/// Operators that an encoder's graph may hold: what the exporter itself writes, and others that the engine was seen to run.
/// `docs/checkpoint-format.md` lists them.
pub const OPERATORS: [&str; 53] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "Cos",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "Greater",
    "GreaterOrEqual",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Sin",
    "Slice",
    "Softmax",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// Operator sets in which each of [`OPERATORS`] is what it is in the bundle's.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=OPSET;

/// The newest version of the file format whose fields are all known here.
const NEWEST_IR: i64 = 14;

/// Operators that hand on the elements of their first input as they are.
const PASSING: [&str; 6] = ["Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"];

/// Everything wrong with the file around its graph, a line each.
pub(super) fn model(model: &ModelProto) -> Vec<String> {
    let mut problems = Vec::new();
    let ir = model.ir_version();
    if !(1..=NEWEST_IR).contains(&ir) {
        problems.push(format!("ir_version: found {ir}, expected 1 to {NEWEST_IR}"));
    }
    let mut has_default = false;
    for set in &model.opset_import {
        let (domain, version) = (set.domain(), set.version());
        if is_default(domain) {
            has_default = true;
            if !OPSETS.contains(&version) {
                let (first, last) = OPSETS.into_inner();
                problems.push(format!("opset: found {version}, expected {first} to {last}: export the model with opset_version={last}"));
            }
        }
    }
    if !has_default {
        problems.push("opset: found no version of the default set, expected one".into());
    }
    if !model.functions.is_empty() {
        let found = model.functions.len();
        problems.push(format!(
            "found {found} functions of the model's own, expected none: inline them"
        ));
    }
    problems
}

/// Everything wrong with the graph, a line each. Its inputs and outputs are then those of `interface`, in that order.
pub(super) fn graph(graph: &mut GraphProto, interface: &Interface) -> Vec<String> {
    let mut problems = Vec::new();
    if !graph.sparse_initializer.is_empty() {
        let found = graph.sparse_initializer.len();
        problems.push(format!("found {found} sparse constants, expected none"));
    }
    problems.extend(ports("input", &graph.input, &interface.inputs));
    problems.extend(ports("output", &graph.output, &interface.outputs));
    problems.extend(values(graph));
    problems.extend(operators(graph));
    problems.extend(graph.node.iter().filter_map(attribute));
    problems.extend(small_tables(graph, interface));
    let declared = |entry: &TensorEntry| value_info(&entry.name, entry.dtype, &entry.shape);
    graph.input = interface.inputs.iter().map(declared).collect();
    graph.output = interface.outputs.iter().map(declared).collect();
    problems
}

fn is_default(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Inputs or outputs that are not there, are otherwise, or that no one asked for.
fn ports(what: &str, found: &[ValueInfoProto], expected: &[TensorEntry]) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in expected {
        let line = |found: &str| {
            let (name, shape, dtype) = (&entry.name, &entry.shape, dtype(entry.dtype));
            format!("{what} {name:?}: found {found}, expected {dtype:?} {shape:?}")
        };
        let Some(port) = found.iter().find(|port| port.name() == entry.name) else {
            problems.push(line("none"));
            continue;
        };
        let tensor = port.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let lengths = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| &shape.dim);
        let lengths: Vec<String> = lengths
            .into_iter()
            .flatten()
            .map(|length| {
                let fixed = length.dim_value.map(|n| n.to_string());
                fixed.or_else(|| length.dim_param.clone()).unwrap_or_else(|| "?".into())
            })
            .collect();
        let kind = tensor.map_or(DataType::Undefined, |tensor| tensor.elem_type());
        let wanted: Vec<String> = entry.shape.iter().map(usize::to_string).collect();
        if kind != dtype(entry.dtype) || lengths != wanted {
            problems.push(line(&format!("{kind:?} [{}]", lengths.join(", "))));
        }
    }
    let extra = found.iter().filter(|port| !expected.iter().any(|entry| entry.name == port.name()));
    problems.extend(
        extra.map(|port| format!("{what} {:?}: found, expected none of this name", port.name())),
    );
    problems
}

fn dtype(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F32 => DataType::Float,
        Dtype::I64 => DataType::Int64,
    }
}

/// Values that are read before they are made, made twice, or never.
fn values(graph: &GraphProto) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    let given = graph.input.iter().map(ValueInfoProto::name);
    let given = given.chain(graph.initializer.iter().map(|constant| constant.name()));
    let twice = |name: &str| format!("value {name:?}: found twice, expected once");
    for name in given {
        if !known.insert(name) {
            problems.push(twice(name));
        }
    }
    for node in &graph.node {
        for name in
            node.input.iter().filter(|name| !name.is_empty() && !known.contains(name.as_str()))
        {
            problems.push(format!(
                "node {:?}: found no value {name:?} before it, expected one",
                node.name()
            ));
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !known.insert(name) {
                problems.push(twice(name));
            }
        }
    }
    let outputs = graph.output.iter().filter(|output| !known.contains(output.name()));
    problems.extend(outputs.map(|output| {
        format!("output {:?}: found no value of this name, expected one", output.name())
    }));
    problems
}

/// Operators that the engine was not seen to run, each once.
fn operators(graph: &GraphProto) -> Option<String> {
    let mut unknown = BTreeMap::<_, Vec<_>>::new();
    for node in &graph.node {
        let own = is_default(node.domain());
        if !own || !OPERATORS.contains(&node.op_type()) {
            let domain = if own { "" } else { node.domain() };
            unknown.entry((domain, node.op_type())).or_default().push(node.name());
        }
    }
    let one = |((domain, op), nodes): ((&str, &str), Vec<&str>)| {
        let of = if domain.is_empty() { String::new() } else { format!(" of {domain:?}") };
        format!("{op}{of} in {} nodes, the first {:?}", nodes.len(), nodes[0])
    };
    let found: Vec<_> = unknown.into_iter().map(one).collect();
    let expected = OPERATORS.join(", ");
    (!found.is_empty())
        .then(|| format!("operators: found {}, expected {expected}", found.join("; ")))
}

/// An attribute of the node that is no number and no text.
fn attribute(node: &NodeProto) -> Option<String> {
    let name = node.name();
    let known = [
        AttributeType::Float,
        AttributeType::Int,
        AttributeType::String,
        AttributeType::Floats,
        AttributeType::Ints,
    ];
    let other = node.attribute.iter().find(|a| {
        !AttributeType::try_from(a.kind.unwrap_or_default()).is_ok_and(|kind| known.contains(&kind))
    })?;
    Some(format!(
        "node {name:?}: found attribute {:?} of type {}, expected numbers or a string",
        other.name(),
        other.kind.unwrap_or_default()
    ))
}

/// Tables that tokens choose rows of and that have fewer than the vocabulary has pieces.
fn small_tables(graph: &GraphProto, interface: &Interface) -> Vec<String> {
    let tables: BTreeMap<_, _> = graph.initializer.iter().map(|c| (c.name(), shape(c))).collect();
    let mut tokens = BTreeSet::from(["tokens"]);
    let mut problems = Vec::new();
    for node in &graph.node {
        let [first, second] = [0, 1].map(|i| node.input.get(i).map_or("", String::as_str));
        if PASSING.contains(&node.op_type()) && tokens.contains(first) {
            tokens.extend(node.output.iter().map(String::as_str));
        }
        let rows = tables.get(first).and_then(|shape| shape.first());
        if let Some(rows) = rows.filter(|rows| {
            node.op_type() == "Gather" && tokens.contains(second) && **rows < interface.vocabulary
        }) {
            let expected = interface.vocabulary;
            problems.push(format!("constant {first:?}: found {rows} rows, expected {expected} or more, a row each piece of vocab.txt"));
        }
    }
    problems
}
