//! The graphs as files: what they declare, which weights they hold and how.

use std::collections::{BTreeMap, BTreeSet};

use hilbert_exporter::evaluate::{Graph, Tensor, Values};
use hilbert_exporter::onnx::{DataType, GraphProto, ModelProto, TensorProto, ValueInfoProto};
use hilbert_exporter::quantize::is_quantised;
use hilbert_exporter::{Checkpoint, Package, Recipe};
use hilbert_formats::manifest::{Dtype, TensorEntry, Weights};
use prost::Message;
use serde_json::{Value, json};

use crate::tiny::Tiny;

/// Operators that tract 0.23.9, onnxruntime and `check_onnx.py` all run; a new one goes through all three first.
const OPERATORS: [&str; 24] = [
    "Add",
    "Cast",
    "Concat",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Erf",
    "Exp",
    "Gather",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Mul",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Softmax",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
];

fn package(tiny: &Tiny, weights: Weights) -> Package {
    let folder = tiny.written();
    Package::new(&Checkpoint::open(folder.path()).unwrap(), &Recipe::uniform(weights), "tiny", 1)
        .unwrap()
}

fn graphs(package: &Package) -> BTreeMap<String, GraphProto> {
    let decode = |bytes: &[u8]| {
        let model = ModelProto::decode(bytes).unwrap();
        assert_eq!((model.ir_version, model.opset_import[0].version), (Some(8), Some(17)));
        model.graph.unwrap()
    };
    let onnx = package
        .files()
        .iter()
        .filter_map(|(name, bytes)| Some((name.strip_suffix(".onnx")?, bytes)));
    onnx.map(|(name, bytes)| (name.to_owned(), decode(bytes))).collect()
}

fn declared(values: &[ValueInfoProto]) -> Vec<TensorEntry> {
    let entry = |value: &ValueInfoProto| {
        let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
        let dtype = if tensor.elem_type() == DataType::Int64 { Dtype::I64 } else { Dtype::F32 };
        let shape = tensor
            .shape
            .unwrap()
            .dim
            .iter()
            .map(|d| usize::try_from(d.dim_value.unwrap()).unwrap())
            .collect();
        TensorEntry { name: value.name.clone().unwrap(), dtype, shape }
    };
    values.iter().map(entry).collect()
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    tensor.raw_data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn graphs_declare_the_inputs_and_outputs_of_the_bundle_format() {
    let package = package(&Tiny::new(), Weights::Int8);
    let expected = "cross_audio: query_rows [64, 64], key_rows [64, 64], bias [64] -> numerator [4, 64, 16], maximum [4, 64], sum [4, 64]
cross_text: query_rows [64, 64], key_rows [64, 64], bias [64] -> numerator [4, 64, 16], maximum [4, 64], sum [4, 64]
expert_0: document [1, 192] -> output [1, 16]
expert_1: document [1, 192] -> output [1, 16]
expert_2: document [1, 192] -> output [1, 16]
finish_audio: attended [64, 64], rows [64, 64] -> c [64, 64], score [64]
finish_text: attended [64, 64], rows [64, 64] -> c [64, 64], score [64]
head_fluency: mixed [1, 16] -> output [1, 2]
head_proficiency: mixed [1, 16] -> output [1, 1]
join: audio [1, 64], text [1, 64], cross_audio [1, 64], cross_text [1, 64], presence [1, 2] -> document [1, 192]
project_audio: row [1, 64], position [1, 64] -> x [1, 64], score [1, 1]
project_text: row [1, 24], position [1, 64] -> x [1, 64], score [1, 1]
router: document [1, 192] -> gates [2, 3]
speech_encoder: log_mel [1, 80, 1000], mask [1, 1000] -> row [1, 64]
text_encoder: tokens [1, 16], mask [1, 16] -> row [1, 24]
";
    let list = |ports: &[TensorEntry]| {
        ports.iter().map(|p| format!("{} {:?}", p.name, p.shape)).collect::<Vec<_>>().join(", ")
    };
    let mut found = String::new();
    for (name, graph) in graphs(&package) {
        let (inputs, outputs) = (declared(&graph.input), declared(&graph.output));
        found += &format!("{name}: {} -> {}\n", list(&inputs), list(&outputs));
        let entry = &package.manifest().graphs[&name];
        assert_eq!(
            (&entry.inputs, &entry.outputs),
            (&inputs, &outputs),
            "{name}: the manifest says otherwise"
        );
    }
    assert_eq!(found, expected);
}

#[test]
fn a_checkpoint_with_an_alignment_head_has_its_graph_and_hands_it_frames() {
    let package = package(&Tiny::aligned(), Weights::Int8);
    let graphs = graphs(&package);
    let shapes = |ports: &[ValueInfoProto]| {
        declared(ports).into_iter().map(|port| (port.name, port.shape)).collect::<Vec<_>>()
    };
    let frames = ("frames".to_owned(), vec![250, 32]);
    let row = ("row".to_owned(), vec![1, 64]);
    assert_eq!(shapes(&graphs["speech_encoder"].output), [row, frames.clone()]);
    assert_eq!(shapes(&graphs["alignment"].input), [frames]);
    let log = ("log_posteriors".to_owned(), vec![250, 29]);
    assert_eq!(shapes(&graphs["alignment"].output), [log]);
    let stated = serde_json::to_value(package.manifest().alignment.as_ref().unwrap()).unwrap();
    let mut expected = crate::tiny::alignment();
    expected.as_object_mut().unwrap().remove("hidden");
    (expected["frames"], expected["width"]) = (json!(250), json!(32));
    assert_eq!(stated, expected);
    let mut without = Tiny::aligned();
    without.config.as_object_mut().unwrap().remove("alignment");
    without.tensors.retain(|name, _| !name.starts_with("alignment."));
    let without = self::package(&without, Weights::Int8);
    let others = without.files().iter().filter(|(name, _)| name != "speech_encoder.onnx");
    for file in others {
        assert!(package.files().contains(file), "{} should not know of the head", file.0);
    }
}

#[test]
fn a_graph_met_alone_says_what_model_it_is_of_under_what_licence_and_whom_to_credit() {
    let mut tiny = Tiny::new();
    tiny.config["credits"] = json!(["one, MIT", "two, CC BY 4.0"]);
    for (name, bytes) in package(&tiny, Weights::Int8).files() {
        if !name.ends_with(".onnx") {
            continue;
        }
        let props = ModelProto::decode(bytes.as_slice()).unwrap().metadata_props;
        let props: Vec<_> = props.iter().map(|p| (p.key(), p.value())).collect();
        let credits = "one, MIT; two, CC BY 4.0";
        let expected =
            [("hilbert.model", "tiny"), ("model_author", credits), ("model_license", "CC-BY-4.0")];
        assert_eq!(props, expected, "{name}");
    }
}

#[test]
fn nodes_read_only_what_stands_before_them_and_use_known_operators() {
    let operators = BTreeSet::from(OPERATORS);
    let mut wrong = Vec::new();
    for weights in [Weights::Int8, Weights::F32] {
        for (name, graph) in graphs(&package(&Tiny::aligned(), weights)) {
            let constants = graph.initializer.iter().map(|t| t.name().to_owned());
            let mut known: BTreeSet<String> =
                constants.chain(graph.input.iter().map(|v| v.name().to_owned())).collect();
            for node in &graph.node {
                if !operators.contains(node.op_type())
                    || !node.input.iter().all(|i| known.contains(i))
                {
                    wrong.push(format!("{name}: {node:?}"));
                }
                known.extend(node.output.iter().cloned());
            }
            wrong.extend(
                graph
                    .output
                    .iter()
                    .filter(|o| !known.contains(o.name()))
                    .map(|o| format!("{name}: {o:?}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_tensor_of_the_checkpoint_is_in_a_graph() {
    let tiny = Tiny::aligned();
    for weights in [Weights::Int8, Weights::F32] {
        let graphs = graphs(&package(&tiny, weights));
        let held: BTreeSet<_> =
            graphs.values().flat_map(|g| &g.initializer).map(TensorProto::name).collect();
        let unused: Vec<_> =
            tiny.tensors.keys().filter(|name| !held.contains(name.as_str())).collect();
        assert!(unused.is_empty(), "{weights:?}: {unused:?}");
    }
}

/// The checkpoint's element for each element of a constant of this shape, which is transposed where it is a linear layer's matrix.
fn source(tiny: &Tiny, name: &str, dims: &[usize]) -> Vec<f32> {
    let (shape, values) = &tiny.tensors[name];
    let table = name.starts_with("text.tokens") || name.starts_with("text.positions");
    if shape.len() != 2 || table {
        return values[..dims.iter().product()].to_vec();
    }
    assert_eq!(dims, [shape[1], shape[0]], "{name}");
    let at = |i: usize| values[(i % shape[0]) * shape[1] + i / shape[0]];
    (0..values.len()).map(at).collect()
}

#[test]
fn float_weights_are_the_checkpoints() {
    let tiny = Tiny::aligned();
    for graph in graphs(&package(&tiny, Weights::F32)).values() {
        for constant in graph.initializer.iter().filter(|c| tiny.tensors.contains_key(c.name())) {
            let dims: Vec<_> = constant.dims.iter().map(|d| usize::try_from(*d).unwrap()).collect();
            let name = constant.name();
            assert_eq!(floats(constant), source(&tiny, name, &dims), "{name}");
        }
    }
}

/// The floats that an int8 constant stands for, as the graph computes them; of a table, of which it chooses rows, levels times scales.
fn weights(graph: &GraphProto, constant: &TensorProto) -> Tensor {
    let mut value = constant.name();
    while let Some(node) = graph.node.iter().find(|node| node.input[0] == value) {
        value = &node.output[0];
        if node.op_type() == "DequantizeLinear" {
            let model = ModelProto { graph: Some(graph.clone()), ..ModelProto::default() };
            let graph = Graph::parse(&model.encode_to_vec()).unwrap();
            let found = graph.evaluate(&Values::new(), &[value]).unwrap();
            return Tensor::clone(&found[value]);
        }
        if !["Transpose", "Reshape"].contains(&node.op_type()) {
            break;
        }
    }
    let shape: Vec<_> = constant.dims.iter().map(|d| usize::try_from(*d).unwrap()).collect();
    let (levels, scales) = (constant.raw_data(), scales(graph, constant.name()));
    let each = levels.len() / scales.len();
    let weight = |(i, level): (usize, &u8)| f32::from(level.cast_signed()) * scales[i / each];
    Tensor::of_f32(&shape, &levels.iter().enumerate().map(weight).collect::<Vec<_>>())
}

fn scales(graph: &GraphProto, name: &str) -> Vec<f32> {
    let name = format!("{name}.scale");
    graph.initializer.iter().find(|constant| constant.name() == name).map(floats).unwrap()
}

#[test]
fn int8_weights_are_those_of_the_threshold_and_lie_within_half_a_scale() {
    let tiny = Tiny::aligned();
    let mut counted = 0;
    for graph in graphs(&package(&tiny, Weights::Int8)).values() {
        for constant in graph.initializer.iter().filter(|c| tiny.tensors.contains_key(c.name())) {
            let name = constant.name();
            let (shape, _) = &tiny.tensors[name];
            assert_eq!(
                constant.data_type() == DataType::Int8,
                is_quantised(shape),
                "{name} {shape:?}"
            );
            if constant.data_type() != DataType::Int8 {
                continue;
            }
            counted += 1;
            assert!(!constant.raw_data().contains(&i8::MIN.cast_unsigned()), "{name}");
            let (stood_for, scales) = (weights(graph, constant), scales(graph, name));
            let channels = scales.len();
            let of_columns = shape.len() == 2 && stood_for.shape == [shape[1], shape[0]];
            let source = source(&tiny, name, &stood_for.shape);
            let each = source.len() / channels;
            for (i, (found, weight)) in stood_for.to_f32().iter().zip(source).enumerate() {
                let scale = scales[if of_columns { i % channels } else { i / each }];
                let error = (found - weight).abs();
                assert!(error <= scale * 0.501, "{name} at {i}: {found}, weight {weight}");
            }
        }
    }
    assert_eq!(counted, 19, "the threshold should fall between the tiny checkpoint's tensors");
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes() {
    let (a, b) = (package(&Tiny::new(), Weights::Int8), package(&Tiny::new(), Weights::Int8));
    assert_eq!(a.files(), b.files());
    assert_eq!(a.manifest().to_json(), b.manifest().to_json());
}

#[test]
fn any_depth_and_place_of_halving_keeps_the_row() {
    let rows = [(1, 0), (1, 1), (2, 1), (3, 2), (3, 3), (4, 0)];
    let mut wrong = Vec::new();
    for (layers, halve_after) in rows {
        let tiny = Tiny::with(|config: &mut Value| {
            config["model"]["speech"]["layers"] = json!(layers);
            config["model"]["speech"]["halve_after"] = json!(halve_after);
        });
        let graph = &graphs(&package(&tiny, Weights::F32))["speech_encoder"];
        let averages = graph.node.iter().filter(|n| n.op_type() == "ReduceMean").count();
        let halved = usize::from(halve_after > 0 && halve_after < layers);
        if declared(&graph.output)[0].shape != [1, 64] || averages != halved {
            wrong.push((layers, halve_after, averages));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
