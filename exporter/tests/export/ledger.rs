//! The parity ledger, and the taps that a bundle carries.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hilbert_exporter::evaluate::{Elements, Graph, Tensor, Values};
use hilbert_exporter::ledger::{Hop, Ledger};
use hilbert_exporter::progress::silent;
use hilbert_exporter::{Checkpoint, Options, Package, Recipe, export};
use hilbert_formats::Bundle;
use hilbert_formats::manifest::{Dtype, TensorEntry, Weights};
use hilbert_formats::taps::{FILE, MAX_BYTES, Taps};
use hilbert_runtime::selftest::{Agreement, Depth, selftest};
use hilbert_runtime::{Engine, Input};
use serde_json::json;
use tempfile::TempDir;

use crate::tiny::Tiny;
use crate::trained::{checkpoint, golden};

/// Exports with a ledger; the bundle is at `bundle` in the folder, the ledger's files at `ledger`.
fn exported(checkpoint: &Path, change: impl FnOnce(&mut Options)) -> (TempDir, Ledger) {
    let folder = TempDir::new().unwrap();
    let mut options = Options::default();
    options.ledger = Some(folder.path().join("ledger"));
    change(&mut options);
    let report = export(checkpoint, &folder.path().join("bundle"), &options, &silent).unwrap();
    (folder, report.ledger.unwrap())
}

/// What makes one configuration of another.
type Change = Box<dyn FnOnce(&mut serde_json::Value)>;

fn bundle(folder: &TempDir) -> Bundle {
    Bundle::open(&folder.path().join("bundle")).unwrap()
}

fn taps(bundle: &Bundle) -> Taps {
    Taps::parse(&bundle.read(FILE).unwrap()).unwrap()
}

#[test]
fn the_trained_bundle_keeps_every_threshold_and_passes_its_own_test() {
    let (folder, ledger) = exported(&checkpoint(), |options| options.golden = Some(golden()));
    assert!(ledger.first_under.is_empty(), "{ledger}");
    let layers: Vec<_> = ledger.layers.iter().map(|layer| layer.name.as_str()).collect();
    for name in [
        "speech.conv1",
        "speech.layers.3",
        "speech",
        "text.tokens",
        "alignment.context",
        "fusion.joint",
        "moe.router",
        "moe.experts.3",
        "moe.heads.fluency",
    ] {
        assert!(layers.contains(&name), "{name} is not in {layers:?}");
    }
    let bundle = bundle(&folder);
    for (depth, count) in [(Depth::Layers, layers.len()), (Depth::Outputs, 26)] {
        let test = selftest(&bundle, depth, Engine::Float).unwrap();
        assert_eq!((test.first_under, test.layers.len()), (None, count));
    }
    let written = |name: &str| fs::read_to_string(folder.path().join("ledger").join(name)).unwrap();
    assert_eq!(
        (written("ledger.json"), written("ledger.html")),
        (ledger.to_json(), ledger.to_html())
    );
}

#[test]
fn floats_lose_nothing_and_int8_loses_where_there_are_rounded_weights() {
    let checkpoint = Tiny::aligned().written();
    let (_, floats) =
        exported(checkpoint.path(), |options| options.recipe = Recipe::uniform(Weights::F32));
    for layer in &floats.layers {
        let equal = Agreement {
            snr_db: 200.0,
            cosine: layer.hops[&Hop::FloatToBundle].cosine,
            largest: 0.0,
        };
        assert_eq!(
            (layer.hops[&Hop::FloatToBundle], layer.hops[&Hop::Alone]),
            (equal, equal),
            "{layer:?}"
        );
        assert!(layer.hops[&Hop::BundleToRuntime].snr_db > 60.0, "{layer:?}");
    }
    let only = |name: &str| Recipe::int8_only(name);
    let (_, one) =
        exported(checkpoint.path(), |o| o.recipe = only("speech.layers.1.expand.weight"));
    let alone: Vec<_> = one
        .layers
        .iter()
        .filter(|l| l.hops[&Hop::Alone].largest > 0.0)
        .map(|l| &l.name[..])
        .collect();
    assert_eq!(alone, ["speech.layers.1"]);
    let accumulated = |name: &str| {
        let layer = one.layers.iter().find(|layer| layer.name == name).unwrap();
        layer.hops[&Hop::FloatToBundle].largest > 0.0
    };
    assert!(
        !accumulated("speech.layers.0")
            && accumulated("speech.layers.2")
            && accumulated("moe.heads.fluency")
    );
}

#[test]
fn a_layer_that_the_machine_computes_differently_is_the_first_that_is_named() {
    let (folder, _) = exported(Tiny::aligned().written().path(), |_| ());
    let bundle = bundle(&folder);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for file in &bundle.manifest().files {
        files.insert(file.path.clone(), bundle.read(&file.path).unwrap().into_owned());
    }
    let mut taps = taps(&bundle);
    for layer in taps
        .layers
        .iter_mut()
        .filter(|l| ["text.layers.1", "moe.router"].contains(&&l.place.name[..]))
    {
        layer.own.iter_mut().for_each(|value| *value *= 1.01);
    }
    files.insert(FILE.into(), taps.to_bytes());
    let mut manifest = bundle.manifest().clone();
    for file in &mut manifest.files {
        let bytes = &files[&file.path];
        (file.bytes, file.sha256) = (bytes.len() as u64, hilbert_formats::bundle::sha256(bytes));
    }
    files.insert("manifest.json".into(), manifest.to_json().into_bytes());
    let changed = Bundle::from_owned(files.into_iter().collect()).unwrap();
    assert_eq!(selftest(&changed, Depth::Outputs, Engine::Float).unwrap().first_under, None);
    let test = selftest(&changed, Depth::Layers, Engine::Float).unwrap();
    assert_eq!(test.first_under.as_deref(), Some("text.layers.1"));
    let under: Vec<_> = test
        .layers
        .iter()
        .filter(|layer| !test.passes(layer))
        .map(|l| (&l.name[..], l.engine.snr_db.round()))
        .collect();
    assert_eq!(under, [("text.layers.1", 40.0), ("moe.router", 40.0)]);
}

#[test]
fn taps_fit_their_limit_whatever_the_configuration() {
    let task =
        |i: usize| json!({"name": format!("task{i}"), "kind": "binary", "labels": ["no", "yes"]});
    let calibration = json!({"temperature": 1.0});
    let of_all = json!({"audio": calibration, "text": calibration, "audio_text": calibration});
    let rows: [(&str, Change); 3] = [
        (
            "many experts, tasks and layers",
            Box::new(move |config| {
                config["model"]["experts"] = json!({"count": 64, "width": 64, "threshold": 0.0});
                config["model"]["tasks"] = (0..16).map(task).collect();
                config["calibration"] = (0..16)
                    .map(|i| (format!("task{i}"), of_all.clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                config["model"]["speech"]["layers"] = json!(12);
                config["model"]["text"]["layers"] = json!(24);
            }),
        ),
        (
            "many bands and frames",
            Box::new(|config| {
                config["log_mel"]["n_mels"] = json!(128);
                config["log_mel"]["frames"] = json!(3000);
                config["model"]["speech"]["n_mels"] = json!(128);
                config["model"]["speech"]["frames"] = json!(3000);
            }),
        ),
        (
            "wide rows",
            Box::new(|config| {
                config["model"]["fusion"]["width"] = json!(2048);
            }),
        ),
    ];
    for (what, change) in rows {
        let (folder, ledger) = exported(Tiny::with(change).written().path(), |_| ());
        let bundle = bundle(&folder);
        let bytes = bundle.read(FILE).unwrap();
        assert!(bytes.len() <= MAX_BYTES, "{what}: {} bytes", bytes.len());
        let entry = bundle.manifest().files.iter().find(|file| file.path == FILE).unwrap();
        assert!(!entry.optional);
        let test = selftest(&bundle, Depth::Layers, Engine::Float).unwrap();
        assert_eq!((test.first_under, test.layers.len()), (None, ledger.layers.len()), "{what}");
    }
}

#[test]
fn the_same_taps_come_out_of_the_same_checkpoint_with_and_without_a_golden_file() {
    let (with, _) = exported(&checkpoint(), |options| options.golden = Some(golden()));
    let (without, ledger) = exported(&checkpoint(), |_| ());
    let read = |folder: &TempDir| bundle(folder).read(FILE).unwrap().into_owned();
    assert!(read(&with) == read(&without));
    assert!(ledger.layers.iter().all(|layer| !layer.hops.contains_key(&Hop::ReferenceToFloat)));
    assert!(ledger.to_string().contains("reference to f32: not compared"), "{ledger}");
}

#[test]
fn names_are_escaped_on_the_page_and_nothing_on_it_is_loaded_from_elsewhere() {
    let (_, mut ledger) = exported(Tiny::new().written().path(), |_| ());
    ledger.layers[0].name = r#"<script>alert("&")</script>"#.into();
    let page = ledger.to_html();
    assert!(
        !page.contains("<script>alert") && page.contains("&#60;script&#62;alert(&#34;&#38;&#34;)")
    );
    let loads = ["http:", "https:", "src=", "@import", "url(", "<link"];
    let found: Vec<_> = loads.iter().filter(|load| page.contains(**load)).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Every value of every graph that the engine can give, on random inputs, against the evaluator.
#[test]
fn the_evaluator_and_the_engine_agree_on_every_graph_of_both_forms() {
    let folder = Tiny::aligned().written();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for weights in [Weights::F32, Weights::Int8] {
        let package = Package::new(&checkpoint, &Recipe::uniform(weights), "tiny", 1).unwrap();
        for (name, entry) in &package.manifest().graphs {
            let onnx = package.file(&entry.file);
            let graph = Graph::parse(onnx).unwrap();
            let inputs = random_inputs(&entry.inputs);
            let layers: Vec<_> =
                graph.values().filter(|value| value.contains('.')).map(str::to_owned).collect();
            let wanted: Vec<_> = entry
                .outputs
                .iter()
                .map(|o| o.name.as_str())
                .chain(layers.iter().map(String::as_str))
                .collect();
            let meant = graph.evaluate(&inputs, &wanted).unwrap();
            let port = |name: &String| TensorEntry {
                name: name.clone(),
                dtype: Dtype::F32,
                shape: meant[name].shape.clone(),
            };
            let ports: Vec<_> = layers.iter().map(port).collect();
            let engine =
                hilbert_runtime::Graph::load_with_taps(name, onnx, entry, &ports, Engine::Float)
                    .unwrap();
            let numbers: Vec<_> = entry.inputs.iter().map(|port| &inputs[&port.name]).collect();
            let floats: Vec<_> = numbers.iter().map(|tensor| tensor.to_f32()).collect();
            let given: Vec<_> = numbers
                .iter()
                .zip(&floats)
                .map(|(tensor, floats)| match &tensor.elements {
                    Elements::Real(_) => Input::F32(floats),
                    Elements::Whole(values) => Input::I64(values),
                })
                .collect();
            for (value, found) in wanted.iter().zip(engine.run_with_taps(&given).unwrap()) {
                let agreement = Agreement::between(&meant[*value].to_f32(), &found);
                compared += 1;
                if agreement.snr_db < 90.0 {
                    wrong.push((name.clone(), (*value).to_owned(), agreement));
                }
            }
        }
    }
    assert!(wrong.is_empty() && compared > 100, "{compared}: {wrong:#?}");
}

fn random_inputs(ports: &[TensorEntry]) -> Values {
    let mut state = 7_u32;
    let mut random = move || {
        // xorshift32, Marsaglia 2003
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let tensor = |port: &TensorEntry| {
        let count: usize = port.shape.iter().product();
        let tensor = match port.dtype {
            Dtype::I64 => Tensor {
                shape: port.shape.clone(),
                elements: Elements::Whole((0..count).map(|_| i64::from(random() % 300)).collect()),
            },
            Dtype::F32 if port.name == "mask" => {
                let values: Vec<f32> =
                    (0..count).map(|i| if i * 3 < count * 2 { 1.0 } else { 0.0 }).collect();
                Tensor::of_f32(&port.shape, &values)
            }
            Dtype::F32 => {
                let values: Vec<f32> =
                    (0..count).map(|_| (random() % 2048) as f32 / 1024.0 - 1.0).collect();
                Tensor::of_f32(&port.shape, &values)
            }
        };
        (port.name.clone(), Arc::new(tensor))
    };
    ports.iter().map(tensor).collect()
}

#[test]
fn an_unknown_operator_is_named() {
    let node = |op: &str| hilbert_exporter::onnx::NodeProto {
        op_type: Some(op.into()),
        output: vec!["y".into()],
        ..Default::default()
    };
    let model = |op: &str| {
        let graph =
            hilbert_exporter::onnx::GraphProto { node: vec![node(op)], ..Default::default() };
        prost::Message::encode_to_vec(&hilbert_exporter::onnx::ModelProto {
            graph: Some(graph),
            ..Default::default()
        })
    };
    assert_eq!(Graph::parse(&model("LSTM")).unwrap_err(), r#"found the operator "LSTM""#);
    let graph = Graph::parse(&model("Exp")).unwrap();
    assert_eq!(graph.evaluate(&Values::new(), &["y"]).unwrap_err(), r#"Exp "": found no input 0"#);
}
