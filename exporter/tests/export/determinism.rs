//! The same checkpoint and options give the same bytes, whoever exports them, where and when.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use hilbert_formats::Manifest;
use tempfile::TempDir;

use crate::tiny::Tiny;

/// Name and content of every file.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect()
}

/// Exports in a process of its own, in the working directory `here`.
fn export(here: &Path, checkpoint: &str, target: &str, environment: &[(&str, &str)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hilbert-export"));
    command.current_dir(here).args([checkpoint, target]).envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn processes_paths_locales_times_and_knobs_of_the_engine_change_no_byte() {
    let (tiny, folder) = (Tiny::aligned(), TempDir::new().unwrap());
    let [one, other] = ["one", "else where/\u{fc}"].map(|name| folder.path().join(name));
    tiny.write(&one.join("checkpoint"));
    tiny.write(&other);
    export(&one, "checkpoint", "bundle", &[("LC_ALL", "C"), ("TZ", "UTC")]);
    let environment = [
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANG", "tr_TR.UTF-8"),
        ("TZ", "Asia/Tokyo"),
        ("SOURCE_DATE_EPOCH", "1"),
        ("TRACT_LLC_BYTES", "1M"),
        ("TRACT_CPU_ISA", "x86_64"),
    ];
    // Only an x86-64 processor has the last one.
    let known = environment.len() - usize::from(cfg!(not(target_arch = "x86_64")));
    let target = folder.path().join("copy");
    export(folder.path(), other.to_str().unwrap(), target.to_str().unwrap(), &environment[..known]);
    let (first, second) = (content(&one.join("bundle")), content(&target));
    let different: Vec<_> = first.keys().filter(|name| first[*name] != second[*name]).collect();
    assert!(different.is_empty(), "{different:?}");
    assert_eq!(first.len(), second.len());
    let manifest = Manifest::parse(&first["manifest.json"]).unwrap();
    assert!(manifest.graphs.values().all(|graph| graph.memory.is_some()));
    let hidden = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(hidden, 3, "an export leaves something beside its bundle");
}
