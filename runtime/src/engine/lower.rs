//! Rewrites a parsed ONNX graph: nodes that a kernel computes together become one, before tract types them.
//!
//! Int8 weights move from the file into the kernels, and are never unfolded to floats. What no pattern knows stays as it is, and
//! so does what computes a value that is asked for: an output or a tap.

mod attention;
mod blocks;
mod convolution;
mod gelu;
mod held;
mod layer_norm;
mod linear;
mod nodes;
mod padding;
mod siblings;
mod statistics;
mod table;
#[cfg(test)]
mod tests;
mod weights;

use tract_onnx::pb::GraphProto;
use tract_onnx::pb::tensor_proto::DataType;

pub(super) use self::held::{File, Held};
use self::nodes::Nodes;
pub(super) use self::padding::Padding;
use super::kernel::{Kernel, LookUp};

/// Name of the operation that stands in a graph for a kernel.
const OPERATION: &str = "HilbertKernel";

/// What the name of a kernel's node begins with; the value that it gives follows.
const PREFIX: &str = "kernel of ";

/// A kernel in its place.
pub(super) struct Lowered {
    /// Number of its node.
    node: usize,
    kernel: Kernel,
    /// Which rows it computes, if not all: then the last of its inputs is the bias that says which count.
    padding: Option<Padding>,
    /// Names of the values that its parts compute.
    values: Vec<String>,
}

impl Lowered {
    /// Puts a kernel with these inputs in the place of the nodes `gone`, of which the last gives `output`.
    fn replace(
        nodes: &mut Nodes<'_>,
        gone: &[usize],
        inputs: Vec<String>,
        output: String,
        kernel: Kernel,
    ) -> Self {
        let values = vec![output.clone()];
        Self { node: nodes.replace(gone, inputs, vec![output]), kernel, padding: None, values }
    }

    /// The values that its node takes.
    fn inputs<'a>(&self, nodes: &'a Nodes<'_>) -> &'a [String] {
        nodes.node(self.node).map_or(&[], |node| &node.input)
    }

    /// Those that the kernel takes: without the bias of its padding.
    fn own_inputs<'a>(&self, nodes: &'a Nodes<'_>) -> &'a [String] {
        let inputs = self.inputs(nodes);
        &inputs[..inputs.len() - usize::from(self.padding.is_some())]
    }
}

/// A kernel with the name of its node.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) kernel: Kernel,
    pub(super) padding: Option<Padding>,
    pub(super) values: Vec<String>,
}

/// Rewrites `graph`, whose larger constants may be `held`, keeping its outputs and the values `taps`, and returns the kernels. A graph without int8 weights was meant to
/// be computed in floats, and is.
pub(super) fn lower(graph: &mut GraphProto, held: &Held<'_>, taps: &[&str]) -> Vec<Named> {
    let patterns = [
        attention::lower,
        linear::lower,
        convolution::lower,
        layer_norm::lower,
        table::lower,
        table::look_up,
    ];
    if !graph.initializer.iter().any(|tensor| tensor.data_type == DataType::Int8 as i32) {
        held.put_back(graph);
        return Vec::new();
    }
    let mut nodes = Nodes::new(graph, held, taps);
    let mut lowered: Vec<Lowered> = Vec::new();
    for pattern in patterns {
        for i in 0..nodes.len() {
            lowered.extend(pattern(&mut nodes, i));
        }
    }
    convolution::join(&nodes, &mut lowered);
    padding::skip(&mut nodes, &mut lowered);
    // After the proof, which reads what follows as it was.
    table::add(&mut nodes, &mut lowered);
    for pattern in [statistics::pooling, statistics::mean, statistics::scaled_rows] {
        for i in 0..nodes.len() {
            lowered.extend(pattern(&mut nodes, i));
        }
    }
    let lowered = siblings::join(&mut nodes, lowered);
    let lowered = blocks::join(&mut nodes, lowered);
    let named = |Lowered { node, kernel, padding, values }| {
        let name = nodes.node(node)?.name.clone();
        Some(Named { name, kernel, padding, values })
    };
    let kernels = lowered.into_iter().filter_map(named).collect();
    nodes.finish();
    kernels
}
