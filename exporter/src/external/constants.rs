//! Constants of a graph that someone else wrote, brought to one form: initialisers with raw bytes.

use std::collections::BTreeSet;

use crate::graph::signed;
use crate::onnx::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};

/// Moves `Constant` nodes to the initialisers, writes all elements as raw bytes, and drops what no node reads.
///
/// Returns what is wrong with them, a line each.
pub(super) fn gathered(graph: &mut GraphProto) -> Vec<String> {
    let mut problems = Vec::new();
    let (nodes, mut others) = (std::mem::take(&mut graph.node), Vec::new());
    for node in nodes {
        if node.op_type() != "Constant" {
            others.push(node);
            continue;
        }
        match constant(&node) {
            Some(tensor) => graph.initializer.push(tensor),
            None => {
                let name = node.output.first().cloned().unwrap_or_default();
                problems
                    .push(format!("constant {name:?}: found no value of numbers, expected one"));
            }
        }
    }
    graph.node = others;
    let read: BTreeSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    graph.initializer.retain(|constant| read.contains(&constant.name().to_owned()));
    for constant in &mut graph.initializer {
        let lines = written_raw(constant);
        problems.extend(lines.iter().map(|line| format!("constant {:?}: {line}", constant.name())));
    }
    let names: BTreeSet<_> = graph.initializer.iter().map(TensorProto::name).collect();
    // Before IR version 4 constants stood among the inputs too.
    graph.input.retain(|input| !names.contains(input.name()));
    problems
}

/// A constant's shape.
pub(crate) fn shape(constant: &TensorProto) -> Vec<usize> {
    constant.dims.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect()
}

/// A constant's floats.
pub(super) fn floats(constant: &TensorProto) -> Vec<f32> {
    let words = constant.raw_data().chunks_exact(4);
    words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// A `Constant` node as an initialiser.
fn constant(node: &NodeProto) -> Option<TensorProto> {
    let [attribute] = &node.attribute[..] else { return None };
    let name = Some(node.output.first()?.clone());
    let AttributeProto { f, i, floats, ints, t, .. } = attribute;
    let (data_type, dims, raw) = match attribute.name() {
        "value" => return Some(TensorProto { name, ..t.clone()? }),
        "value_float" => (DataType::Float, vec![], (*f)?.to_le_bytes().to_vec()),
        "value_int" => (DataType::Int64, vec![], (*i)?.to_le_bytes().to_vec()),
        "value_floats" => {
            (DataType::Float, vec![signed(floats.len())], bytes(floats, |v| v.to_le_bytes()))
        }
        "value_ints" => {
            (DataType::Int64, vec![signed(ints.len())], bytes(ints, |v| v.to_le_bytes()))
        }
        _ => return None,
    };
    let (data_type, raw_data) = (Some(data_type as i32), Some(raw));
    Some(TensorProto { dims, data_type, name, raw_data, ..TensorProto::default() })
}

/// Moves the elements to `raw_data`. Returns what is wrong with the constant, a line each.
fn written_raw(constant: &mut TensorProto) -> Vec<String> {
    if constant.data_location() != 0 {
        return vec!["found its elements in another file, expected them in this one: save the model without external data".into()];
    }
    let size = match constant.data_type() {
        DataType::Float | DataType::Int32 => 4_usize,
        DataType::Int64 => 8,
        DataType::Bool => 1,
        found => {
            return vec![format!(
                "found {found:?}, expected Float, Int32, Int64 or Bool: export the model in 32-bit floats, not quantised"
            )];
        }
    };
    let raw = constant.raw_data.take().unwrap_or_else(|| match constant.data_type() {
        DataType::Float => bytes(&constant.float_data, |v| v.to_le_bytes()),
        DataType::Int64 => bytes(&constant.int64_data, |v| v.to_le_bytes()),
        DataType::Bool => constant.int32_data.iter().map(|v| u8::from(*v != 0)).collect(),
        _ => bytes(&constant.int32_data, |v| v.to_le_bytes()),
    });
    constant.float_data.clear();
    constant.int32_data.clear();
    constant.int64_data.clear();
    constant.data_location = None;
    let mut lengths = constant.dims.iter().map(|n| usize::try_from(*n).ok());
    let count = lengths.try_fold(size, |n, length| n.checked_mul(length?));
    let mut problems = Vec::new();
    if count != Some(raw.len()) {
        let (found, dims) = (raw.len(), &constant.dims);
        problems.push(format!("found {found} bytes, expected those of shape {dims:?}"));
    }
    constant.raw_data = Some(raw);
    if constant.data_type() == DataType::Float {
        let values = floats(constant);
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let found = values[at];
            problems.push(format!("found {found} at element {at}, expected a finite number"));
        }
    }
    problems
}

fn bytes<T: Copy, const N: usize>(values: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|v| to_bytes(*v)).collect()
}
