//! A graph with the ways along its edges.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use hilbert_formats::bundle::Records;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use super::weights::Constant;
use super::{Held, OPERATION, PREFIX};

/// The nodes of a graph, who gives each value and who takes it.
pub(super) struct Nodes<'a> {
    graph: &'a mut GraphProto,
    held: &'a Held<'a>,
    givers: HashMap<String, usize>,
    takers: HashMap<String, Vec<usize>>,
    constants: HashMap<String, usize>,
    /// Values that must still be there at the end.
    kept: HashSet<String>,
    removed: Vec<bool>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(graph: &'a mut GraphProto, held: &'a Held<'a>, taps: &[&str]) -> Self {
        let mut givers = HashMap::new();
        let mut takers: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            for output in &node.output {
                givers.insert(output.clone(), i);
            }
            for input in &node.input {
                takers.entry(input.clone()).or_default().push(i);
            }
        }
        // An initializer that is an input too is a default, which a caller may replace.
        let inputs: HashSet<&str> = graph.input.iter().map(|input| &*input.name).collect();
        let constants = graph.initializer.iter().enumerate();
        let constants = constants
            .filter(|(_, tensor)| !inputs.contains(&*tensor.name))
            .map(|(i, tensor)| (tensor.name.clone(), i))
            .collect();
        let outputs = graph.output.iter().map(|output| output.name.clone());
        let kept = outputs.chain(taps.iter().map(|&tap| tap.to_owned())).collect();
        let removed = vec![false; graph.node.len()];
        Self { graph, held, givers, takers, constants, kept, removed }
    }

    pub(super) fn len(&self) -> usize {
        self.removed.len()
    }

    /// Node `i`, if it is there still and of this operation of ONNX.
    pub(super) fn operation(&self, i: usize, operation: &str) -> Option<&NodeProto> {
        let node = self.graph.node.get(i)?;
        let is_onnx = node.domain.is_empty() || node.domain == "ai.onnx";
        (!self.removed[i] && is_onnx && node.op_type == operation).then_some(node)
    }

    /// The node of this operation that gives `value`.
    pub(super) fn giver(&self, value: &str, operation: &str) -> Option<(usize, &NodeProto)> {
        let &i = self.givers.get(value)?;
        Some((i, self.operation(i, operation)?))
    }

    /// The nodes that take `value`; none for one that must still be there at the end.
    pub(super) fn takers(&self, value: &str) -> &[usize] {
        if self.kept.contains(value) {
            return &[];
        }
        self.takers.get(value).map_or(&[], Vec::as_slice)
    }

    /// The one node that takes `value`, if it is of this operation and nobody else does.
    pub(super) fn taker(&self, value: &str, operation: &str) -> Option<(usize, &NodeProto)> {
        let &[i] = self.takers(value) else { return None };
        Some((i, self.operation(i, operation)?))
    }

    /// A constant of the graph.
    pub(super) fn constant(&self, value: &str) -> Option<Constant<'_>> {
        let tensor = self.graph.initializer.get(*self.constants.get(value)?)?;
        Some(Constant { tensor, raw: self.held.raw(tensor) })
    }

    /// The values of a constant, where they lie if they are part of the program.
    pub(super) fn part(&self, constant: Constant<'_>) -> Cow<'static, [u8]> {
        self.held.part(constant.tensor)
    }

    /// The rows of a constant of `length` bytes each, where they lie.
    pub(super) fn records(&self, constant: Constant<'_>, length: usize) -> Records {
        self.held.records(constant.tensor, length)
    }

    /// Node `i`, if it is there still.
    pub(super) fn node(&self, i: usize) -> Option<&NodeProto> {
        self.graph.node.get(i).filter(|_| !self.removed[i])
    }

    /// The node that gives `value`, whatever it is.
    pub(super) fn giver_of(&self, value: &str) -> Option<usize> {
        self.givers.get(value).copied().filter(|&i| !self.removed[i])
    }

    /// Whether a kernel gives `value`: then it is a matrix of rows, where anything else could be a vector that is to become one.
    pub(super) fn is_of_kernel(&self, value: &str) -> bool {
        let node = self.giver_of(value).and_then(|i| self.node(i));
        node.is_some_and(|node| node.op_type == OPERATION)
    }

    /// Whether `value` must still be there at the end.
    pub(super) fn is_kept(&self, value: &str) -> bool {
        self.kept.contains(value)
    }

    /// How far from the inputs node `i` is, in nodes.
    pub(super) fn position(&self, i: usize) -> usize {
        let (mut seen, mut left) = (HashSet::new(), vec![i]);
        while let Some(i) = left.pop() {
            if seen.insert(i) {
                let inputs = self.graph.node.get(i).into_iter().flat_map(|node| &node.input);
                left.extend(inputs.filter_map(|input| self.giver_of(input)));
            }
        }
        seen.len()
    }

    /// Gives node `i` another input.
    pub(super) fn add_input(&mut self, i: usize, value: &str) {
        if let Some(node) = self.graph.node.get_mut(i) {
            node.input.push(value.to_owned());
            self.takers.entry(value.to_owned()).or_default().push(i);
        }
    }

    /// The node that gives the first input of node `i`, if that has no other use.
    pub(super) fn sole_giver(&self, i: usize) -> Option<usize> {
        let input = self.graph.node.get(i)?.input.first()?;
        (self.takers(input) == [i]).then(|| self.givers.get(input).copied())?
    }

    /// Puts a kernel with these inputs in the place of the nodes `gone`, which have no other use, and returns its number. It
    /// gives `outputs`, which they gave.
    pub(super) fn replace(
        &mut self,
        gone: &[usize],
        inputs: Vec<String>,
        outputs: Vec<String>,
    ) -> usize {
        for &i in gone {
            self.removed[i] = true;
            for input in &self.graph.node[i].input {
                if let Some(takers) = self.takers.get_mut(input) {
                    takers.retain(|&taker| taker != i);
                }
            }
        }
        self.push(NodeProto {
            name: format!("{PREFIX}{}", outputs.join(", ")),
            op_type: OPERATION.to_owned(),
            domain: "hilbert".to_owned(),
            input: inputs,
            output: outputs,
            ..NodeProto::default()
        })
    }

    /// Takes in a node and returns its number.
    fn push(&mut self, node: NodeProto) -> usize {
        let i = self.graph.node.len();
        for input in &node.input {
            self.takers.entry(input.clone()).or_default().push(i);
        }
        for output in &node.output {
            self.givers.insert(output.clone(), i);
        }
        self.removed.push(false);
        self.graph.node.push(node);
        i
    }

    /// The name of `value` as numbers of another type.
    pub(super) fn cast(&mut self, value: &str, to: DataType) -> String {
        let output = format!("{value} as {}", to.as_str_name());
        let attribute = AttributeProto {
            name: "to".to_owned(),
            r#type: AttributeType::Int as i32,
            i: to as i64,
            ..AttributeProto::default()
        };
        self.push(NodeProto {
            name: output.clone(),
            op_type: "Cast".to_owned(),
            input: vec![value.to_owned()],
            output: vec![output.clone()],
            attribute: vec![attribute],
            ..NodeProto::default()
        });
        output
    }

    /// Takes the removed nodes out, and every node and constant that is left without use; what is left is whole.
    pub(super) fn finish(self) {
        let Self { graph, held, mut removed, kept, .. } = self;
        loop {
            let used: HashSet<&str> = graph
                .node
                .iter()
                .zip(&removed)
                .filter(|(_, removed)| !**removed)
                .flat_map(|(node, _)| node.input.iter().map(String::as_str))
                .chain(kept.iter().map(String::as_str))
                .collect();
            let is_idle = |node: &NodeProto| !node.output.iter().any(|o| used.contains(&**o));
            let idle: Vec<bool> = graph
                .node
                .iter()
                .zip(&removed)
                .map(|(node, gone)| *gone || is_idle(node))
                .collect();
            if idle == removed {
                break;
            }
            removed = idle;
        }
        let mut removed = removed.iter();
        graph.node.retain(|_| !removed.next().copied().unwrap_or(false));
        let used: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
        graph
            .initializer
            .retain(|tensor| used.contains(&tensor.name) || kept.contains(&tensor.name));
        held.put_back(graph);
    }
}
