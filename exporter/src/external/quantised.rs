//! Constants as int8: which may be, by what the graph does with them, and how they are then read.

use std::collections::BTreeMap;

use super::constants::{floats, shape};
use crate::graph::int;
use crate::graph::parts::{Names, node, tensor};
use crate::graph::weights::transposed;
use crate::onnx::{DataType, GraphProto, NodeProto, TensorProto};
use crate::quantize::{is_quantised, quantise};
use crate::recipe::Recipe;

/// What a large constant does, which says where its output channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Output channels are its first dimension: a kernel, a transposed matrix, rows that are added.
    Rows,
    /// Output channels are its last dimension: a matrix `[in, out]`.
    Columns,
    /// Rows are chosen from it, and stay int8 until they are.
    Table,
}

/// The constants that are large enough for int8 and do one thing alone, by name.
pub(super) fn roles(graph: &GraphProto) -> BTreeMap<String, Role> {
    let is_large = |constant: &&TensorProto| {
        constant.data_type() == DataType::Float && is_quantised(&shape(constant))
    };
    let role = |constant: &TensorProto| {
        let uses = graph.node.iter().flat_map(|node| {
            let inputs = node.input.iter().enumerate();
            inputs.filter(|(_, name)| *name == constant.name()).map(move |(i, _)| (node, i))
        });
        let mut roles = uses.map(|(node, input)| role(node, input, constant.dims.len()));
        let first = roles.next()??;
        roles.all(|other| other == Some(first)).then(|| (constant.name().to_owned(), first))
    };
    graph.initializer.iter().filter(is_large).filter_map(role).collect()
}

fn role(node: &NodeProto, input: usize, rank: usize) -> Option<Role> {
    let attribute = |name: &str| {
        let found = node.attribute.iter().find(|a| a.name() == name);
        found.map_or(0, |a| a.i())
    };
    match (node.op_type(), input, rank) {
        ("MatMul", 1, 2) => Some(Role::Columns),
        ("Gemm", 1, 2) if attribute("transB") == 0 => Some(Role::Columns),
        ("Gemm", 1, 2) | ("Conv", 1, _) | ("Add", _, 2) => Some(Role::Rows),
        ("Gather", 0, 2) if attribute("axis") == 0 => Some(Role::Table),
        _ => None,
    }
}

/// The graph with those of its constants as int8 that `recipe` says.
pub(super) fn quantised(
    graph: &GraphProto,
    roles: &BTreeMap<String, Role>,
    recipe: &Recipe,
) -> GraphProto {
    let mut result = Rewriter {
        names: Names::of(graph),
        graph: graph.clone(),
        constants: Vec::new(),
        nodes: Vec::new(),
    };
    for constant in &graph.initializer {
        match roles.get(constant.name()) {
            Some(role) if recipe.is_int8(constant.name(), &shape(constant)) => {
                result.quantise(constant, *role);
            }
            _ => result.constants.push(constant.clone()),
        }
    }
    result.nodes.append(&mut result.graph.node);
    GraphProto { node: result.nodes, initializer: result.constants, ..result.graph }
}

struct Rewriter {
    graph: GraphProto,
    names: Names,
    constants: Vec<TensorProto>,
    /// That stand before all others.
    nodes: Vec<NodeProto>,
}

impl Rewriter {
    fn quantise(&mut self, constant: &TensorProto, role: Role) {
        let (name, values, shape) = (constant.name(), floats(constant), shape(constant));
        let (channels, axis) = match role {
            Role::Rows | Role::Table => (shape[0], 0),
            Role::Columns => (shape[1], 1),
        };
        let q = if role == Role::Columns {
            let q = quantise(&transposed(&values, shape[0], channels), channels);
            let levels = transposed(&q.levels, channels, shape[0]);
            crate::quantize::Quantised { levels, ..q }
        } else {
            quantise(&values, channels)
        };
        let scale = self.names.fresh(&format!("{name}.scale"));
        // A table's scales are a column, so that the chosen ones multiply their rows without a reshape.
        let dims = if role == Role::Table { vec![channels, 1] } else { vec![channels] };
        let levels = q.levels.iter().flat_map(|v| v.to_le_bytes()).collect();
        let scales = q.scales.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constants.push(tensor(name, DataType::Int8, &shape, levels));
        self.constants.push(tensor(&scale, DataType::Float, &dims, scales));
        if role == Role::Table {
            self.gather(name, &scale);
            return;
        }
        let output = self.names.fresh(&format!("{name}.dequantised"));
        for input in self.graph.node.iter_mut().flat_map(|node| &mut node.input) {
            if input == name {
                input.clone_from(&output);
            }
        }
        let inputs = [name, &scale].map(str::to_owned).to_vec();
        self.nodes.push(node("DequantizeLinear", inputs, output, vec![int("axis", axis)]));
    }

    /// Replaces each choice of rows of `table` by one of its levels and one of its scales, multiplied.
    fn gather(&mut self, table: &str, scale: &str) {
        for old in std::mem::take(&mut self.graph.node) {
            let is_choice =
                old.op_type() == "Gather" && old.input.first().is_some_and(|i| i == table);
            let (Some(indices), Some(rows)) = (old.input.get(1), old.output.first()) else {
                self.graph.node.push(old);
                continue;
            };
            if !is_choice {
                self.graph.node.push(old);
                continue;
            }
            let [levels, widened, scales] = ["levels", "floats", "scales"]
                .map(|part| self.names.fresh(&format!("{rows}.{part}")));
            let to = int("to", i64::from(DataType::Float as i32));
            let choice = |from: &str| vec![from.to_owned(), indices.clone()];
            self.graph.node.extend([
                node("Gather", choice(table), levels.clone(), vec![int("axis", 0)]),
                node("Gather", choice(scale), scales.clone(), vec![int("axis", 0)]),
                node("Cast", vec![levels], widened.clone(), vec![to]),
                node("Mul", vec![widened, scales], rows.clone(), Vec::new()),
            ]);
        }
    }
}
