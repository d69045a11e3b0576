//! The document of more rows than the fusion keeps, made of the rows of another.

use hilbert_formats::manifest;
use hilbert_runtime::{DocumentRows, Engine, Modality, Row, TimeSpan, decide};

use crate::file::Golden;
use crate::report::{ROUNDED, Report, STAGE};
use crate::stages::{double, single, vectors};
use crate::{BUNDLES, KEPT_DB, on_all_paths};

const DOCUMENT: &str = "long";
const MODALITIES: [(&str, Modality); 2] = [("audio", Modality::Audio), ("text", Modality::Text)];

/// Of so many rows that are kept the golden file has the values of one.
const EVERY: usize = 16;

/// Pushes every row of the document, those of both modalities in turn.
fn pushed(golden: &Golden) -> DocumentRows {
    let fusion = golden.model.fusion();
    let mut document = fusion.document_rows(golden.model.manifest().fusion.n_max);
    let rows = MODALITIES.map(|(name, modality)| (modality, mixed(golden, name)));
    let most = rows.iter().map(|(_, rows)| rows.len()).max().unwrap();
    for i in 0..most {
        for (modality, rows) in &rows {
            if let Some((row, times)) = rows.get(i) {
                fusion.push(&mut document, *modality, row, *times).unwrap();
            }
        }
    }
    document
}

/// Encoded rows with their times: each a share of one row of the typical document, and the rest of another.
fn mixed(golden: &Golden, modality: &str) -> Vec<(Vec<f32>, Option<TimeSpan>)> {
    let input = |name: &str| golden.input(DOCUMENT, &format!("{modality}_{name}")).unwrap();
    let encoder = match modality {
        "audio" => golden.model.speech_encoder().row_width(),
        _ => golden.model.text_encoder().row_width(),
    };
    let rows = single(&golden.output("typical", &format!("{modality}_rows")));
    let row = |i: f64| &rows[i as usize * encoder..][..encoder];
    let each =
        input("picked").chunks_exact(2).zip(input("share")).zip(input("times").chunks_exact(2));
    each.map(|((picked, share), times)| {
        let share = *share as f32;
        let mix = |(a, b): (&f32, &f32)| share * a + (1.0 - share) * b;
        (row(picked[0]).iter().zip(row(picked[1])).map(mix).collect(), span(times))
    })
    .collect()
}

fn span(times: &[f64]) -> Option<TimeSpan> {
    (!times[0].is_nan()).then(|| TimeSpan { start_s: times[0], end_s: times[1] })
}

fn check_fused(golden: &Golden, document: &mut DocumentRows, report: &mut Report) {
    let fused = golden.model.fusion().fuse(document).unwrap().unwrap();
    for (stage, vector) in vectors(&fused) {
        report.compare(stage, DOCUMENT, &double(vector), &golden.output(DOCUMENT, stage), STAGE);
    }
    let outputs = golden.model.experts().run(&fused.document).unwrap();
    for (task, output) in golden.model.manifest().tasks.iter().zip(&outputs) {
        let stage = format!("probabilities/{}", task.name);
        let decision = decide(task, fused.modalities, &output.output).unwrap();
        let expected = golden.output(DOCUMENT, &stage);
        report.compare(&stage, DOCUMENT, &decision.probabilities, &expected, ROUNDED);
    }
}

#[test]
fn more_rows_than_are_kept_merge_as_in_the_reference() {
    for golden in BUNDLES.map(|name| Golden::read(name, Engine::Float)) {
        let manifest::Fusion { width, n_max, .. } = golden.model.manifest().fusion;
        let mut document = pushed(&golden);
        let mut report = Report::default();
        for (name, modality) in MODALITIES {
            let output = |stage: &str| golden.output(DOCUMENT, &format!("{name}_{stage}"));
            let rows = document.rows(modality);
            assert_eq!(rows.len(), n_max);
            assert!(document.pushed(modality) > n_max as u64);
            let sizes: Vec<f64> = rows.iter().map(|row| f64::from(row.size)).collect();
            assert_eq!(sizes, output("sizes"), "{name}");
            let expected: Vec<_> = output("merged_times").chunks_exact(2).map(span).collect();
            assert_eq!(
                rows.iter().map(|row: &Row| row.times).collect::<Vec<_>>(),
                expected,
                "{name}"
            );
            let values = document.values(modality).chunks_exact(width).step_by(EVERY).flatten();
            let values: Vec<f64> = values.map(|x| f64::from(*x)).collect();
            let stage = format!("{name}_merged_x");
            report.compare(&stage, DOCUMENT, &values, &output("merged_x"), STAGE);
        }
        check_fused(&golden, &mut document, &mut report);
        println!("{}: {}", golden.model.manifest().name, report.largest_differences());
        report.assert_empty();
    }
}

#[test]
fn on_every_path_of_the_kernels_a_long_document_keeps_30_db_to_the_reference() {
    let mut failed = Vec::new();
    for (name, isa) in on_all_paths() {
        let golden = Golden::read(name, Engine::Kernels(isa));
        let mut report = Report::default();
        check_fused(&golden, &mut pushed(&golden), &mut report);
        println!("{name} on {isa}: {:.1?}", report.decibels());
        let under = report.decibels().into_iter().filter(|(db, _)| *db < KEPT_DB || db.is_nan());
        failed.extend(under.map(|(db, stage)| format!("{name} on {isa}: {stage}: {db:.1} dB")));
        let stages = report.failures.iter().filter(|failure| failure.starts_with("probabilities"));
        failed.extend(stages.cloned());
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
