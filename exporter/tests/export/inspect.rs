//! `inspect`: what is said of a bundle, and whether it is so.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::path::Path;

use hilbert_exporter::inspect::{Amount, Stored, inspect};
use hilbert_exporter::onnx::{DataType, ModelProto, TensorProto};
use hilbert_exporter::progress::silent;
use hilbert_exporter::{Options, Recipe, export};
use hilbert_formats::Bundle;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::Weights;
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tiny::Tiny;

fn exported(tiny: &Tiny, recipe: Recipe) -> Bundle {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("bundle");
    let mut options = Options::default();
    options.recipe = recipe;
    export(tiny.written().path(), &target, &options, &silent).unwrap();
    let read = |name: &str| (name.to_owned(), fs::read(target.join(name)).unwrap());
    let manifest: Value = serde_json::from_slice(&read("manifest.json").1).unwrap();
    let listed = manifest["files"].as_array().unwrap();
    let mut files: Vec<_> = listed.iter().map(|f| read(f["path"].as_str().unwrap())).collect();
    files.push(read("manifest.json"));
    Bundle::from_owned(files).unwrap()
}

fn int8() -> Recipe {
    Recipe::uniform(Weights::Int8)
}

/// The same files under a manifest that `change` made of theirs.
fn relabelled(bundle: &Bundle, change: impl FnOnce(&mut Value)) -> hilbert_formats::Result<Bundle> {
    let mut manifest: Value = serde_json::from_str(&bundle.manifest().to_json()).unwrap();
    let files = bundle.manifest().files.iter();
    let mut files: Vec<_> =
        files.map(|f| (f.path.clone(), bundle.read(&f.path).unwrap().into_owned())).collect();
    change(&mut manifest);
    files.push(("manifest.json".into(), manifest.to_string().into()));
    Bundle::from_owned(files)
}

fn constants(bundle: &Bundle, file: &str) -> Vec<TensorProto> {
    let model = ModelProto::decode(&*bundle.read(file).unwrap()).unwrap();
    model.graph.unwrap().initializer
}

#[test]
fn every_constant_of_every_graph_is_counted_once_by_how_it_is_stored() {
    let bundle = exported(&Tiny::aligned(), int8());
    let inspection = inspect(&bundle).unwrap();
    let names: Vec<_> = inspection.graphs.iter().map(|g| g.name.clone()).collect();
    assert_eq!(names, bundle.manifest().graph_names());
    for graph in &inspection.graphs {
        let constants = constants(&bundle, &graph.file);
        let amount = |is: &dyn Fn(&TensorProto) -> bool| {
            let mut amount = Amount::default();
            for constant in constants.iter().filter(|c| is(c)) {
                let bytes = constant.raw_data().len();
                let size = match constant.data_type() {
                    DataType::Int8 => 1,
                    DataType::Int64 => 8,
                    _ => 4,
                };
                amount += Amount { tensors: 1, values: bytes / size, bytes };
            }
            amount
        };
        // The exporter's own scales go by the names of what they scale.
        let is_scale = |c: &TensorProto| c.name().ends_with(".scale");
        let of = |dtype| move |c: &TensorProto| c.data_type() == dtype;
        let expected = Stored {
            int8: amount(&of(DataType::Int8)),
            scales: amount(&is_scale),
            f32: amount(&|c| c.data_type() == DataType::Float && !is_scale(c)),
            other: amount(&of(DataType::Int64)),
        };
        assert_eq!(graph.stored, expected, "{}", graph.name);
    }
    let found = inspection.weights;
    assert!(found.as_labelled && found.large_floats.is_empty(), "{found:?}");
    assert!(found.stored.int8.tensors > 10, "{found:?}");
    assert_eq!(found.stored.int8.tensors, found.stored.scales.tensors);
}

#[test]
fn weights_that_are_otherwise_than_the_manifest_says_are_told() {
    let mixed = exported(&Tiny::new(), Recipe::int8_without(["text.tokens.weight".into()]));
    let without_certificate = relabelled(&mixed, |manifest| {
        let files = manifest["files"].as_array_mut().unwrap();
        files.retain(|file| file["path"] != "certificate.json");
    });
    let labelled = |bundle: &Bundle, weights: &str| {
        relabelled(bundle, |manifest| manifest["weights"] = json!(weights)).unwrap()
    };
    let (int8, f32) =
        (exported(&Tiny::new(), int8()), exported(&Tiny::new(), Recipe::uniform(Weights::F32)));
    let is_float = "text.tokens.weight is a float";
    let rows = [
        (&int8, true, "int8, as labelled".to_owned()),
        (&f32, true, "f32, as labelled".to_owned()),
        (&mixed, true, format!("{is_float}, as the certificate says")),
        (&without_certificate.unwrap(), false, format!("{is_float}, NOT as the certificate says")),
        (&labelled(&int8, "f32"), false, "labelled f32, found ".to_owned()),
        (&labelled(&f32, "int8"), false, "labelled int8, found NONE that is".to_owned()),
    ];
    for (bundle, as_labelled, says) in rows {
        let found = inspect(bundle).unwrap();
        assert_eq!(found.weights.as_labelled, as_labelled, "{says}");
        assert!(found.to_string().contains(&says), "{says}: {found}");
    }
}

#[test]
fn the_report_tells_the_model_from_the_front_end_to_the_tasks() {
    let one = json!({"documents": 104, "sets": [{"coverage": 0.8, "threshold": 0.5}, {"coverage": 0.9, "threshold": 0.7}]});
    let tiny = Tiny::with(|config| {
        config["conformal"] = json!({"fluency": {"audio": one, "text": one, "audio_text": one}});
        config["alignment"] = crate::tiny::alignment();
    });
    let said = inspect(&exported(&tiny, int8())).unwrap().to_string();
    let expected = [
        "tiny 1\n",
        "  signature    none\n",
        "  licence      CC-BY-4.0\n",
        "  activations  f32: no operator calculates with integers\n",
        "  gate         not evaluated\n",
        "  trained      on cpu, seed 0, with torch 2\n",
        "  credits      random numbers\n",
        "segments of 6 to 10 s, log-mel 80 x 1000 every 160 samples; WordPiece of 300 pieces, rows of 16 tokens\n",
        "  fusion       rows of 64 (audio) and 24 (text) to 64, 4 heads, blocks of 64, at most 128 rows\n",
        "  experts      3 of width 16, all run\n",
        "integrity: intact, partly_swapped, all_swapped\n",
        "task proficiency: ordinal: basic < intermediate < proficient\n  audio        cuts at -0.2, 0.3, slope 4; no sets\n",
        "task fluency: binary: fluent, at_risk\n  audio        temperature 1.3; sets of 80 %, 90 % from 104 documents\n",
        "  text_encoder.onnx: tokens i64 [1, 16], mask [1, 16] -> row [1, 24]\n",
    ];
    let missing: Vec<_> = expected.iter().filter(|line| !said.contains(**line)).collect();
    assert!(missing.is_empty(), "{missing:#?} in {said}");
    let without = inspect(&exported(&Tiny::new(), int8())).unwrap().to_string();
    assert!(without.contains("  alignment    none\n"), "{without}");
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_with_what_was_found_and_expected() {
    let bundle = exported(&Tiny::new(), int8());
    let schema = relabelled(&bundle, |manifest| manifest["schema"] = json!("hilbert.bundle/2"));
    let said = schema.unwrap_err().to_string();
    assert!(said.ends_with(r#"found "hilbert.bundle/2", expected "hilbert.bundle/1""#), "{said}");

    let is_router = |file: &&mut Value| file["path"] == "router.onnx";
    let router = |manifest: &mut Value, change: &dyn Fn(&mut Value)| {
        change(manifest["files"].as_array_mut().unwrap().iter_mut().find(is_router).unwrap());
    };
    let other = relabelled(&bundle, |m| router(m, &|f| f["sha256"] = json!("0".repeat(64))));
    let error = inspect(&other.unwrap()).unwrap_err();
    let said = error.source().unwrap().to_string();
    assert!(error.code() == 3 && said.contains("router.onnx: found SHA-256 "), "{said}");

    let folder = TempDir::new().unwrap();
    write(&bundle, folder.path(), b"no ONNX file");
    let error = inspect(&Bundle::open(folder.path()).unwrap()).unwrap_err();
    let said = error.source().unwrap().to_string();
    assert!(error.code() == 3 && said.contains("graph router: parsing failed"), "{said}");
}

/// The bundle in a folder, with other bytes in place of the router, and a manifest that says so.
fn write(bundle: &Bundle, folder: &Path, router: &[u8]) {
    let mut manifest = bundle.manifest().clone();
    for file in &mut manifest.files {
        let mut bytes = bundle.read(&file.path).unwrap().into_owned();
        if file.path == "router.onnx" {
            bytes = router.to_vec();
            (file.bytes, file.sha256) = (bytes.len() as u64, sha256(&bytes));
        }
        fs::write(folder.join(&file.path), bytes).unwrap();
    }
    fs::write(folder.join("manifest.json"), manifest.to_json()).unwrap();
}

#[test]
fn every_key_of_the_json_is_documented() {
    let tiny = Tiny::aligned();
    let report = inspect(&exported(&tiny, int8())).unwrap();
    let mut json = serde_json::to_value(&report).unwrap();
    // Documents of their own describe these; operators go by their names.
    json["manifest"].take();
    json["certificate"].take();
    json["graphs"].as_array_mut().unwrap().iter_mut().for_each(|g| drop(g["operators"].take()));
    assert_documented(&json);
}

/// Every key of a document stands in `docs/inspect.md`.
pub(crate) fn assert_documented(json: &Value) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/inspect.md");
    let documented = fs::read_to_string(path).unwrap();
    let mut missing = BTreeSet::new();
    let mut left = vec![json];
    while let Some(value) = left.pop() {
        left.extend(value.as_array().into_iter().flatten());
        for (key, value) in value.as_object().into_iter().flatten() {
            left.push(value);
            let is_documented = |end: &str| {
                [format!("`{key}{end}`"), format!(".{key}{end}`")]
                    .iter()
                    .any(|k| documented.contains(k))
            };
            if !is_documented("") && !is_documented("[]") {
                missing.insert(key);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_a_manifest_says_cannot_write_to_the_terminal() {
    let bundle = exported(&Tiny::new(), int8());
    let evil = relabelled(&bundle, |m| m["provenance"]["credits"] = json!(["\u{1b}[2Jgone"]));
    let said = inspect(&evil.unwrap()).unwrap().to_string();
    assert!(said.contains("\\u{1b}[2Jgone") && !said.contains('\u{1b}'), "{said}");
}
