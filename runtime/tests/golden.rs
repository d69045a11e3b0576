//! Every stage against the golden file, which `models/reference/golden.py` writes: each stage is fed its golden input, then the
//! whole runtime the recording and the cues.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers that were integers or f32 before the golden file was read as f64"
)]

#[path = "golden/alignment.rs"]
mod alignment;
#[path = "golden/file.rs"]
mod file;
#[path = "golden/long.rs"]
mod long;
#[path = "golden/report.rs"]
mod report;
#[path = "golden/stages.rs"]
mod stages;

use std::path::PathBuf;
use std::sync::Arc;

use hilbert_runtime::{Engine, Isa, Session};

use crate::alignment::check_result;
use crate::file::Golden;
use crate::report::{CHAINED, ROUNDED, Report, Tolerance};
use crate::stages::check_stages;

/// Folders of `models/`.
const BUNDLES: [&str; 2] = ["spoken-english", "consultations"];

fn path(from_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

#[test]
fn every_stage_fed_its_golden_input_equals_the_reference() {
    for golden in BUNDLES.map(|name| Golden::read(name, Engine::Float)) {
        assert!(golden.documents().len() >= 4, "{:?}", golden.documents());
        let report = check_stages(&golden, &golden.documents());
        println!("{}: {}", golden.model.manifest().name, report.largest_differences());
        report.assert_empty();
    }
}

#[test]
fn the_whole_runtime_gives_the_probabilities_and_labels_of_the_reference() {
    for golden in BUNDLES.map(|name| Golden::read(name, Engine::Float)) {
        let report = check_whole(&golden, CHAINED);
        println!("{}: {}", golden.model.manifest().name, report.largest_differences());
        report.assert_empty();
    }
}

/// What the kernels keep to the golden set, stage by stage, dB.
const KEPT_DB: f64 = 30.0;

#[test]
fn on_every_path_of_the_kernels_each_stage_keeps_30_db_to_the_reference() {
    let mut failed = Vec::new();
    for (name, isa) in on_all_paths() {
        let golden = Golden::read(name, Engine::Kernels(isa));
        let report = check_stages(&golden, &golden.documents());
        let stages = report.decibels();
        println!("{name} on {isa}: {stages:.1?}");
        assert!(stages.len() > 15, "{stages:?}");
        let under = stages.iter().filter(|(decibels, _)| *decibels < KEPT_DB || decibels.is_nan());
        failed.extend(
            under.map(|(decibels, stage)| format!("{name} on {isa}: {stage}: {decibels:.1} dB")),
        );
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn on_every_path_of_the_kernels_probabilities_stay_within_0_02_of_the_reference() {
    for (name, isa) in on_all_paths() {
        let report = check_whole(&Golden::read(name, Engine::Kernels(isa)), ROUNDED);
        println!("{name} on {isa}: {}", report.largest_differences());
        report.assert_empty();
    }
}

#[test]
fn all_paths_of_the_kernels_decide_alike() {
    let mut failed = Vec::new();
    for name in BUNDLES {
        let golden = Golden::read(name, Engine::Kernels(Isa::Portable));
        for document in golden.documents() {
            let decide = |golden: &Golden| {
                let mut session = Session::new(Arc::clone(&golden.model)).unwrap();
                golden.classify(&mut session, &document).tasks
            };
            let expected = decide(&golden);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let found = decide(&Golden::read(name, Engine::Kernels(isa)));
                for (found, expected) in found.iter().zip(&expected) {
                    let pairs = found.probabilities.iter().zip(&expected.probabilities);
                    let far =
                        pairs.clone().any(|(a, b)| (a.probability - b.probability).abs() > 1e-3);
                    let mut by_size: Vec<f64> = pairs.map(|(_, one)| one.probability).collect();
                    by_size.sort_by(|a, b| b.total_cmp(a));
                    let is_clear = by_size[0] - by_size[1] > 2e-3;
                    if far || (is_clear && found.label != expected.label) {
                        failed.push(format!(
                            "{name}, {document} on {isa}: {found:?}, portable {expected:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

fn on_all_paths() -> impl Iterator<Item = (&'static str, Isa)> {
    let paths = Isa::ALL.into_iter().filter(|isa| isa.is_available());
    paths.flat_map(|isa| BUNDLES.map(|name| (name, isa)))
}

/// Documents one after the other through one session.
fn check_whole(golden: &Golden, tolerance: Tolerance) -> Report {
    let mut session = Session::new(Arc::clone(&golden.model)).unwrap();
    let mut report = Report::default();
    for document in golden.documents() {
        let classification = golden.classify(&mut session, &document);
        for task in &classification.tasks {
            let expected = golden.output(&document, &format!("probabilities/{}", task.name));
            let found: Vec<f64> = task.probabilities.iter().map(|one| one.probability).collect();
            report.compare("chained probabilities", &document, &found, &expected, tolerance);
            let best = (0..expected.len())
                .reduce(|a, b| if expected[b] > expected[a] { b } else { a })
                .unwrap();
            let label = &task.probabilities[best].label;
            if task.label != *label {
                report.failures.push(format!(
                    "{document}, {}: ours {}, reference {label}",
                    task.name, task.label
                ));
            }
        }
        check_result(golden, &document, &classification, tolerance, &mut report);
    }
    report
}

#[test]
fn a_perturbed_golden_value_fails() {
    let golden = Golden::read(BUNDLES[0], Engine::Float);
    let stages = [
        "text_rows",
        "text_x",
        "text_score",
        "text_pooled",
        "cross_text",
        "cross_text_pooled",
        "document",
        "gates",
        "experts",
        "forced/fluency",
    ];
    let of_text = stages.map(|stage| ("text_only", stage));
    let of_both = [
        ("one_segment", "alignment_log_posteriors"),
        ("typical", "cue_scores"),
        ("typical", "integrity"),
    ];
    let of_both = of_both.into_iter().filter(|_| golden.model.alignment().is_some());
    for (document, stage) in of_text.into_iter().chain(of_both) {
        let mut perturbed = golden.clone();
        let name = format!("{}/{document}/{stage}", perturbed.set);
        // A value that nothing compared is computed from: the last one.
        *perturbed
            .tensors
            .get_mut(&name)
            .unwrap_or_else(|| panic!("no {name}"))
            .last_mut()
            .unwrap() += 1e-2;
        let report = check_stages(&perturbed, &[document.to_owned()]);
        let named = report
            .failures
            .iter()
            .any(|failure| failure.contains(stage) && failure.contains(document));
        assert!(named, "{stage}: {:?}", report.failures);
    }
}
