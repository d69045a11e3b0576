//! The trained checkpoint's bundles against the reference's golden file, on the real runtime.

use std::fs;

use hilbert_exporter::progress::silent;
use hilbert_exporter::verify::{Golden, open, verify};
use hilbert_exporter::{Checkpoint, ErrorKind, Options, Recipe, export};
use hilbert_formats::manifest::Weights;
use tempfile::TempDir;

use crate::trained::{checkpoint, golden, perturbed_golden, recipe};

fn options(weights: Weights) -> Options {
    let mut options = Options::default();
    options.recipe = match weights {
        Weights::F32 => Recipe::uniform(weights),
        Weights::Int8 => recipe(),
    };
    options
}

/// Exports, compares, and returns the stages compared.
fn compared(weights: Weights) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let mut options = options(weights);
    options.golden = Some(golden());
    let report = export(&checkpoint(), &folder.path().join("bundle"), &options, &silent).unwrap();
    eprintln!("{report}");
    report.comparisons.into_iter().map(|c| c.stage).collect()
}

/// Whether the trained checkpoint has an alignment head.
fn is_aligned() -> bool {
    Checkpoint::open(&checkpoint()).unwrap().config().alignment.is_some()
}

#[test]
fn every_stage_of_both_forms_agrees_with_its_golden_set() {
    let stages = compared(Weights::Int8);
    let expected = [
        "audio_rows",
        "text_rows",
        "audio_x",
        "text_x",
        "audio_score",
        "text_score",
        "cross_audio",
        "cross_text",
        "cross_audio_score",
        "cross_text_score",
        "audio_pooled",
        "text_pooled",
        "cross_audio_pooled",
        "cross_text_pooled",
        "document",
        "gates",
        "experts",
        "forced/proficiency",
        "forced/fluency",
        "head/proficiency",
        "head/fluency",
        "probabilities/proficiency",
        "probabilities/fluency",
        "chained probabilities/proficiency",
        "chained probabilities/fluency",
    ];
    let of_both = ["alignment_log_posteriors", "cue_fits", "cue_scores", "integrity"];
    let of_both = of_both.iter().filter(|_| is_aligned());
    let missing: Vec<_> =
        expected.iter().chain(of_both).filter(|s| !stages.contains(&(**s).to_owned())).collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
    assert_eq!(compared(Weights::F32), stages);
}

#[test]
fn a_perturbed_golden_value_is_found_where_it_is() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("bundle");
    export(&checkpoint(), &target, &options(Weights::Int8), &silent).unwrap();
    let model = open(&target).unwrap();
    let mut rows = vec![
        ("audio_only", "audio_rows", 700, 2e-4),
        ("audio_only", "audio_x", 300, -2e-4),
        ("audio_only", "cross_audio_score", 1, 2e-4),
        ("audio_only", "document", 767, 2e-4),
        ("audio_only", "gates", 5, f32::NAN),
        ("audio_only", "experts", 511, 2e-4),
        ("audio_only", "forced/fluency", 3, 2e-4),
        ("audio_only", "probabilities/proficiency", 2, -2e-4),
        ("text_only", "text_rows", 1151, 2e-4),
    ];
    if is_aligned() {
        // 32 last places of the largest of them are 2e-4.
        rows.push(("one_segment", "alignment_log_posteriors", 1000, 4e-4));
    }
    let mut wrong = Vec::new();
    for (document, stage, index, difference) in rows {
        let path = folder.path().join("perturbed.safetensors");
        perturbed_golden(&format!("int8/{document}/{stage}"), index, difference, &path);
        let result = verify(&model, &Golden::open(&path).unwrap(), Weights::Int8);
        let found = match result.as_ref().map_err(|e| e.kind()) {
            Err(ErrorKind::Parity(m)) => {
                (m.document.as_str(), m.stage.as_str(), m.index) == (document, stage, index)
            }
            _ => false,
        };
        if !found {
            wrong.push((document, stage, result));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_other_forms_golden_set_does_not_match() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("bundle");
    export(&checkpoint(), &target, &options(Weights::Int8), &silent).unwrap();
    let model = open(&target).unwrap();
    let error = verify(&model, &Golden::open(&golden()).unwrap(), Weights::F32).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Parity(_)), "{error}");
}

#[test]
fn a_recipe_other_than_the_golden_files_is_compared_in_its_f32_form() {
    let folder = TempDir::new().unwrap();
    let mut options = Options::default();
    options.recipe = Recipe::int8_without(["fusion.*".into()]);
    options.golden = Some(golden());
    let report = export(&checkpoint(), &folder.path().join("bundle"), &options, &silent).unwrap();
    assert_eq!((report.weights, report.compared), (Weights::Int8, Weights::F32));
    assert!(report.to_string().contains("in its f32 form compared with the f32 golden set"));
}

#[test]
fn an_export_that_fails_parity_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let perturbed = folder.path().join("perturbed.safetensors");
    perturbed_golden("int8/audio_only/document", 0, 0.5, &perturbed);
    let mut options = options(Weights::Int8);
    options.golden = Some(perturbed.clone());
    let error =
        export(&checkpoint(), &folder.path().join("bundle"), &options, &silent).unwrap_err();
    assert_eq!(error.code(), 8);
    let said = error.to_string();
    assert!(
        said.starts_with(
            r#"parity failed: stage "document", document "audio_only", index 0: found"#
        ),
        "{said}"
    );
    fs::remove_file(perturbed).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
