//! `hilbert selftest`: a table or JSON, and the exit code 8 where a layer comes out differently.

use std::fs;

use hilbert_formats::taps::{FILE, Taps};
use hilbert_formats::{Bundle, bundle::sha256};
use serde_json::Value;

use crate::process::{bundle, hilbert};

#[test]
fn the_built_in_model_passes_and_every_layer_is_shown_when_asked_for() {
    let outputs = hilbert(&["selftest"]);
    assert_eq!((outputs.code, &*outputs.stderr), (0, ""), "{outputs:?}");
    assert!(outputs.stdout.starts_with("model spoken-english: this machine ("));
    assert!(
        outputs.stdout.contains("  moe.heads.fluency  ")
            && !outputs.stdout.contains("speech.layers.0")
    );
    let layers = hilbert(&["selftest", "--layers"]);
    assert!(layers.code == 0 && layers.stdout.contains("  speech.layers.0  "), "{layers:?}");
    assert!(layers.stdout.lines().count() > outputs.stdout.lines().count());
}

#[test]
fn json_holds_every_layer_with_its_numbers() {
    let finished = hilbert(&["selftest", "--layers", "--format", "json"]);
    let json: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(json["schema"], "hilbert.selftest/1");
    assert_eq!((&json["bundle"], &json["first_under"]), (&"spoken-english".into(), &Value::Null));
    let layers = json["layers"].as_array().unwrap();
    let names: Vec<_> = layers.iter().filter_map(|layer| layer["name"].as_str()).collect();
    assert!(names.contains(&"text.tokens") && names.len() > 40, "{names:?}");
    let numbers = ["snr_db", "cosine", "largest"];
    let whole = |layer: &Value| numbers.iter().all(|number| layer["engine"][number].is_number());
    assert!(layers.iter().all(whole));
}

#[test]
fn a_layer_that_comes_out_differently_is_code_8_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(bundle()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let bundle = Bundle::open(folder.path()).unwrap();
    let mut taps = Taps::parse(&bundle.read(FILE).unwrap()).unwrap();
    let router = taps.layers.iter_mut().find(|layer| layer.place.name == "moe.router").unwrap();
    router.own.iter_mut().for_each(|value| *value *= 1.01);
    let bytes = taps.to_bytes();
    let mut manifest = bundle.manifest().clone();
    let entry = manifest.files.iter_mut().find(|file| file.path == FILE).unwrap();
    (entry.bytes, entry.sha256) = (bytes.len() as u64, sha256(&bytes));
    fs::write(folder.path().join(FILE), bytes).unwrap();
    fs::write(folder.path().join("manifest.json"), manifest.to_json()).unwrap();
    let model = folder.path().to_str().unwrap();
    let finished = hilbert(&["selftest", "--layers", "--engine", "f32", "--model", model]);
    let said = "hilbert: self-test: layer moe.router: found 40.1 dB, expected at least 60 dB\n";
    assert_eq!((finished.code, &*finished.stderr), (8, said));
    assert!(finished.stdout.ends_with("layers, 1 under 60 dB\n"), "{}", finished.stdout);
    assert_eq!(hilbert(&["selftest", "--model", model]).code, 0);
}
