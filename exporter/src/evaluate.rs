//! What an ONNX file means: its graph evaluated operation by operation in double precision.
//!
//! The oracle beside the engine: no optimisation, no vector units, and the same bits on every machine. It knows the operators
//! that this exporter writes; `Graph::parse` says which other one a file has.

mod operators;
mod tensor;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use prost::Message;

pub(crate) use self::operators::{dequantise, transpose};
pub use self::tensor::{Elements, Tensor};
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};

/// Values of a graph by their names.
pub type Values = BTreeMap<String, Arc<Tensor>>;

/// The graph of an ONNX file.
#[derive(Debug, Clone)]
pub struct Graph {
    graph: GraphProto,
}

impl Graph {
    /// Reads a file.
    ///
    /// # Errors
    /// In words: what is no ONNX file, or the first operator that this evaluator does not know.
    pub fn parse(onnx: &[u8]) -> Result<Self, String> {
        let model = ModelProto::decode(onnx).map_err(|error| error.to_string())?;
        let graph = model.graph.ok_or("found no graph, expected one")?;
        let known = |node: &&NodeProto| !operators::KNOWN.contains(&node.op_type());
        match graph.node.iter().find(known) {
            Some(node) => Err(format!("found the operator {:?}", node.op_type())),
            None => Ok(Self { graph }),
        }
    }

    /// Names of all values that operations make, in the order in which they are made.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.graph.node.iter().flat_map(|node| node.output.iter().map(String::as_str))
    }

    /// The values `wanted`, computed from those that are `given`: inputs, and values inside the graph in place of their own.
    ///
    /// Only what is needed is computed, and dropped after its last use.
    ///
    /// # Errors
    /// In words: a value that nothing makes, or shapes that do not fit.
    pub fn evaluate(&self, given: &Values, wanted: &[&str]) -> Result<Values, String> {
        let nodes = self.needed(given, wanted);
        let mut uses = HashMap::<&str, usize>::new();
        let inputs = nodes.iter().flat_map(|node| &node.input);
        inputs.for_each(|name| *uses.entry(name).or_default() += 1);
        let constants: HashMap<_, _> =
            self.graph.initializer.iter().map(|t| (t.name(), t)).collect();
        let mut values: HashMap<&str, Arc<Tensor>> = HashMap::new();
        for node in nodes {
            let fault = |reason| format!("{} {:?}: {reason}", node.op_type(), node.name());
            let mut inputs = Vec::new();
            for name in &node.input {
                let own = given.get(name).or_else(|| values.get(name.as_str())).cloned();
                inputs.push(match own {
                    Some(value) => value,
                    None => Arc::new(constant(&constants, name).map_err(fault)?),
                });
            }
            let result = operators::evaluate(node, &inputs).map_err(fault)?;
            let Some(output) = node.output.first() else { continue };
            values.insert(output, Arc::new(result));
            for name in &node.input {
                let left = uses.entry(name).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 && !wanted.contains(&name.as_str()) {
                    values.remove(name.as_str());
                }
            }
        }
        let value = |name: &&str| {
            let found = given.get(*name).or_else(|| values.get(*name)).cloned();
            found.map(|v| ((*name).to_owned(), v)).ok_or_else(|| format!("found no value {name:?}"))
        };
        wanted.iter().map(value).collect()
    }

    /// The operations on the way from what is given to what is wanted, in order.
    fn needed(&self, given: &Values, wanted: &[&str]) -> Vec<&NodeProto> {
        let mut names: BTreeSet<&str> = wanted.iter().copied().collect();
        let mut nodes = Vec::new();
        for node in self.graph.node.iter().rev() {
            let makes = |name: &String| names.contains(name.as_str()) && !given.contains_key(name);
            if node.output.iter().any(makes) {
                names.extend(node.input.iter().map(String::as_str));
                nodes.push(node);
            }
        }
        nodes.reverse();
        nodes
    }
}

fn constant(constants: &HashMap<&str, &TensorProto>, name: &str) -> Result<Tensor, String> {
    let stored = constants.get(name).ok_or_else(|| format!("found no value {name:?}"))?;
    Tensor::from_proto(stored)
}
