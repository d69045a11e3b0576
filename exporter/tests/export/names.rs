//! `--map`: a checkpoint whose tensors have other names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hilbert_exporter::progress::silent;
use hilbert_exporter::{Checkpoint, ErrorKind, Names, Options, export};
use tempfile::TempDir;

use crate::tiny::Tiny;

const MAP: &str = r#"{
    "speech.layers.*.expand.*": "enc.blocks.*.fc1.*",
    "fusion.joint.weight": "head/first",
    "moe.experts.*": "ff.*"
}"#;

/// The tiny checkpoint with the names of [`MAP`].
fn renamed() -> Tiny {
    let mut tiny = Tiny::new();
    let name = |name: String| {
        if name == "fusion.joint.weight" {
            return "head/first".to_owned();
        }
        let name = name.replace("moe.experts.", "ff.");
        match name.strip_prefix("speech.layers.").map(|rest| rest.split_once(".expand.")) {
            Some(Some((layer, kind))) => format!("enc.blocks.{layer}.fc1.{kind}"),
            _ => name,
        }
    };
    tiny.tensors = tiny.tensors.into_iter().map(|(ours, tensor)| (name(ours), tensor)).collect();
    tiny
}

fn bundle(checkpoint: &Path, names: Names) -> BTreeMap<String, Vec<u8>> {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("bundle");
    let mut options = Options::default();
    options.names = names;
    let report = export(checkpoint, &target, &options, &silent).unwrap();
    report.files.into_iter().map(|(f, _)| (f.clone(), fs::read(target.join(f)).unwrap())).collect()
}

#[test]
fn a_map_makes_the_same_graphs_of_other_names() {
    let (folder, map) = (renamed().written(), TempDir::new().unwrap());
    let path = map.path().join("names.json");
    fs::write(&path, MAP).unwrap();
    let expected = bundle(Tiny::new().written().path(), Names::default());
    assert!(bundle(folder.path(), Names::open(&path).unwrap()) == expected, "another bundle");
}

#[test]
fn missing_and_unknown_names_and_idle_entries_are_listed_at_once() {
    let mut tiny = renamed();
    tiny.tensors.remove("enc.blocks.1.fc1.bias");
    tiny.tensors.insert("head/second".into(), (vec![1], vec![0.0]));
    let names = MAP.replace("}", r#", "fusion.third": "head/third"}"#);
    let names: Names = serde_json::from_str(&names).unwrap();
    let folder = tiny.written();
    let error = Checkpoint::open_named(folder.path(), &names).unwrap_err();
    let ErrorKind::Checkpoint { problems, .. } = error.kind() else { panic!("{error}") };
    let expected = [
        r#"map: found an entry for "fusion.third", expected the name of a tensor that is read"#,
        r#"tensor "head/second": found, expected none of this name"#,
        r#"tensor "speech.layers.1.expand.bias", here "enc.blocks.1.fc1.bias": found none, expected shape [128]"#,
    ];
    assert_eq!(problems, &expected);
}
