//! The gate: documents of a list, decided by both forms, and the certificate that says so.

use std::fs;
use std::path::{Path, PathBuf};

use hilbert_exporter::certificate::{Certificate, Status};
use hilbert_exporter::progress::silent;
use hilbert_exporter::{
    CalibrationOptions, Checkpoint, GateOptions, Options, Recipe, Report, Result, export,
};
use hilbert_formats::manifest::Weights;
use tempfile::TempDir;

use crate::tiny::Tiny;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/session");

/// A list of the sample recording, with its words and with others.
fn list(folder: &Path) -> PathBuf {
    let path = folder.join("list.jsonl");
    let labels = r#"{"proficiency": "basic", "fluency": "fluent"}"#;
    let with =
        |words: &str| format!(r#"{{"recording": "{SAMPLE}.wav", {words}, "labels": {labels}}}"#);
    let lines = [
        with(&format!(r#""transcript": "{SAMPLE}.srt""#)),
        with(r#""text": "Other words. And more.""#),
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn options(folder: &Path, documents: usize, allow_miss: bool) -> Options {
    let mut options = Options::default();
    let (list, cache) = (list(folder), folder.join("cache"));
    let calibration = CalibrationOptions { list, documents, cache, allow_miss };
    options.gate = GateOptions::Calibration(calibration);
    options.force = true;
    options
}

fn exported(tiny: &Tiny, folder: &Path, options: &Options) -> Result<Report> {
    export(tiny.written().path(), &folder.join("bundle"), options, &silent)
}

#[test]
fn floats_agree_with_themselves_and_a_second_run_finds_everything_in_the_cache() {
    let folder = TempDir::new().unwrap();
    let mut options = options(folder.path(), 60, false);
    options.recipe = Recipe::uniform(Weights::F32);
    let report = exported(&Tiny::aligned(), folder.path(), &options).unwrap();
    let gate = report.certificate.gate.as_ref().unwrap();
    assert_eq!(report.certificate.status, Status::Passed);
    assert_eq!((gate.documents, gate.recordings), (60, 2));
    let names: Vec<_> = gate.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(names, ["proficiency", "fluency", "integrity"]);
    assert!(gate.tasks.iter().all(|task| task.different == 0 && task.decisions > 0), "{gate:?}");
    let kept = |folder: &Path| {
        let files = fs::read_dir(folder.join("cache")).unwrap().map(|e| e.unwrap());
        let mut files: Vec<_> =
            files.map(|e| (e.path(), e.metadata().unwrap().modified().unwrap())).collect();
        files.sort();
        files
    };
    let before = kept(folder.path());
    assert_eq!(exported(&Tiny::aligned(), folder.path(), &options).unwrap(), report);
    assert_eq!(kept(folder.path()), before);
}

#[test]
fn the_certificate_is_in_the_bundle_and_can_be_carried_along() {
    let folder = TempDir::new().unwrap();
    let report = exported(&Tiny::new(), folder.path(), &options(folder.path(), 40, true)).unwrap();
    let certificate = folder.path().join("bundle/certificate.json");
    let written = fs::read_to_string(&certificate).unwrap();
    assert_eq!(written, report.certificate.to_json());
    let manifest = fs::read(folder.path().join("bundle/manifest.json")).unwrap();
    let kept = folder.path().join("certificate.json");
    fs::copy(&certificate, &kept).unwrap();
    let mut again = Options::default();
    (again.gate, again.force) = (GateOptions::Certificate(kept.clone()), true);
    exported(&Tiny::new(), folder.path(), &again).unwrap();
    assert_eq!(fs::read(folder.path().join("bundle/manifest.json")).unwrap(), manifest);

    again.recipe = Recipe::uniform(Weights::F32);
    let error = exported(&Tiny::new(), folder.path(), &again).unwrap_err();
    assert!(error.to_string().contains("certificate.json: found graphs with SHA-256"), "{error}");
    let other = written.replace(r#""status": ""#, r#""status": "not_evaluated", "x": ""#);
    fs::write(&kept, other).unwrap();
    assert_eq!(exported(&Tiny::new(), folder.path(), &again).unwrap_err().code(), 4);
}

#[test]
fn a_tensor_that_eight_bits_ruin_is_ranked_first_and_alone_stays_float() {
    const RUINED: &str = "fusion.project_audio.linear.weight";
    let folder = TempDir::new().unwrap();
    let mut tiny = Tiny::new();
    // A weight for an element that is always 0 dwarfs the others of its row: eight bits round those to nothing.
    let (shape, weights) = tiny.tensors.get_mut(RUINED).unwrap();
    weights.chunks_exact_mut(shape[1]).for_each(|row| row[0] = 200.0);
    for name in ["speech.norm.weight", "speech.norm.bias"] {
        tiny.tensors.get_mut(name).unwrap().1[0] = 0.0;
    }
    let report = exported(&tiny, folder.path(), &options(folder.path(), 60, false)).unwrap();
    let certificate = &report.certificate;
    let gate = certificate.gate.as_ref().unwrap();
    assert_eq!(gate.sensitivity[0].tensor, RUINED);
    assert!(gate.sensitivity[0].different > 0, "{:#?}", gate.sensitivity);
    assert!(gate.sensitivity.is_sorted_by(|a, b| a.different >= b.different));
    let quantisable = Checkpoint::open(tiny.written().path()).unwrap().quantisable();
    assert_eq!(gate.sensitivity.len(), quantisable.len());
    assert_eq!(certificate.status, Status::Passed);
    assert_eq!(certificate.float_tensors, [RUINED]);

    let report = exported(&tiny, folder.path(), &options(folder.path(), 60, true)).unwrap();
    let gate = report.certificate.gate.as_ref().unwrap();
    assert_eq!(report.certificate.status, Status::Missed);
    assert!(!gate.misses.is_empty() && report.certificate.float_tensors.is_empty());
    assert!(report.to_string().contains("MISSED"), "{report}");
}

#[test]
fn without_a_list_the_certificate_says_not_evaluated() {
    let folder = TempDir::new().unwrap();
    let report = exported(&Tiny::new(), folder.path(), &Options::default()).unwrap();
    assert_eq!(report.certificate.status, Status::NotEvaluated);
    assert!(report.to_string().contains("gate: not evaluated"));
    let read: Certificate =
        serde_json::from_slice(&fs::read(folder.path().join("bundle/certificate.json")).unwrap())
            .unwrap();
    assert_eq!(read, report.certificate);
}

#[test]
fn a_list_of_too_few_documents_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let error =
        exported(&Tiny::new(), folder.path(), &options(folder.path(), 2000, false)).unwrap_err();
    assert!(error.to_string().contains("in 2 recordings, expected 2000"), "{error}");
    assert!(error.code() == 4 && !folder.path().join("bundle").exists());
}
