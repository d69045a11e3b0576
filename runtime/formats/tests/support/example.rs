//! A manifest that is right in every part.

use std::collections::BTreeMap;

use hilbert_formats::Manifest;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::{
    FileEntry, GraphEntry, GraphMemory, HEAP_UNIT, HeapUse, LoadUse, RowWidths,
};

/// Its files have a few bytes each, see [`content`].
pub(crate) fn manifest() -> Manifest {
    let zeros = "0".repeat(64);
    let calibration = serde_json::json!({"temperature": 1.5});
    let cuts = serde_json::json!({"cuts": [-0.25, 0.5], "slope": 4.0});
    let conformal = serde_json::json!({
        "documents": 104,
        "sets": [{"coverage": 0.8, "threshold": 0.0}, {"coverage": 0.9, "threshold": 0.625}],
    });
    let json = serde_json::json!({
        "schema": "hilbert.bundle/1", "name": "example", "bundle_version": 1, "weights": "int8",
        "licence": "CC-BY-4.0",
        "provenance": {
            "checkpoint_sha256": zeros, "data_sha256": zeros, "device": "cpu", "seed": 0,
            "versions": {"torch": "2.0"}, "credits": ["nobody"], "exporter": "0.1.0",
        },
        "files": [], "graphs": {}, "audio": {"sample_rate": 16000},
        "features": {
            "kind": "log_mel", "n_fft": 400, "hop": 160, "n_mels": 80, "frames": 1000,
            "floor": 1e-10, "dynamic_range": 8.0, "offset": 4.0, "scale": 4.0,
        },
        "segmentation": {
            "frame": 160, "min_s": 6.0, "max_s": 10.0, "search_s": 3.0, "pause_s": 0.2, "long_pause_s": 1.0,
            "padding_s": 0.1, "min_speech_s": 0.1, "margin_db": 12.0, "floor_min_db": -65.0, "floor_max_db": -35.0,
            "floor_rise_db_per_s": 3.0,
        },
        "text": {"kind": "word_piece", "vocabulary": "vocab.txt", "max_tokens": 64, "max_word_chars": 100},
        "fusion": {
            "width": 256, "heads": 4, "block": 64, "n_max": 512, "period_min_s": 0.5, "period_max_s": 20000.0,
        },
        "experts": {"count": 2, "width": 128, "threshold": 0.0},
        "tasks": [
            {
                "name": "proficiency", "kind": "ordinal", "labels": ["basic", "intermediate", "proficient"],
                "calibration": {"audio": cuts, "text": cuts, "audio_text": cuts},
            },
            {
                "name": "fluency", "kind": "binary", "labels": ["fluent", "at_risk"],
                "calibration": {"audio": calibration, "text": calibration, "audio_text": calibration},
                "conformal": {"audio": conformal, "text": conformal, "audio_text": conformal},
            },
        ],
        "alignment": {
            "frames": 250, "width": 384, "alphabet": " abcdefghijklmnopqrstuvwxyz'", "margin_s": 0.3, "worst_fit": -20.0,
            "integrity": {
                "labels": ["intact", "partly_swapped", "all_swapped"],
                "cue": {"weight": -1.5, "bias": -4.0},
                "document": {
                    "summaries": ["mean", "smallest", "largest"],
                    "weight": [[-0.5, 0.0, -1.0], [0.0, -0.25, 0.5], [0.5, 0.25, 0.5]], "bias": [1.0, 0.0, -1.0],
                },
            },
        },
    });
    let heap = HeapUse {
        load_peak: 3 * HEAP_UNIT,
        resident: 2 * HEAP_UNIT,
        in_place: Some(LoadUse { load_peak: 2 * HEAP_UNIT, resident: HEAP_UNIT }),
        scratch: 0,
        run_peak: HEAP_UNIT,
    };
    let mut manifest: Manifest = serde_json::from_value(json).unwrap();
    let graphs: BTreeMap<_, _> = manifest
        .graph_names()
        .into_iter()
        .map(|name| {
            let tensors = manifest.tensors(&name, RowWidths { audio: 768, text: 384 }).unwrap();
            let entry = GraphEntry {
                file: format!("{name}.onnx"),
                inputs: tensors.inputs,
                outputs: tensors.outputs,
                memory: Some(GraphMemory { bits_32: heap, bits_64: heap }),
            };
            (name, entry)
        })
        .collect();
    let mut paths: Vec<_> = graphs.values().map(|graph| (graph.file.clone(), false)).collect();
    paths.extend([("vocab.txt".to_owned(), false), ("golden.safetensors".to_owned(), true)]);
    manifest.files = paths
        .into_iter()
        .map(|(path, optional)| {
            let bytes = content(&path);
            FileEntry { bytes: bytes.len() as u64, sha256: sha256(&bytes), path, optional }
        })
        .collect();
    manifest.graphs = graphs;
    manifest
}

/// What stands in a file of the example.
pub(crate) fn content(path: &str) -> Vec<u8> {
    format!("content of {path}").into_bytes()
}
