//! A right manifest is read back as it was written; a wrong one is an error that names the place.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/example.rs"]
mod example;

use hilbert_formats::manifest::{Calibration, RowWidths};
use hilbert_formats::{ErrorKind, Manifest};
use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::{Value, json};

use crate::example::{content, manifest};

fn parse(value: &Value) -> hilbert_formats::Result<Manifest> {
    Manifest::parse(&serde_json::to_vec(value).unwrap())
}

fn example() -> Value {
    serde_json::to_value(manifest()).unwrap()
}

#[test]
fn a_right_manifest_is_read_back_as_it_was_written() {
    let written = manifest().to_json();
    assert!(written.ends_with("}\n"));
    let read = Manifest::parse(written.as_bytes()).unwrap();
    assert_eq!(read, manifest());
    assert_eq!(read.to_json(), written);
    assert_eq!(read.row_widths(), Some(RowWidths { audio: 768, text: 384 }));
    assert_eq!(
        content("vocab.txt").len() as u64,
        read.files.iter().find(|f| f.path == "vocab.txt").unwrap().bytes
    );
}

#[test]
fn graphs_have_the_shapes_of_the_contract() {
    let manifest = manifest();
    let shown = |name: &str| {
        let graph = &manifest.graphs[name];
        let list = |tensors: &[hilbert_formats::manifest::TensorEntry]| {
            let one = |t: &hilbert_formats::manifest::TensorEntry| {
                format!("{} {:?} {:?}", t.name, t.dtype, t.shape)
            };
            tensors.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        format!("{} -> {}", list(&graph.inputs), list(&graph.outputs))
    };
    let rows = [
        (
            "speech_encoder",
            "log_mel F32 [1, 80, 1000], mask F32 [1, 1000] -> row F32 [1, 768], frames F32 [250, 384]",
        ),
        ("alignment", "frames F32 [250, 384] -> log_posteriors F32 [250, 29]"),
        ("text_encoder", "tokens I64 [1, 64], mask F32 [1, 64] -> row F32 [1, 384]"),
        (
            "project_audio",
            "row F32 [1, 768], position F32 [1, 256] -> x F32 [1, 256], score F32 [1, 1]",
        ),
        (
            "project_text",
            "row F32 [1, 384], position F32 [1, 256] -> x F32 [1, 256], score F32 [1, 1]",
        ),
        (
            "cross_audio",
            "query_rows F32 [64, 256], key_rows F32 [64, 256], bias F32 [64] -> numerator F32 [4, 64, 64], maximum F32 [4, 64], sum F32 [4, 64]",
        ),
        (
            "finish_text",
            "attended F32 [64, 256], rows F32 [64, 256] -> c F32 [64, 256], score F32 [64]",
        ),
        (
            "join",
            "audio F32 [1, 256], text F32 [1, 256], cross_audio F32 [1, 256], cross_text F32 [1, 256], presence F32 [1, 2] -> document F32 [1, 768]",
        ),
        ("router", "document F32 [1, 768] -> gates F32 [2, 2]"),
        ("expert_1", "document F32 [1, 768] -> output F32 [1, 128]"),
        ("head_proficiency", "mixed F32 [1, 128] -> output F32 [1, 1]"),
        ("head_fluency", "mixed F32 [1, 128] -> output F32 [1, 2]"),
    ];
    let failed: Vec<_> = rows.iter().filter(|(name, expected)| shown(name) != *expected).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(manifest.graph_names().len(), 15);
}

#[test]
fn a_manifest_without_alignment_has_neither_its_graph_nor_frames() {
    let mut json = example();
    json["alignment"] = Value::Null;
    let shown = |json: &Value| parse(json).unwrap_err().to_string();
    assert!(shown(&json).contains("graphs.alignment: found a graph that nothing uses"));
    json["graphs"].as_object_mut().unwrap().remove("alignment");
    assert!(shown(&json).contains("graphs.speech_encoder.outputs: found 2 tensors, expected 1"));
    json["graphs"]["speech_encoder"]["outputs"].as_array_mut().unwrap().pop();
    let manifest = parse(&json).unwrap();
    assert_eq!(manifest.graph_names().len(), 14);
    assert!(manifest.to_json().contains("\"alignment\": null"));
}

#[test]
fn a_manifest_without_memory_figures_is_read_and_written_without_them() {
    let mut json = example();
    for graph in json["graphs"].as_object_mut().unwrap().values_mut() {
        graph.as_object_mut().unwrap().remove("memory").unwrap();
    }
    let manifest = parse(&json).unwrap();
    assert!(manifest.graphs.values().all(|graph| graph.memory.is_none()));
    assert_eq!(serde_json::to_value(&manifest).unwrap(), json);
}

/// Pointers of every value.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), all));
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, value)| pointers(value, &format!("{at}/{i}"), all)),
        _ => {}
    }
}

#[test]
fn figures_of_memory_without_those_in_place_count_as_if_nothing_stayed_where_it_is() {
    let mut json = example();
    let heap = json.pointer_mut("/graphs/join/memory/64").unwrap().as_object_mut().unwrap();
    heap.remove("in_place");
    let manifest = parse(&json).unwrap();
    let [join, router] =
        ["join", "router"].map(|name| manifest.graphs[name].memory.unwrap().bits_64);
    assert_eq!(join.load(true), join.load(false));
    assert_ne!(router.load(true), router.load(false));
    assert_eq!(parse(&serde_json::to_value(&manifest).unwrap()).unwrap(), manifest);
}

#[test]
fn a_missing_or_unknown_field_is_refused_everywhere() {
    let mut all = Vec::new();
    pointers(&example(), "", &mut all);
    // `serde(default)`; free maps; every other key of an object is needed.
    let optional = |pointer: &str| {
        ["/optional", "/alignment", "/conformal", "/threshold", "/in_place"]
            .iter()
            .any(|end| pointer.ends_with(end) && pointer != "/experts/threshold")
            || pointer.starts_with("/provenance/versions/")
    };
    let mut failed = Vec::new();
    for pointer in all.iter().filter(|pointer| !pointer.is_empty()) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut json = example();
        let Some(object) = json.pointer_mut(parent).unwrap().as_object_mut() else { continue };
        object.remove(key);
        if !optional(pointer) && parse(&json).is_ok() {
            failed.push(format!("{pointer} removed: accepted"));
        }
        let mut json = example();
        json.pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert("surprise".to_owned(), json!(1));
        if parse(&json).is_ok() {
            failed.push(format!("{parent}/surprise: accepted"));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn files_that_are_no_manifest_are_refused() {
    let right = manifest().to_json();
    let deep = right.replacen(
        "\"threshold\": null",
        &format!("\"threshold\": {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        1,
    );
    let twice = right.replacen(
        "\"graphs\": {",
        &format!("\"graphs\": {{ \"join\": {},", example()["graphs"]["join"]),
        1,
    );
    let rows: [(&str, String, &str); 8] = [
        ("empty", String::new(), "EOF while parsing"),
        ("a list", "[]".to_owned(), "expected struct Manifest"),
        (
            "a future schema with other fields",
            r#"{"schema": "hilbert.bundle/9", "flux": 1}"#.to_owned(),
            "expected \"hilbert.bundle/1\"",
        ),
        (
            "no schema",
            right.replacen("\"schema\": \"hilbert.bundle/1\",", "", 1),
            "missing field `schema`",
        ),
        ("a comma too many", right.replacen("\n}\n", ",\n}\n", 1), "trailing comma"),
        ("text behind it", right.clone() + "x", "trailing characters"),
        ("a graph that stands twice", twice, "duplicate key `join`"),
        ("brackets without end", deep, "recursion limit"),
    ];
    let mut failed = Vec::new();
    for (name, text, part) in &rows {
        match Manifest::parse(text.as_bytes()) {
            Ok(_) => failed.push(format!("{name}: accepted")),
            Err(error) if !error.to_string().contains(part) || error.code() != 3 => {
                failed.push(format!("{name}: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    let error = Manifest::parse(&vec![b' '; (1 << 20) + 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Bundle { .. }), "{error}");
    assert_eq!(error.code(), 3);
}

proptest! {
    #[test]
    fn calibrations_survive_writing(slope in f32::MIN_POSITIVE..f32::MAX, cut in any::<i32>()) {
        let mut written = manifest();
        let first = cut as f32 / 3.0;
        written.tasks[0].calibration.audio = Calibration::Cuts { cuts: vec![first, f32::MAX], slope };
        prop_assert_eq!(Manifest::parse(written.to_json().as_bytes()).unwrap(), written);
    }

    #[test]
    fn mutated_manifests_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(), whole in any::<bool>(),
    ) {
        let mut bytes = manifest().to_json().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Err(error) = Manifest::parse(&bytes) {
            prop_assert_eq!(error.code(), 3);
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
