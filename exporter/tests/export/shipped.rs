//! The bundles that ship.

use std::fs;
use std::path::Path;

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
        // The command, for the library alone states no memory.
        let output = run(arguments);
        assert!(output.status.success(), "{name}: {output:?}");
        let mut different = Vec::new();
        for entry in fs::read_dir(model.join("bundle")).unwrap() {
            let entry = entry.unwrap();
            let now = fs::read(again.join(entry.file_name())).ok();
            if now != Some(fs::read(entry.path()).unwrap()) {
                different.push(entry.path());
            }
        }
        assert!(different.is_empty(), "export models/{name}/checkpoint again: {different:?}");
        let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!(count(&again), count(&model.join("bundle")), "{name}: files");
    }
}
