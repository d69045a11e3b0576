//! `hilbert inspect`, and `--engine` of all commands.

use hilbert_runtime::Isa;
use serde_json::Value;

use crate::process::{hilbert, sample};

#[test]
fn every_operation_says_what_computes_it() {
    let finished = hilbert(&["inspect", "--kernels", "--engine", "portable"]);
    assert_eq!((finished.code, &*finished.stderr), (0, ""), "{finished:?}");
    assert!(finished.stdout.starts_with("model spoken-english, computed by portable\n"));
    let int8 = finished.stdout.lines().filter(|line| line.starts_with("    int8   portable "));
    assert!(
        int8.clone().any(|line| line.ends_with("  linear: speech.layers.0")),
        "{}",
        finished.stdout
    );
    let json = hilbert(&["inspect", "--kernels", "--engine", "portable", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&json["schema"], &json["engine"]),
        (&"hilbert.kernels/1".into(), &"portable".into())
    );
    let graphs = json["graphs"].as_object().unwrap();
    let counted: u64 =
        graphs.values().map(|graph| graph["int8_operations"].as_u64().unwrap()).sum();
    assert_eq!(counted, int8.count() as u64);
    let operations = graphs["speech_encoder"]["operations"].as_array().unwrap();
    let linear = operations.iter().find(|one| one["operation"] == "linear").unwrap();
    assert_eq!((&linear["arithmetic"], &linear["kernel"]), (&"int8".into(), &"portable".into()));
    assert!(linear["weight_bytes"].as_u64().unwrap() > 1000, "{linear}");
}

#[test]
fn stock_tract_has_no_kernels_and_holds_every_weight_in_floats() {
    let sum = |engine: &str| {
        let finished = hilbert(&["inspect", "--engine", engine, "--format", "json"]);
        let json: Value = serde_json::from_str(&finished.stdout).unwrap();
        let of = |key: &str| -> u64 {
            json["graphs"]
                .as_object()
                .unwrap()
                .values()
                .map(|graph| graph[key].as_u64().unwrap())
                .sum()
        };
        (of("int8_bytes"), of("f32_bytes"))
    };
    let ((int8, rest), (none, floats)) = (sum("auto"), sum("f32"));
    assert_eq!(none, 0);
    assert!(int8 > 7 << 20 && floats > rest + 3 * int8, "{int8}, {rest}, {floats}");
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let classify = |engine: &str| {
        let arguments =
            ["classify", &wav, "--transcript", &srt, "--engine", engine, "--format", "json"];
        hilbert(&arguments)
    };
    let portable = classify("portable");
    assert_eq!(portable.code, 0, "{portable:?}");
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        assert_eq!(classify(isa.name()).stdout, portable.stdout, "{isa}");
    }
}

#[test]
fn an_engine_is_chosen_by_name_and_decides_alike() {
    let wav = sample("session.wav");
    let decide = |engine: &str| {
        let finished = hilbert(&["classify", &wav, "--engine", engine, "--format", "json"]);
        let json: Value = serde_json::from_str(&finished.stdout).unwrap();
        json["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["label"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(decide("portable"), decide("f32"));
    let unknown = hilbert(&["classify", &wav, "--engine", "abacus"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("found instruction set \"abacus\", expected one of portable, "),
        "{unknown:?}"
    );
}
