//! Builds one ONNX graph, operation by operation.
//!
//! Shapes are fixed and tracked, so that declared outputs always carry the shape that was computed.

mod panels;
pub(crate) mod parts;
pub(crate) mod weights;

use std::collections::BTreeSet;

use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use prost::Message;

use crate::checkpoint::{Checkpoint, Config};
use crate::onnx::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, IR_VERSION, ModelProto,
    OPSET, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::recipe::Recipe;

/// A finished graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Its name; the file is `NAME.onnx`.
    pub name: String,
    /// File, inputs and outputs as the manifest lists them.
    pub entry: GraphEntry,
    /// The file's content.
    pub bytes: Vec<u8>,
}

impl Graph {
    /// The file of these nodes and constants of one checkpoint, which have these inputs and outputs.
    pub(crate) fn new(
        name: String,
        inputs: Vec<TensorEntry>,
        outputs: Vec<TensorEntry>,
        mut graph: GraphProto,
        config: &Config,
    ) -> Self {
        panels::lay(&mut graph);
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            metadata_props: metadata(config),
            ..ModelProto::default()
        };
        let entry = GraphEntry { file: format!("{name}.onnx"), inputs, outputs, memory: None };
        Self { name, entry, bytes: model.encode_to_vec() }
    }
}

/// A value inside a graph under construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    name: String,
    shape: Vec<usize>,
}

impl Value {
    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
}

/// A graph under construction. Tensors come from one checkpoint.
#[derive(Debug)]
pub struct GraphBuilder<'a> {
    name: String,
    checkpoint: &'a Checkpoint,
    recipe: &'a Recipe,
    inputs: Vec<TensorEntry>,
    outputs: Vec<TensorEntry>,
    graph: GraphProto,
    stored: BTreeSet<String>,
}

impl<'a> GraphBuilder<'a> {
    /// An empty graph of this name whose weights come from `checkpoint` and are stored as `recipe` says.
    #[must_use]
    pub fn new(name: impl Into<String>, checkpoint: &'a Checkpoint, recipe: &'a Recipe) -> Self {
        let name = name.into();
        let graph = GraphProto { name: Some(name.clone()), ..GraphProto::default() };
        Self {
            name,
            checkpoint,
            recipe,
            inputs: Vec::new(),
            outputs: Vec::new(),
            graph,
            stored: BTreeSet::new(),
        }
    }

    /// Declares the next input.
    pub fn input(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Value {
        self.graph.input.push(value_info(name, dtype, shape));
        self.inputs.push(TensorEntry { name: name.into(), dtype, shape: shape.to_vec() });
        Value { name: name.into(), shape: shape.to_vec() }
    }

    /// Gives a float value that an operation made the name of the reference's module that makes it, such as
    /// `speech.layers.0`: a tap, which `docs/parity-ledger.md` compares. The value it returns takes the place of `value`.
    pub fn tap(&mut self, name: &str, value: &Value) -> Value {
        self.rename(value, name);
        Value { name: name.into(), shape: value.shape.clone() }
    }

    /// Declares the next output, a float value that an operation made, and gives it this name.
    pub fn output(&mut self, name: &str, value: &Value) {
        self.rename(value, name);
        self.graph.output.push(value_info(name, Dtype::F32, &value.shape));
        self.outputs.push(TensorEntry {
            name: name.into(),
            dtype: Dtype::F32,
            shape: value.shape.clone(),
        });
    }

    /// The graph's file and its entry in the manifest.
    #[must_use]
    pub fn finish(self) -> Graph {
        Graph::new(self.name, self.inputs, self.outputs, self.graph, self.checkpoint.config())
    }

    fn rename(&mut self, value: &Value, name: &str) {
        for node in &mut self.graph.node {
            for port in node.input.iter_mut().chain(&mut node.output).filter(|p| **p == value.name)
            {
                *port = name.into();
            }
        }
    }

    /// An operation with one output of this shape.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        shape: Vec<usize>,
    ) -> Value {
        let name = format!("{}_{}", op.to_lowercase(), self.graph.node.len());
        let inputs = inputs.iter().map(|v| v.name.clone()).collect();
        self.graph.node.push(parts::node(op, inputs, name.clone(), attributes));
        Value { name, shape }
    }

    /// An operation on each element.
    pub fn unary(&mut self, op: &str, x: &Value) -> Value {
        self.node(op, &[x], Vec::new(), x.shape.clone())
    }

    /// An operation on each pair of elements, broadcast from the last dimension.
    pub fn binary(&mut self, op: &str, a: &Value, b: &Value) -> Value {
        let shape = broadcast(&a.shape, &b.shape);
        self.node(op, &[a, b], Vec::new(), shape)
    }

    /// `MatMul`: the last two dimensions multiply, the others broadcast.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        let mut shape = a.shape.clone();
        if let (Some(last), Some(columns)) = (shape.last_mut(), b.shape.last()) {
            *last = *columns;
        }
        self.node("MatMul", &[a, b], Vec::new(), shape)
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, x: &Value, shape: &[usize]) -> Value {
        let list = self.dimensions(shape);
        self.node("Reshape", &[x, &list], Vec::new(), shape.to_vec())
    }

    /// Dimension `i` of the result is dimension `order[i]` of `x`.
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Value {
        let shape = order.iter().map(|i| x.shape[*i]).collect();
        self.node("Transpose", &[x], vec![ints("perm", order)], shape)
    }

    /// Every `step`th element of dimension `axis` from `start` up to `end`.
    pub fn slice(
        &mut self,
        x: &Value,
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
    ) -> Value {
        let mut shape = x.shape.clone();
        shape[axis] = (end - start).div_ceil(step);
        let [starts, ends, axes, steps] = [start, end, axis, step].map(|n| self.dimensions(&[n]));
        self.node("Slice", &[x, &starts, &ends, &axes, &steps], Vec::new(), shape)
    }

    /// Values one after the other along `axis`.
    pub fn concat(&mut self, parts: &[&Value], axis: usize) -> Value {
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
        self.node("Concat", parts, vec![int("axis", signed(axis))], shape)
    }

    /// `ReduceMean` or `ReduceMax` over `axis`, which goes or stays with length 1.
    pub fn reduce(&mut self, op: &str, x: &Value, axis: usize, keep: bool) -> Value {
        let attributes = vec![ints("axes", &[axis]), int("keepdims", i64::from(keep))];
        self.node(op, &[x], attributes, reduced(&x.shape, axis, keep))
    }

    /// `ReduceSum` over `axis`, which goes or stays with length 1. Its axes are an input from opset 13 on.
    pub fn reduce_sum(&mut self, x: &Value, axis: usize, keep: bool) -> Value {
        let axes = self.dimensions(&[axis]);
        self.node(
            "ReduceSum",
            &[x, &axes],
            vec![int("keepdims", i64::from(keep))],
            reduced(&x.shape, axis, keep),
        )
    }
}

/// What a graph says of itself when it is met alone. The keys `model_*` are ONNX's own (`onnx/docs/MetadataProps.md`).
fn metadata(config: &Config) -> Vec<StringStringEntryProto> {
    let credits = config.credits.join("; ");
    let props = [
        ("hilbert.model", &config.name),
        ("model_author", &credits),
        ("model_license", &config.licence),
    ];
    let entry = |(key, value): (&str, &String)| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.clone()),
    };
    props.into_iter().map(entry).collect()
}

/// An integer attribute.
#[must_use]
pub fn int(name: &str, value: i64) -> AttributeProto {
    let kind = Some(AttributeType::Int as i32);
    AttributeProto { name: Some(name.into()), i: Some(value), kind, ..AttributeProto::default() }
}

/// An attribute of several integers.
#[must_use]
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let (kind, ints) =
        (Some(AttributeType::Ints as i32), values.iter().copied().map(signed).collect());
    AttributeProto { name: Some(name.into()), ints, kind, ..AttributeProto::default() }
}

/// A float attribute.
#[must_use]
pub fn float(name: &str, value: f32) -> AttributeProto {
    let kind = Some(AttributeType::Float as i32);
    AttributeProto { name: Some(name.into()), f: Some(value), kind, ..AttributeProto::default() }
}

pub(crate) fn value_info(name: &str, dtype: Dtype, shape: &[usize]) -> ValueInfoProto {
    let elem_type = match dtype {
        Dtype::F32 => DataType::Float,
        Dtype::I64 => DataType::Int64,
    };
    let dim = shape
        .iter()
        .map(|n| DimensionProto { dim_value: Some(signed(*n)), ..DimensionProto::default() })
        .collect();
    let tensor_type = TensorTypeProto {
        elem_type: Some(elem_type as i32),
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
    }
}

/// The longer shape, each length the larger of the two aligned at the end.
fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    let mut shape = long.to_vec();
    for (n, m) in shape.iter_mut().rev().zip(short.iter().rev()) {
        *n = (*n).max(*m);
    }
    shape
}

fn reduced(shape: &[usize], axis: usize, keep: bool) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if keep {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    shape
}

#[expect(clippy::cast_possible_wrap, reason = "lengths of tensors in memory are far below 2^63")]
pub(crate) fn signed(n: usize) -> i64 {
    n as i64
}
