//! The folder that an export writes: whole or not at all, and never over something else.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::Path;

use hilbert_exporter::progress::silent;
use hilbert_exporter::{ErrorKind, Options, Recipe, export};
use hilbert_formats::Bundle;
use hilbert_formats::manifest::Weights;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tiny::Tiny;

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn forced() -> Options {
    let mut options = Options::default();
    options.force = true;
    options
}

#[test]
fn an_export_writes_a_bundle_that_opens_and_nothing_beside_it() {
    let (checkpoint, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let target = folder.path().join("new/bundle");
    let report = export(checkpoint.path(), &target, &Options::default(), &silent).unwrap();
    assert_eq!(names(&folder.path().join("new")), ["bundle"]);
    let bundle = Bundle::open(&target).unwrap();
    assert_eq!(bundle.manifest().name, "tiny");
    let mut listed: Vec<_> = bundle.manifest().files.iter().map(|f| f.path.clone()).collect();
    assert_eq!(report.files.len(), listed.len());
    listed.iter().for_each(|path| drop(bundle.read(path).unwrap()));
    listed.push("manifest.json".into());
    listed.sort();
    assert_eq!(names(&target), listed);
}

#[test]
fn conformal_sets_reach_the_manifest_where_the_checkpoint_has_them() {
    let one = |documents, threshold| json!({"documents": documents, "sets": [{"coverage": 0.9, "threshold": threshold}]});
    let sets = json!({"audio": one(104, 0.7142), "text": one(104, 0.9), "audio_text": one(8, 1.0)});
    let exported = |conformal: Value| {
        let (tiny, folder) =
            (Tiny::with(|config| config["conformal"] = conformal), TempDir::new().unwrap());
        let target = folder.path().join("bundle");
        export(tiny.written().path(), &target, &Options::default(), &silent)?;
        let tasks = Bundle::open(&target).unwrap().manifest().tasks.clone();
        Ok::<_, hilbert_exporter::Error>(
            tasks.into_iter().map(|task| json!(task.conformal)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(exported(json!({})).unwrap(), [Value::Null, Value::Null]);
    assert_eq!(exported(json!({"fluency": sets})).unwrap(), [Value::Null, sets.clone()]);
    let mut wrong = sets;
    wrong["text"] = one(8, 0.9);
    let error = exported(json!({"fluency": wrong})).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Manifest { .. }), "{error}");
    let said = "tasks[1].conformal.text.sets[0].threshold: found 0.9, expected 1, for 8 documents are too few";
    assert!(error.source().unwrap().to_string().ends_with(said), "{error:?}");
}

#[test]
fn a_bundle_is_replaced_only_by_force_and_to_the_same_bytes() {
    let (checkpoint, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let target = folder.path().join("bundle");
    export(checkpoint.path(), &target, &Options::default(), &silent).unwrap();
    let first = fs::read(target.join("manifest.json")).unwrap();
    let error = export(checkpoint.path(), &target, &Options::default(), &silent).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TargetExists { .. }), "{error}");
    assert_eq!(error.code(), 7);
    export(checkpoint.path(), &target, &forced(), &silent).unwrap();
    assert_eq!(fs::read(target.join("manifest.json")).unwrap(), first);
    assert_eq!(names(folder.path()), ["bundle"]);
}

#[test]
fn nothing_but_a_bundle_is_ever_replaced() {
    let (checkpoint, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let [file, other, empty, mixed] =
        ["file", "other", "empty", "mixed"].map(|n| folder.path().join(n));
    fs::write(&file, "a file").unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("manifest.json"), "{}").unwrap();
    fs::create_dir(&empty).unwrap();
    export(checkpoint.path(), &mixed, &Options::default(), &silent).unwrap();
    fs::write(mixed.join("notes.txt"), "mine").unwrap();
    let before = names(folder.path());
    let mut wrong = Vec::new();
    for target in [&file, &other, &empty, &mixed] {
        match export(checkpoint.path(), target, &forced(), &silent) {
            Err(e) if matches!(e.kind(), ErrorKind::TargetNotBundle { .. }) && e.code() == 7 => (),
            result => wrong.push((target, result)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(names(folder.path()), before);
    assert!(mixed.join("notes.txt").exists());
}

#[test]
fn a_recipe_says_which_tensors_are_int8_and_one_that_names_none_is_refused() {
    let (checkpoint, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let mut options = Options::default();
    let sizes = |options: &Options, name: &str| {
        let report =
            export(checkpoint.path(), &folder.path().join(name), options, &silent).unwrap();
        (report.weights, report.files.into_iter().collect::<BTreeMap<_, _>>())
    };
    let (_, int8) = sizes(&options, "int8");
    options.recipe = Recipe::uniform(Weights::F32);
    let (weights, float) = sizes(&options, "float");
    assert_eq!(weights, Weights::F32);
    options.recipe = Recipe::int8_without(["text.*".into()]);
    options.recipe_out = Some(folder.path().join("recipe.json"));
    let (weights, mixed) = sizes(&options, "mixed");
    assert_eq!(weights, Weights::Int8);
    assert_eq!(Recipe::open(&folder.path().join("recipe.json")).unwrap(), options.recipe);
    for (file, size) in mixed.iter().filter(|(file, _)| file.ends_with(".onnx")) {
        let expected = if file == "text_encoder.onnx" { &float } else { &int8 };
        assert_eq!(Some(size), expected.get(file), "{file}");
    }
    options.recipe = Recipe::int8_without(["txt.*".into()]);
    let error =
        export(checkpoint.path(), &folder.path().join("none"), &options, &silent).unwrap_err();
    let said = r#"recipe: found a rule for "txt.*", expected one that names a tensor large enough for int8"#;
    assert_eq!((error.to_string().as_str(), error.code()), (said, 4));
}

#[test]
fn a_name_that_no_manifest_may_hold_writes_nothing() {
    let (checkpoint, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let mut options = Options::default();
    options.name = Some("../Other".into());
    let error =
        export(checkpoint.path(), &folder.path().join("bundle"), &options, &silent).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Manifest { .. }), "{error}");
    assert!(names(folder.path()).is_empty());
}
