//! Nodes, constants and names for a graph that is there already.

use std::collections::BTreeSet;

use super::signed;
use crate::onnx::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};

/// The names of all values of a graph, from which new ones differ.
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    pub(crate) fn of(graph: &GraphProto) -> Self {
        let constants = graph.initializer.iter().map(|constant| constant.name().to_owned());
        let inputs = graph.input.iter().map(|input| input.name().to_owned());
        let outputs = graph.node.iter().flat_map(|node| node.output.iter().cloned());
        Self(constants.chain(inputs).chain(outputs).collect())
    }

    /// `name`, or the first of its successors that no value has.
    pub(crate) fn fresh(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.0.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// A constant of these bytes.
pub(crate) fn tensor(
    name: &str,
    data_type: DataType,
    shape: &[usize],
    raw: Vec<u8>,
) -> TensorProto {
    TensorProto {
        dims: shape.iter().copied().map(signed).collect(),
        data_type: Some(data_type as i32),
        name: Some(name.into()),
        raw_data: Some(raw),
        ..TensorProto::default()
    }
}

/// Bytes of whole numbers, such as the lengths of a `Reshape`.
pub(crate) fn integers(values: &[usize]) -> Vec<u8> {
    values.iter().flat_map(|v| signed(*v).to_le_bytes()).collect()
}

/// Which dimension of its levels a `DequantizeLinear` has a scale for each place of.
pub(crate) fn axis(dequantise: &NodeProto) -> i64 {
    dequantise.attribute.iter().find(|a| a.name() == "axis").map_or(1, |a| a.i())
}

/// A node that is called as the value that it gives.
pub(crate) fn node(
    op: &str,
    input: Vec<String>,
    output: String,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    let name = Some(output.clone());
    let op_type = Some(op.into());
    NodeProto { input, output: vec![output], name, op_type, attribute, domain: None }
}
