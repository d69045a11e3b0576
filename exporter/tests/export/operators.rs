//! Operators that an encoder's graph may hold, each run by the engine.

use std::fs;

use hilbert_exporter::external::OPERATORS;
use hilbert_exporter::onnx::{
    AttributeProto, AttributeType, DataType, DimensionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use hilbert_runtime::{Engine, Graph, Input};
use prost::Message;

/// One node of `op` on x = [[-2, -0.5, 0.5, 2]], with these constants after it, and its output's shape and numbers.
struct Row(&'static str, Vec<TensorProto>, Vec<AttributeProto>, &'static [usize], Vec<f32>);

fn f32s(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let (name, float_data) = (Some(name.to_owned()), values.to_vec());
    let data_type = Some(DataType::Float as i32);
    TensorProto { dims: dims.to_vec(), data_type, name, float_data, ..TensorProto::default() }
}

fn i64s(name: &str, values: &[i64]) -> TensorProto {
    let (name, int64_data) = (Some(name.to_owned()), values.to_vec());
    let data_type = Some(DataType::Int64 as i32);
    TensorProto {
        dims: vec![values.len() as i64],
        data_type,
        name,
        int64_data,
        ..TensorProto::default()
    }
}

/// Those beyond what the exporter itself writes.
#[test]
fn the_engine_runs_each_operator_that_a_graph_may_hold() {
    const X: [f32; 4] = [-2.0, -0.5, 0.5, 2.0];
    let each = |op: fn(f32) -> f32| X.map(op).to_vec();
    let one = |op, expected| Row(op, Vec::new(), Vec::new(), &[1, 4], expected);
    let float = |name: &str, f: f32| AttributeProto {
        name: Some(name.into()),
        f: Some(f),
        kind: Some(AttributeType::Float as i32),
        ..AttributeProto::default()
    };
    let half = || vec![f32s("half", &[1], &[0.5])];
    let w = || f32s("w", &[4, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 1.0]);
    let rows = [
        one("Abs", each(f32::abs)),
        one("Cos", each(f32::cos)),
        one("Identity", X.to_vec()),
        one("Neg", each(|x| -x)),
        one("Reciprocal", each(f32::recip)),
        one("Relu", each(|x| x.max(0.0))),
        one("Sigmoid", each(|x| 1.0 / (1.0 + (-x).exp()))),
        one("Sin", each(f32::sin)),
        one("Flatten", X.to_vec()),
        Row(
            "LeakyRelu",
            vec![],
            vec![float("alpha", 0.25)],
            &[1, 4],
            each(|x| if x < 0.0 { x / 4.0 } else { x }),
        ),
        Row(
            "Clip",
            vec![f32s("low", &[], &[-1.0]), f32s("high", &[], &[1.0])],
            vec![],
            &[1, 4],
            each(|x| x.clamp(-1.0, 1.0)),
        ),
        Row("Min", half(), vec![], &[1, 4], each(|x| x.min(0.5))),
        Row("Pow", vec![f32s("two", &[1], &[2.0])], vec![], &[1, 4], each(|x| x * x)),
        Row("Expand", vec![i64s("shape", &[2, 4])], vec![], &[2, 4], [X, X].concat()),
        Row("Unsqueeze", vec![i64s("axes", &[0])], vec![], &[1, 1, 4], X.to_vec()),
        Row("Squeeze", vec![i64s("axes", &[0])], vec![], &[4], X.to_vec()),
        Row("Gemm", vec![w(), f32s("b", &[2], &[0.25, 0.5])], vec![], &[1, 2], vec![-0.75, 2.0]),
    ];
    let mut wrong = Vec::new();
    for Row(op, constants, attribute, shape, expected) in &rows {
        assert!(OPERATORS.contains(op), "{op}");
        let found = run(op, constants, attribute, shape);
        if !found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
            || found.len() != expected.len()
        {
            wrong.push((op, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_on_checkpoints_lists_the_operators() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/checkpoint-format.md");
    let listed = OPERATORS.map(|op| format!("`{op}`")).join(", ");
    assert!(fs::read_to_string(page).unwrap().contains(&format!("| operators | {listed}; ")));
}

/// Conditions, and the arithmetic on shapes with which PyTorch's exporter surrounds attention.
#[test]
fn the_engine_runs_conditions_and_arithmetic_on_shapes() {
    const X: [f32; 4] = [-2.0, -0.5, 0.5, 2.0];
    let half = || vec![f32s("half", &[1], &[0.5])];
    let to_float = AttributeProto {
        name: Some("to".into()),
        i: Some(1),
        kind: Some(AttributeType::Int as i32),
        ..AttributeProto::default()
    };
    let cast = |from| node("Cast", &[from], "y", vec![to_float.clone()]);
    let chosen = |condition| node("Where", &[condition, "x", "half"], "y", vec![]);
    let pick = |condition: fn(f32) -> bool| X.map(|x| if condition(x) { x } else { 0.5 }).to_vec();
    let compared = |op, condition: fn(f32) -> bool| {
        let nodes = vec![node(op, &["x", "half"], "c", vec![]), chosen("c")];
        (nodes, half(), vec![1, 4], pick(condition))
    };
    let both = |op, condition: fn(f32) -> bool| {
        let nodes = vec![
            node("Less", &["x", "half"], "a", vec![]),
            node("Greater", &["x", "low"], "b", vec![]),
            node(op, &["a", "b"], "c", vec![]),
            chosen("c"),
        ];
        let constants = [half(), vec![f32s("low", &[1], &[-1.0])]].concat();
        (nodes, constants, vec![1, 4], pick(condition))
    };
    let not = vec![
        node("Less", &["x", "half"], "a", vec![]),
        node("Not", &["a"], "c", vec![]),
        chosen("c"),
    ];
    let shape = |more: Vec<NodeProto>| [vec![node("Shape", &["x"], "s", vec![])], more].concat();
    let modulo = vec![node("Mod", &["s", "three"], "m", vec![]), cast("m")];
    let range = vec![node("Range", &["zero", "three", "one"], "r", vec![]), cast("r")];
    let scalars = ["zero", "one", "three"].into_iter().zip([0, 1, 3]);
    let scalars = scalars.map(|(name, v)| TensorProto { dims: vec![], ..i64s(name, &[v]) });
    let floor = vec![node("Floor", &["x"], "y", vec![])];
    let rows = [
        compared("Equal", |x| (x - 0.5).abs() < f32::EPSILON),
        compared("Greater", |x| x > 0.5),
        compared("GreaterOrEqual", |x| x >= 0.5),
        compared("Less", |x| x < 0.5),
        compared("LessOrEqual", |x| x <= 0.5),
        both("And", |x| x < 0.5 && x > -1.0),
        both("Or", |_| true),
        (not, half(), vec![1, 4], pick(|x| x >= 0.5)),
        (shape(vec![cast("s")]), vec![], vec![2], vec![1.0, 4.0]),
        (shape(modulo), vec![i64s("three", &[3])], vec![2], vec![1.0, 1.0]),
        (range, scalars.collect(), vec![3], vec![0.0, 1.0, 2.0]),
        (floor, vec![], vec![1, 4], vec![-2.0, -1.0, 0.0, 2.0]),
    ];
    let mut wrong = Vec::new();
    for (nodes, constants, shape, expected) in rows {
        let operators: Vec<_> = nodes.iter().map(|n| n.op_type().to_owned()).collect();
        assert!(operators.iter().all(|op| OPERATORS.contains(&op.as_str())), "{operators:?}");
        let found = run_nodes(nodes, &constants, &shape);
        if found != expected {
            wrong.push((operators, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        name: Some(format!("{op} {output}")),
        op_type: Some(op.into()),
        attribute,
        domain: None,
    }
}

fn entry(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec() }
}

/// The output of a graph of one node on x.
fn run(
    op: &str,
    constants: &[TensorProto],
    attribute: &[AttributeProto],
    shape: &[usize],
) -> Vec<f32> {
    let names = std::iter::once("x").chain(constants.iter().map(TensorProto::name));
    let one = node(op, &names.collect::<Vec<_>>(), "y", attribute.to_vec());
    run_nodes(vec![one], constants, shape)
}

/// The output y of a graph of these nodes on x.
fn run_nodes(nodes: Vec<NodeProto>, constants: &[TensorProto], shape: &[usize]) -> Vec<f32> {
    let value = |entry: &TensorEntry| {
        let dim = entry
            .shape
            .iter()
            .map(|n| DimensionProto { dim_value: Some(*n as i64), ..Default::default() })
            .collect();
        let tensor_type =
            TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim }) };
        ValueInfoProto {
            name: Some(entry.name.clone()),
            r#type: Some(TypeProto { tensor_type: Some(tensor_type) }),
        }
    };
    let (x, y) = (entry("x", &[1, 4]), entry("y", shape));
    let graph = GraphProto {
        node: nodes,
        name: Some("several".into()),
        initializer: constants.to_vec(),
        input: vec![value(&x)],
        output: vec![value(&y)],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(17) }];
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import,
        ..ModelProto::default()
    };
    let entry =
        GraphEntry { file: "one.onnx".into(), inputs: vec![x], outputs: vec![y], memory: None };
    let graph = Graph::load("one", &model.encode_to_vec(), &entry, Engine::Float)
        .unwrap_or_else(|e| panic!("{:?}: {e:?}", model.graph.map(|g| g.node)));
    graph.run(&[Input::F32(&[-2.0, -0.5, 0.5, 2.0])]).unwrap().remove(0)
}
