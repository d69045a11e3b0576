//! `verify_bundle`: what is checked of a bundle whose checkpoint is not at hand.

use std::fs;
use std::path::Path;

use hilbert_exporter::progress::silent;
use hilbert_exporter::verify::{Golden, verify_bundle};
use hilbert_exporter::{ErrorKind, Options, Recipe, export};
use hilbert_formats::Bundle;
use hilbert_formats::manifest::Weights;
use tempfile::TempDir;

use crate::tiny::Tiny;
use crate::trained::{golden, perturbed_golden};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/spoken-english/bundle");

fn exported(folder: &Path) -> Bundle {
    let target = folder.join("bundle");
    export(Tiny::new().written().path(), &target, &Options::default(), &silent).unwrap();
    Bundle::open(&target).unwrap()
}

#[test]
fn a_bundle_as_exported_passes_with_every_layer_told() {
    let folder = TempDir::new().unwrap();
    let verified = verify_bundle(&exported(folder.path()), None).unwrap();
    assert_eq!((verified.name.as_str(), verified.weights), ("tiny", Weights::Int8));
    let listed = fs::read_dir(folder.path().join("bundle")).unwrap().count() - 1;
    assert_eq!(verified.files.0, listed);
    assert!(verified.certificate.is_some() && !verified.self_test.layers.is_empty());
    assert!(verified.to_string().contains("no golden file was given"), "{verified}");
}

#[test]
fn a_file_that_changed_is_refused_by_its_hash() {
    let folder = TempDir::new().unwrap();
    let bundle = exported(folder.path());
    let path = folder.path().join("bundle/router.onnx");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = verify_bundle(&bundle, None).unwrap_err();
    assert!(error.code() == 3 && matches!(error.kind(), ErrorKind::Runtime { .. }), "{error}");
}

#[test]
fn the_shipped_bundle_agrees_with_its_golden_file_and_not_with_another() {
    let bundle = Bundle::open(Path::new(SHIPPED)).unwrap();
    let verified = verify_bundle(&bundle, Some(&Golden::open(&golden()).unwrap())).unwrap();
    assert!(verified.comparisons.is_some_and(|all| all.len() > 20));

    let folder = TempDir::new().unwrap();
    let other = folder.path().join("golden.safetensors");
    perturbed_golden("int8/text_only/gates", 1, 1e-2, &other);
    let error = verify_bundle(&bundle, Some(&Golden::open(&other).unwrap())).unwrap_err();
    assert_eq!(error.code(), 8, "{error}");
}

#[test]
fn a_golden_file_of_another_recipe_is_refused() {
    let (tiny, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let target = folder.path().join("bundle");
    let mut options = Options::default();
    options.recipe = Recipe::int8_without(["text.*".into()]);
    export(tiny.path(), &target, &options, &silent).unwrap();
    let bundle = Bundle::open(&target).unwrap();
    let error = verify_bundle(&bundle, Some(&Golden::open(&golden()).unwrap())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::GoldenRecipe { .. }), "{error}");
    verify_bundle(&bundle, None).unwrap();
}
