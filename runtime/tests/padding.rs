//! Rows of padding are not computed, and nothing shows it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_formats::manifest::{Dtype, TensorEntry};
use hilbert_runtime::{Engine, Graph, Input};

/// The graph as it runs, and with a tap at its end, behind which every row is read.
fn graphs(name: &str, tap: &str, shape: &[usize]) -> [Graph; 2] {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/spoken-english/bundle");
    let bundle = Bundle::open(&bundle).unwrap_or_else(|error| panic!("{error}"));
    let entry = &bundle.manifest().graphs[name];
    let onnx = bundle.read(&entry.file).unwrap();
    let tap = TensorEntry { name: tap.to_owned(), dtype: Dtype::F32, shape: shape.to_vec() };
    [&[][..], &[tap]]
        .map(|taps| Graph::load_with_taps(name, &onnx, entry, taps, Engine::detect()).unwrap())
}

fn mask(real: usize, all: usize) -> Vec<f32> {
    (0..all).map(|i| if i < real { 1.0 } else { 0.0 }).collect()
}

/// The outputs of both graphs are the same numbers; zeros may differ in sign.
fn assert_same([skipping, whole]: &[Graph; 2], inputs: &[Input<'_>], what: &str) {
    let (found, expected) = (skipping.run(inputs).unwrap(), whole.run_with_taps(inputs).unwrap());
    for (port, (found, expected)) in skipping.outputs().iter().zip(found.iter().zip(&expected)) {
        let differ = found.iter().zip(expected).filter(|(a, b)| (**a - **b).abs() > 0.0).count();
        assert_eq!(differ, 0, "{what}: {} of {} values of {}", differ, found.len(), port.name());
    }
}

#[test]
fn a_segment_of_any_length_gives_what_it_gives_with_all_its_padding() {
    let graphs = graphs("speech_encoder", "speech.norm", &[250, 384]);
    let log_mel: Vec<f32> = (0..80 * 1000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.0)
        .collect();
    for real in [1, 2, 3, 4, 5, 37, 98, 99, 100, 101, 102, 103, 640, 997, 998, 999, 1000] {
        let mask = mask(real, 1000);
        assert_same(&graphs, &[Input::F32(&log_mel), Input::F32(&mask)], &format!("{real} frames"));
    }
}

#[test]
fn a_row_of_tokens_of_any_length_gives_what_it_gives_with_all_its_padding() {
    let graphs = graphs("text_encoder", "text.layers.1", &[64, 384]);
    let tokens: Vec<i64> = (0..64).map(|i| (i * 97 + 5) % 8000).collect();
    for real in [1, 2, 7, 8, 9, 12, 13, 31, 63, 64] {
        let mask = mask(real, 64);
        assert_same(&graphs, &[Input::I64(&tokens), Input::F32(&mask)], &format!("{real} tokens"));
    }
}
