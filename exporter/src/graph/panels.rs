//! Int8 weights in the order in which kernels read them, so that the runtime needs no copy of them.

use hilbert_formats::panels::Panels;

use super::ints;
use super::parts::{Names, axis, integers, node, tensor};
use crate::external::constants::shape;
use crate::onnx::{DataType, GraphProto, NodeProto};

/// Lays every int8 constant into panels that a product or a convolution takes, and nothing else, and whose shape they fit. A `Transpose` and
/// a `Reshape` before its `DequantizeLinear` bring it back into its own order.
pub(super) fn lay(graph: &mut GraphProto) {
    let mut names = Names::of(graph);
    let places: Vec<(usize, usize, Panels)> = weights(graph).collect();
    // From behind, so that the places before stay what they are.
    for (i, (at, constant, panels)) in places.into_iter().enumerate().rev() {
        let stored = &mut graph.initializer[constant];
        let (name, of_weights) = (stored.name().to_owned(), shape(stored));
        let levels = stored.raw_data();
        let bytes = panels.places().map(|i| levels[i]).collect();
        *stored = tensor(&name, DataType::Int8, panels.stored(), bytes);
        let [transposed, in_order, lengths] = ["transposed", "in_order", "shape"]
            .map(|part| names.fresh(&format!("panels_{i}_{part}")));
        let (rank, raw) = (of_weights.len(), integers(&of_weights));
        graph.initializer.push(tensor(&lengths, DataType::Int64, &[rank], raw));
        graph.node[at].input[0].clone_from(&in_order);
        let order = vec![ints("perm", panels.permutation())];
        graph.node.splice(
            at..at,
            [
                node("Transpose", vec![name], transposed.clone(), order),
                node("Reshape", vec![transposed, lengths], in_order, Vec::new()),
            ],
        );
    }
}

/// Each `DequantizeLinear` of such a constant, by their numbers, with its panels.
fn weights(graph: &GraphProto) -> impl Iterator<Item = (usize, usize, Panels)> {
    let of_one = |(at, node): (usize, &NodeProto)| {
        let [levels, ..] = &node.input[..] else { return None };
        let is_weight = |(taker, input): (&NodeProto, usize)| {
            input == 1 && ["MatMul", "Gemm", "Conv"].contains(&taker.op_type())
        };
        let products = takers(graph, node.output.first()?).collect::<Vec<_>>();
        let is_alone = takers(graph, levels).count() == 1;
        if !is_alone || products.is_empty() || !products.into_iter().all(is_weight) {
            return None;
        }
        let constant = graph.initializer.iter().position(|one| one.name() == levels)?;
        let stored = &graph.initializer[constant];
        let panels = Panels::of(&shape(stored), usize::try_from(axis(node)).ok()?)?;
        (stored.data_type() == DataType::Int8).then_some((at, constant, panels))
    };
    let nodes = graph.node.iter().enumerate();
    nodes.filter(|(_, node)| node.op_type() == "DequantizeLinear").filter_map(of_one)
}

/// Who takes `value`, and as which of its inputs.
fn takers<'a>(
    graph: &'a GraphProto,
    value: &'a str,
) -> impl Iterator<Item = (&'a NodeProto, usize)> {
    let inputs = graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().enumerate().map(move |(i, name)| (node, i, name)));
    inputs.filter(move |(_, _, name)| *name == value).map(|(node, i, _)| (node, i))
}
