//! Encoders that are ONNX graphs already: packed as the exporter's own are, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hilbert_exporter::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, TensorProto,
};
use hilbert_exporter::{Checkpoint, ErrorKind, Package, Recipe};
use hilbert_formats::manifest::Weights;
use hilbert_runtime::{Input, Model};
use prost::Message;
use serde_json::json;
use tempfile::TempDir;

use crate::tiny::Tiny;

const GRAPHS: [&str; 2] = ["speech_encoder.onnx", "text_encoder.onnx"];

fn package(folder: &Path, recipe: &Recipe) -> Package {
    Package::new(&Checkpoint::open(folder).unwrap(), recipe, "tiny", 1).unwrap()
}

fn file(package: &Package, name: &str) -> Vec<u8> {
    package.files().iter().find(|(file, _)| file == name).unwrap().1.clone()
}

/// A checkpoint with an alignment head whose encoders are the float graphs of `whole`, changed.
fn with_graphs(whole: &Tiny, change: impl Fn(&mut ModelProto)) -> TempDir {
    let package = package(whole.written().path(), &Recipe::uniform(Weights::F32));
    let mut part = whole.clone();
    part.tensors.retain(|name, _| !name.starts_with("speech.") && !name.starts_with("text."));
    part.config["encoders"] = json!({"speech": {"onnx": GRAPHS[0]}, "text": {"onnx": GRAPHS[1]}});
    let folder = part.written();
    for name in GRAPHS {
        let mut model = ModelProto::decode(&file(&package, name)[..]).unwrap();
        change(&mut model);
        fs::write(folder.path().join(name), model.encode_to_vec()).unwrap();
    }
    folder
}

fn problems(folder: &Path) -> Vec<String> {
    match Checkpoint::open(folder) {
        Ok(_) => Vec::new(),
        Err(error) => match error.kind() {
            ErrorKind::Checkpoint { problems, .. } => problems.clone(),
            other => panic!("{other}"),
        },
    }
}

/// Int8 constants of a graph and their scales, by name.
fn int8(bytes: &[u8]) -> BTreeMap<String, TensorProto> {
    let constants = ModelProto::decode(bytes).unwrap().graph.unwrap().initializer;
    let levels = constants.iter().filter(|c| c.data_type() == DataType::Int8);
    let scales = levels.clone().map(|c| format!("{}.scale", c.name()));
    let names: Vec<_> = levels.clone().map(|c| c.name().to_owned()).chain(scales).collect();
    let kept = constants.iter().filter(|c| names.contains(&c.name().to_owned()));
    kept.map(|c| (c.name().to_owned(), c.clone())).collect()
}

/// Outputs of every encoder of a bundle on the same inputs.
fn outputs(package: &Package) -> Vec<Vec<f32>> {
    let model = Model::from_bundle(&package.bundle().unwrap()).unwrap();
    let mut outputs = Vec::new();
    for name in ["speech_encoder", "text_encoder"] {
        let graph = model.graph(name).unwrap();
        let length = graph.inputs()[1].len();
        let mask: Vec<f32> = (0..length).map(|i| f32::from(u8::from(i < length / 2 + 3))).collect();
        let count = graph.inputs()[0].len();
        let mel: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
        let tokens: Vec<i64> = (0..count as i64).map(|i| i * 53 % 300).collect();
        let first = if name == "speech_encoder" { Input::F32(&mel) } else { Input::I64(&tokens) };
        outputs.extend(graph.run(&[first, Input::F32(&mask)]).unwrap());
    }
    outputs
}

#[test]
fn float_graphs_of_the_exporters_own_come_back_to_the_byte() {
    let whole = Tiny::aligned();
    let recipe = Recipe::uniform(Weights::F32);
    let direct = package(whole.written().path(), &recipe);
    let packed = package(with_graphs(&whole, |_| ()).path(), &recipe);
    assert!(direct.files() == packed.files(), "other files");
    assert_eq!(direct.manifest().graphs, packed.manifest().graphs);
}

#[test]
fn int8_weights_and_outputs_are_those_of_the_direct_export() {
    let whole = Tiny::aligned();
    let recipe = Recipe::uniform(Weights::Int8);
    let folder = with_graphs(&whole, |_| ());
    let direct = package(whole.written().path(), &recipe);
    let packed = package(folder.path(), &recipe);
    for name in GRAPHS {
        let (expected, found) = (int8(&file(&direct, name)), int8(&file(&packed, name)));
        assert!(!expected.is_empty() && expected == found, "{name}");
    }
    assert_eq!(outputs(&direct), outputs(&packed));
    let names = |folder: &Path| Checkpoint::open(folder).unwrap().quantisable();
    let (found, expected) = (names(folder.path()), names(whole.written().path()));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
}

#[test]
fn a_recipe_names_constants_of_a_graph() {
    let folder = with_graphs(&Tiny::aligned(), |_| ());
    let recipe = Recipe::int8_only("speech.conv1.weight");
    let package = package(folder.path(), &recipe);
    let found: Vec<_> = GRAPHS.iter().flat_map(|g| int8(&file(&package, g)).into_keys()).collect();
    assert_eq!(found, ["speech.conv1.weight", "speech.conv1.weight.scale"]);
}

#[test]
fn constants_may_be_nodes_or_numbers_of_their_own_field_and_stand_among_the_inputs() {
    let whole = Tiny::aligned();
    let as_others_write = |model: &mut ModelProto| {
        model.ir_version = Some(3);
        model.opset_import[0].domain = Some("ai.onnx".into());
        let graph = model.graph.as_mut().unwrap();
        let input = graph.input[1].clone();
        for (i, constant) in graph.initializer.iter_mut().enumerate() {
            let listed = hilbert_exporter::onnx::ValueInfoProto {
                name: constant.name.clone(),
                ..input.clone()
            };
            graph.input.push(listed);
            let raw = constant.raw_data.take().unwrap();
            match constant.data_type() {
                DataType::Float if i % 2 == 0 => {
                    constant.float_data =
                        raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                }
                DataType::Int64 => {
                    constant.int64_data =
                        raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
                }
                _ => constant.raw_data = Some(raw),
            }
        }
        let node = |t: TensorProto| NodeProto {
            output: vec![t.name().to_owned()],
            op_type: Some("Constant".into()),
            attribute: vec![AttributeProto {
                name: Some("value".into()),
                t: Some(TensorProto { name: None, ..t }),
                kind: Some(AttributeType::Tensor as i32),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        let last = graph.initializer.pop().unwrap();
        graph.input.retain(|input| input.name() != last.name());
        graph.node.insert(0, node(last));
    };
    let recipe = Recipe::uniform(Weights::F32);
    let (direct, packed) = (
        package(whole.written().path(), &recipe),
        package(with_graphs(&whole, as_others_write).path(), &recipe),
    );
    assert!(direct.files() == packed.files(), "other files");
}

#[test]
fn everything_wrong_with_a_graph_is_listed_at_once() {
    let folder = with_graphs(&Tiny::aligned(), |model| {
        let graph = model.graph.as_mut().unwrap();
        if graph.name() != "text_encoder" {
            return;
        }
        model.opset_import[0].version = Some(18);
        model.ir_version = Some(99);
        let constant = |graph: &mut GraphProto, name: &str| {
            graph.initializer.iter().position(|c| c.name() == name).unwrap()
        };
        let at = constant(graph, "text.tokens.weight");
        let table = &mut graph.initializer[at];
        (table.dims[0], table.raw_data) = (299, Some(table.raw_data()[..299 * 24 * 4].to_vec()));
        let at = constant(graph, "text.norm.bias");
        graph.initializer[at].raw_data.as_mut().unwrap()[..4]
            .copy_from_slice(&f32::NAN.to_le_bytes());
        let at = constant(graph, "text.norm.weight");
        graph.initializer[at].data_type = Some(DataType::Float16 as i32);
        let at = constant(graph, "text.layers.0.ffn_norm.bias");
        graph.initializer[at].raw_data.as_mut().unwrap().pop();
        let at = constant(graph, "text.layers.1.ffn_norm.bias");
        graph.initializer[at].data_location = Some(1);
        graph.node[3].op_type = Some("NonZero".into());
        graph.node[4].domain = Some("com.microsoft".into());
        let with_attribute = graph.node.iter_mut().rev().find(|n| !n.attribute.is_empty()).unwrap();
        with_attribute.attribute[0].kind = Some(AttributeType::Graph as i32);
        graph.node.swap(7, 8);
        graph.input[1].name = Some("attention_mask".into());
        let shape = graph.output[0]
            .r#type
            .as_mut()
            .unwrap()
            .tensor_type
            .as_mut()
            .unwrap()
            .shape
            .as_mut()
            .unwrap();
        (shape.dim[0].dim_value, shape.dim[0].dim_param) = (None, Some("batch".into()));
    });
    let found = problems(folder.path());
    let expected = [
        "ir_version: found 99, expected 1 to 14",
        "opset: found 18, expected 13 to 17: export the model with opset_version=17",
        r#"constant "text.norm.bias": found NaN at element 0, expected a finite number"#,
        r#"constant "text.norm.weight": found Float16, expected Float, Int32, Int64 or Bool: export the model in 32-bit floats, not quantised"#,
        r#"constant "text.layers.0.ffn_norm.bias": found 95 bytes, expected those of shape [24]"#,
        r#"constant "text.layers.1.ffn_norm.bias": found its elements in another file, expected them in this one: save the model without external data"#,
        r#"input "mask": found none, expected Float [1, 16]"#,
        r#"input "attention_mask": found, expected none of this name"#,
        r#"output "row": found Float [batch, 24], expected Float [1, 24]"#,
        "operators: found NonZero in 1 nodes, the first ",
        r#" of "com.microsoft" in 1 nodes, the first "#,
        "expected Abs, Add, And, Cast",
        "of type 5, expected numbers or a string",
        r#"found no value "mask" before it, expected one"#,
        r#"constant "text.tokens.weight": found 299 rows, expected 300 or more, a row each piece of vocab.txt"#,
    ];
    let missing: Vec<_> =
        expected.iter().filter(|e| !found.iter().any(|f| f.contains(**e))).collect();
    assert!(missing.is_empty(), "{missing:#?} in {found:#?}");
    let elsewhere: Vec<_> =
        found.iter().filter(|f| !f.starts_with("text_encoder.onnx: ")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn what_is_no_graph_is_refused() {
    let rows: [(&[u8], &str); 3] = [
        (b"PK\x03\x04 no graph", "text_encoder.onnx: found no ONNX file ("),
        (b"", "text_encoder.onnx: found no graph, expected one"),
        (b"\x08\x08\x3a\xff\x7f", "text_encoder.onnx: found no ONNX file ("),
    ];
    for (bytes, expected) in rows {
        let folder = with_graphs(&Tiny::aligned(), |_| ());
        fs::write(folder.path().join(GRAPHS[1]), bytes).unwrap();
        let found = problems(folder.path());
        assert!(found.iter().any(|line| line.starts_with(expected)), "{found:?}");
    }
}
