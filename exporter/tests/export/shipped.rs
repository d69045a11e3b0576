//! The bundles that ship.

use std::fs;
use std::path::Path;

use hilbert_formats::Manifest;
use tempfile::TempDir;

use crate::command::run;

const SHIPPED: [&str; 2] = ["spoken-english", "consultations"];

#[test]
fn each_is_to_the_byte_what_its_checkpoint_and_recipe_give() {
    for name in SHIPPED {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
        let folder = TempDir::new().unwrap();
        let again = folder.path().join("bundle");
        let file = |name: &str| model.join(name).into_os_string();
        let mut arguments = vec![file("checkpoint"), again.clone().into_os_string()];
        for (option, name) in [
            ("--recipe", "recipe.json"),
            ("--golden", "golden.safetensors"),
            ("--certificate", "bundle/certificate.json"),
        ] {
            arguments.extend([option.into(), file(name)]);
        }
        let output = run(arguments);
        assert!(output.status.success(), "{name}: {output:?}");
        let mut different = Vec::new();
        for entry in fs::read_dir(model.join("bundle")).unwrap() {
            let entry = entry.unwrap();
            let shipped = fs::read(entry.path()).unwrap();
            let same = fs::read(again.join(entry.file_name())).is_ok_and(|now| {
                now == shipped
                    || entry.file_name() == "manifest.json"
                        && unmeasured(&now) == unmeasured(&shipped)
            });
            if !same {
                different.push(entry.path());
            }
        }
        assert!(different.is_empty(), "export models/{name}/checkpoint again: {different:?}");
        let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!(count(&again), count(&model.join("bundle")), "{name}: files");
    }
}

/// The manifest without figures of memory: the standard library of another compiler may allocate otherwise.
fn unmeasured(manifest: &[u8]) -> Manifest {
    let mut manifest = Manifest::parse(manifest).unwrap();
    manifest.graphs.values_mut().for_each(|graph| graph.memory = None);
    manifest
}
