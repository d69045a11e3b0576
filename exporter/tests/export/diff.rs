//! `diff`: what is otherwise in one bundle than in another, and which documents are decided otherwise.

use std::fs;
use std::path::Path;

use hilbert_exporter::diff::{Change, DocumentOptions, diff};
use hilbert_exporter::onnx::{DataType, ModelProto};
use hilbert_exporter::progress::silent;
use hilbert_exporter::{Checkpoint, Difference, Options, Recipe, export};
use hilbert_formats::Bundle;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::Weights;
use prost::Message;
use serde_json::json;
use tempfile::TempDir;

use crate::inspect::assert_documented;
use crate::tiny::Tiny;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/session");

/// Bundles of one test, and the documents that they decide.
struct Bundles(TempDir);

impl Bundles {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn exported(&self, name: &str, tiny: &Tiny, weights: Weights) -> Bundle {
        let mut options = Options::default();
        options.recipe = Recipe::uniform(weights);
        let target = self.0.path().join(name);
        export(tiny.written().path(), &target, &options, &silent).unwrap();
        Bundle::open(&target).unwrap()
    }

    /// Up to so many documents of the sample with its words, and of words alone.
    fn documents(&self, documents: usize) -> DocumentOptions {
        let list = self.0.path().join("list.jsonl");
        let lines = [
            format!(r#"{{"recording": "{SAMPLE}.wav", "transcript": "{SAMPLE}.srt"}}"#),
            r#"{"text": "Words alone. And more of them."}"#.to_owned(),
        ];
        fs::write(&list, lines.join("\n")).unwrap();
        DocumentOptions { list, documents, cache: self.0.path().join("cache") }
    }

    fn decided(&self, old: &Bundle, new: &Bundle, documents: usize) -> Difference {
        diff(old, new, Some(&self.documents(documents)), &silent).unwrap()
    }
}

fn compared(old: &Bundle, new: &Bundle) -> Difference {
    diff(old, new, None, &silent).unwrap()
}

fn paths(difference: &Difference) -> Vec<&str> {
    difference.manifest.iter().map(|field| field.path.as_str()).collect()
}

#[test]
fn two_exports_of_one_checkpoint_are_the_same_and_decide_alike() {
    let bundles = Bundles::new();
    let [a, b] = ["a", "b"].map(|name| bundles.exported(name, &Tiny::aligned(), Weights::Int8));
    let found = bundles.decided(&a, &b, 60);
    assert!(found.manifest.is_empty() && found.graphs.is_empty(), "{found:?}");
    assert_eq!(found.same_graphs, a.manifest().graphs.len());
    assert!(found.files.iter().all(|file| file.change == Change::Same), "{found:?}");
    let documents = found.documents.unwrap();
    assert!(documents.documents > 20 && documents.without_counterpart == 0, "{documents:?}");
    let names: Vec<_> = documents.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["proficiency", "fluency", "integrity"]);
    assert!(documents.tasks.iter().all(|t| t.different == 0 && t.decisions > 0), "{documents:?}");
    assert_eq!(documents.changed, []);
}

#[test]
fn a_weight_that_changed_is_named_alone_with_its_ratio_and_largest_difference() {
    let (bundles, name) = (Bundles::new(), "moe.experts.1.contract.bias");
    let (old, mut new) = (Tiny::new(), Tiny::new());
    new.tensors.get_mut(name).unwrap().1[3] += 0.5;
    let a = bundles.exported("a", &old, Weights::F32);
    let found = compared(&a, &bundles.exported("b", &new, Weights::F32));
    assert_eq!(paths(&found), ["provenance.checkpoint_sha256"]);
    let [graph] = &found.graphs[..] else { panic!("{found}") };
    let [tensor] = &graph.tensors[..] else { panic!("{found}") };
    assert_eq!((graph.name.as_str(), graph.change), ("expert_1", Change::Changed));
    assert!(graph.operators.is_empty() && graph.fields.is_empty() && !graph.rewired, "{graph:?}");
    let [before, after] = [&old, &new].map(|tiny| &tiny.tensors[name].1);
    // As stored: in half precision.
    let half = |v: &f32| f64::from(half::f16::from_f32(*v).to_f32());
    let gaps: Vec<f64> = before.iter().zip(after).map(|(a, b)| half(a) - half(b)).collect();
    let sum = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let snr_db = 10.0 * (sum(&before.iter().map(half).collect::<Vec<_>>()) / sum(&gaps)).log10();
    let agreement = tensor.agreement.unwrap();
    assert_eq!(tensor.name, name);
    assert!((agreement.snr_db - snr_db).abs() < 1e-6, "{agreement:?}, expected {snr_db}");
    assert!((agreement.largest - gaps[3].abs()).abs() < 1e-9, "{agreement:?}");
    assert_eq!(found.same_graphs, a.manifest().graphs.len() - 1);
    let changed: Vec<_> = found.files.iter().map(|f| (f.path.as_str(), f.change)).collect();
    let taps = ("taps.safetensors", Change::Changed);
    assert_eq!(changed, [("certificate.json", Change::Changed), taps, ("vocab.txt", Change::Same)]);
}

/// The bundle without its certificate, its router as `change` made it.
fn rerouted(bundle: &Bundle, change: impl FnOnce(&mut ModelProto)) -> Bundle {
    let mut manifest = bundle.manifest().clone();
    manifest.files.retain(|file| file.path != "certificate.json");
    let mut files = Vec::new();
    let mut change = Some(change);
    for file in &mut manifest.files {
        let mut bytes = bundle.read(&file.path).unwrap().into_owned();
        if let Some(change) = change.take_if(|_| file.path == "router.onnx") {
            let mut model = ModelProto::decode(&*bytes).unwrap();
            change(&mut model);
            bytes = model.encode_to_vec();
            (file.bytes, file.sha256) = (bytes.len() as u64, sha256(&bytes));
        }
        files.push((file.path.clone(), bytes));
    }
    files.push(("manifest.json".into(), manifest.to_json().into()));
    Bundle::from_owned(files).unwrap()
}

#[test]
fn a_graph_of_the_same_weights_and_operators_is_told_for_how_it_is_wired_or_what_it_says_of_itself()
{
    let bundles = Bundles::new();
    let old = bundles.exported("a", &Tiny::new(), Weights::Int8);
    let wired = rerouted(&old, |model| {
        let softmax = model.graph.as_mut().unwrap().node.last_mut().unwrap();
        softmax.attribute[0].i = Some(0);
    });
    let lengths = rerouted(&old, |model| {
        let constants = &mut model.graph.as_mut().unwrap().initializer;
        let lengths = constants.iter_mut().find(|c| c.data_type() == DataType::Int64).unwrap();
        lengths.raw_data.as_mut().unwrap().reverse();
    });
    let renamed = rerouted(&old, |model| model.producer_name = Some("another".into()));
    let rows = [
        (wired, true, "the same operators, named, connected or set otherwise"),
        (lengths, true, "the same operators, named, connected or set otherwise"),
        (renamed, false, "what the file says of itself differs"),
    ];
    for (new, rewired, says) in rows {
        let found = compared(&old, &new);
        let [graph] = &found.graphs[..] else { panic!("{found}") };
        assert_eq!((graph.name.as_str(), graph.rewired), ("router", rewired), "{found}");
        assert!(graph.tensors.is_empty() && graph.operators.is_empty(), "{found}");
        assert!(found.to_string().contains(says), "{found}");
        assert_eq!(found.files[0].change, Change::Removed, "the certificate");
    }
}

#[test]
fn int8_and_floats_of_one_checkpoint_differ_in_the_tensors_that_can_be_int8_and_in_no_other() {
    let (bundles, tiny) = (Bundles::new(), Tiny::aligned());
    let int8 = bundles.exported("a", &tiny, Weights::Int8);
    let found = compared(&int8, &bundles.exported("b", &tiny, Weights::F32));
    assert_eq!(paths(&found), ["weights"]);
    let mut tensors: Vec<_> = found.graphs.iter().flat_map(|graph| &graph.tensors).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let written = tiny.written();
    let quantisable = Checkpoint::open(written.path()).unwrap().quantisable();
    let names: Vec<_> = tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, quantisable.keys().map(String::as_str).collect::<Vec<_>>());
    for tensor in tensors {
        let agreement = tensor.agreement.unwrap();
        assert!((30.0..70.0).contains(&agreement.snr_db), "{tensor:?}");
        assert!(agreement.largest > 0.0 && agreement.largest < 0.01, "{tensor:?}");
    }
    assert_documented(&serde_json::to_value(&found).unwrap());
    let text = found.graphs.iter().find(|graph| graph.name == "text_encoder").unwrap();
    let operators: Vec<_> = text.operators.iter().map(|o| o.operator.as_str()).collect();
    assert_eq!(operators, ["Cast", "Gather", "Mul"], "a table");
    let speech = found.graphs.iter().find(|graph| graph.name == "speech_encoder").unwrap();
    let operators: Vec<_> = speech.operators.iter().map(|o| o.operator.as_str()).collect();
    assert_eq!(
        operators,
        ["DequantizeLinear", "Reshape", "Transpose"],
        "matrices, which lie in panels"
    );
    let mut all = text.operators.iter().chain(&speech.operators);
    assert!(all.all(|o| o.old > o.new), "{text:?} {speech:?}");
}

#[test]
fn documents_that_change_class_are_listed_with_their_place_and_both_probabilities() {
    let bundles = Bundles::new();
    let old = bundles.exported("a", &Tiny::new(), Weights::Int8);
    let everything_proficient = Tiny::with(|config| {
        let cuts = json!({"cuts": [-9.0, -8.0], "slope": 4.0});
        config["calibration"]["proficiency"] =
            json!({"audio": cuts, "text": cuts, "audio_text": cuts});
    });
    let new = bundles.exported("b", &everything_proficient, Weights::Int8);
    let found = bundles.decided(&old, &new, 40);
    let cuts = |of| format!("tasks.proficiency.calibration.{of}.cuts");
    assert_eq!(paths(&found), ["audio", "audio_text", "text"].map(cuts));
    assert!(found.graphs.is_empty(), "{found}");
    let documents = found.documents.as_ref().unwrap();
    let [proficiency, fluency] = &documents.tasks[..] else { panic!("{documents:?}") };
    assert_eq!(fluency.different, 0);
    assert_eq!(proficiency.decisions, documents.documents);
    assert!(proficiency.different > 20, "{proficiency:?}");
    assert!(proficiency.moves.iter().all(|m| m.new == ["proficient"]), "{proficiency:?}");
    let sum = |moves: &mut dyn Iterator<Item = &hilbert_exporter::diff::Move>| -> usize {
        moves.map(|m| m.documents).sum()
    };
    assert_eq!(sum(&mut proficiency.moves.iter()), proficiency.decisions);
    let moved = &mut proficiency.moves.iter().filter(|m| m.old != ["proficient"]);
    assert_eq!(sum(moved), proficiency.different);
    assert_eq!(documents.changed.len(), proficiency.different);
    for changed in &documents.changed {
        let ([old], [new]) = (&changed.old[..], &changed.new[..]) else { panic!("{changed:?}") };
        assert!(old.label != "proficient" && old.probability > 1.0 / 3.0, "{changed:?}");
        assert!(new.label == "proficient" && new.probability > 0.99, "{changed:?}");
        let stretches = [&changed.audio, &changed.text].into_iter().flatten();
        let places = stretches.map(|s| (s.line, s.range[0] >= 1 && s.range[0] <= s.range[1]));
        let places: Vec<_> = places.collect();
        assert!(
            !places.is_empty() && places.iter().all(|(line, fits)| [1, 2].contains(line) && *fits)
        );
    }
    assert_documented(&serde_json::to_value(&found).unwrap());
    let said = found.to_string();
    assert!(said.contains(" -> proficient 1.0000: "), "{said}");
    let places = [
        "session.wav, segments 1 to ",
        "session.wav, segments 8 to 12 (46.4 to 75.4 s), with the words of line 2, rows 1 to 1\n",
        "s), with its words\n",
        "s), without words\n",
        ": the words of line 2, rows 1 to 1, without sound\n",
    ];
    let missing: Vec<_> = places.iter().filter(|place| !said.contains(**place)).collect();
    assert!(missing.is_empty(), "{missing:?} in {said}");
}

#[test]
fn bundles_of_other_tasks_and_labels_are_compared_by_what_they_share() {
    let bundles = Bundles::new();
    let old = bundles.exported("a", &Tiny::aligned(), Weights::Int8);
    let other = Tiny::with(|config| {
        let tasks = &mut config["model"]["tasks"];
        tasks[0]["labels"] = json!(["basic", "middling", "proficient"]);
        tasks[1]["name"] = json!("haste");
        let fluency = config["calibration"].as_object_mut().unwrap().remove("fluency").unwrap();
        config["calibration"]["haste"] = fluency;
    });
    let new = bundles.exported("b", &other, Weights::Int8);
    let found = bundles.decided(&old, &new, 40);
    let expected = [
        "alignment",
        "provenance.checkpoint_sha256",
        "tasks.fluency",
        "tasks.haste",
        "tasks.proficiency.labels",
    ];
    assert_eq!(paths(&found), expected);
    let graphs: Vec<_> = found.graphs.iter().map(|g| (g.name.as_str(), g.change)).collect();
    assert!(graphs.contains(&("head_fluency", Change::Removed)), "{graphs:?}");
    assert!(graphs.contains(&("head_haste", Change::Added)), "{graphs:?}");
    assert!(graphs.contains(&("alignment", Change::Removed)), "{graphs:?}");
    let documents = found.documents.as_ref().unwrap();
    assert_eq!(documents.not_shared, ["fluency", "haste", "integrity"]);
    let [task] = &documents.tasks[..] else { panic!("{documents:?}") };
    assert_eq!((task.name.as_str(), task.same_labels), ("proficiency", false));
    assert!(task.moves.iter().all(|m| m.new != ["intermediate"] && m.old != ["middling"]));
    assert!(found.to_string().contains("its labels differ"), "{found}");
}

#[test]
fn documents_are_compared_where_the_new_bundle_cuts_recordings_otherwise() {
    let bundles = Bundles::new();
    let old = bundles.exported("a", &Tiny::new(), Weights::Int8);
    let shorter = Tiny::with(|config| {
        config["segmentation"]["min_s"] = json!(2.0);
        config["segmentation"]["max_s"] = json!(4.0);
    });
    let new = bundles.exported("b", &shorter, Weights::Int8);
    let found = bundles.decided(&old, &new, 40);
    assert_eq!(paths(&found), ["segmentation.max_s", "segmentation.min_s"]);
    let documents = found.documents.unwrap();
    let compared = documents.documents - documents.without_counterpart;
    assert!(compared > 20, "{documents:?}");
    assert!(documents.tasks.iter().all(|task| task.decisions == compared), "{documents:?}");
}

#[test]
fn without_a_list_the_report_says_that_documents_were_not_compared() {
    let bundles = Bundles::new();
    let [a, b] = ["a", "b"].map(|name| bundles.exported(name, &Tiny::new(), Weights::Int8));
    let said = compared(&a, &b).to_string();
    assert!(said.ends_with("documents not compared: no --calibration list was given\n"), "{said}");
}

#[test]
fn a_file_that_changed_and_a_list_that_cannot_be_read_are_refused() {
    let bundles = Bundles::new();
    let [a, b] = ["a", "b"].map(|name| bundles.exported(name, &Tiny::new(), Weights::Int8));
    let mut options = bundles.documents(10);
    options.list = Path::new("none").into();
    assert_eq!(diff(&a, &b, Some(&options), &silent).unwrap_err().code(), 4);
    let vocabulary = bundles.0.path().join("b/vocab.txt");
    let other = fs::read_to_string(&vocabulary).unwrap().replace("piece7\n", "piecf7\n");
    fs::write(&vocabulary, other).unwrap();
    assert_eq!(diff(&a, &b, None, &silent).unwrap_err().code(), 3);
}
