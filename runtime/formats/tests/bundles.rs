//! Bundles in folders and in memory, right and damaged.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/example.rs"]
mod example;

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use hilbert_formats::bundle::sha256;
use hilbert_formats::error::FileProblem;
use hilbert_formats::{Bundle, Error, ErrorKind};

use crate::example::{content, manifest};

fn write_bundle(folder: &Path) {
    let manifest = manifest();
    fs::write(folder.join("manifest.json"), manifest.to_json()).unwrap();
    for file in &manifest.files {
        fs::write(folder.join(&file.path), content(&file.path)).unwrap();
    }
}

type Files = Vec<(&'static str, &'static [u8])>;

fn embedded() -> Files {
    let leak = |bytes: Vec<u8>| -> &'static [u8] { Box::leak(bytes.into_boxed_slice()) };
    let manifest = manifest();
    let mut files = vec![("manifest.json", leak(manifest.to_json().into_bytes()))];
    for file in manifest.files {
        let path: &'static str = Box::leak(file.path.into_boxed_str());
        files.push((path, leak(content(path))));
    }
    files
}

/// The error's message with the folder left out.
fn message(folder: &Path, error: &Error) -> String {
    assert_eq!(error.code(), 3);
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn a_right_bundle_is_read_from_a_folder_and_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    for bundle in [Bundle::open(folder.path()).unwrap(), Bundle::from_files(&embedded()).unwrap()] {
        assert_eq!(bundle.manifest(), &manifest());
        assert_eq!(bundle.manifest_sha256(), sha256(manifest().to_json().as_bytes()));
        assert_eq!(*bundle.read("join.onnx").unwrap(), content("join.onnx"));
        assert!(bundle.has("golden.safetensors"));
        assert!(!bundle.has("manifest.json") && !bundle.has("../join.onnx"));
    }
    let bundle = Bundle::from_files(&embedded()).unwrap();
    assert!(
        matches!(bundle.read("join.onnx").unwrap(), Cow::Borrowed(_)),
        "embedded files are not copied"
    );
}

#[test]
fn sha256_is_that_of_fips_180() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn an_optional_file_may_be_absent() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    fs::remove_file(folder.path().join("golden.safetensors")).unwrap();
    let bundle = Bundle::open(folder.path()).unwrap();
    assert!(!bundle.has("golden.safetensors"));
    let error = bundle.read("golden.safetensors").unwrap_err();
    assert_eq!(
        message(folder.path(), &error),
        "bundle file golden.safetensors: found no such file, expected one"
    );
}

#[test]
fn damage_is_named_with_the_file() {
    type Damage = fn(&Path);
    let rows: [(&str, Damage, &str); 7] = [
        (
            "no manifest",
            |f| fs::remove_file(f.join("manifest.json")).unwrap(),
            "manifest.json: found no such file",
        ),
        (
            "no graph",
            |f| fs::remove_file(f.join("join.onnx")).unwrap(),
            "join.onnx: found no such file",
        ),
        (
            "a longer graph",
            |f| fs::write(f.join("join.onnx"), [0; 100]).unwrap(),
            "join.onnx: found 100 bytes, expected 20",
        ),
        (
            "a shorter graph",
            |f| fs::write(f.join("join.onnx"), [0; 3]).unwrap(),
            "join.onnx: found 3 bytes, expected 20",
        ),
        (
            "an optional file of another size",
            |f| fs::write(f.join("golden.safetensors"), "").unwrap(),
            "golden.safetensors: found 0 bytes",
        ),
        (
            "a folder for a graph",
            |f| {
                fs::remove_file(f.join("join.onnx")).unwrap();
                fs::create_dir(f.join("join.onnx")).unwrap();
            },
            "join.onnx: found a directory",
        ),
        (
            "a manifest of 2 MB",
            |f| fs::write(f.join("manifest.json"), vec![b' '; 2 << 20]).unwrap(),
            "more than 1048576 bytes",
        ),
    ];
    let mut failed = Vec::new();
    for (name, damage, part) in rows {
        let folder = tempfile::tempdir().unwrap();
        write_bundle(folder.path());
        damage(folder.path());
        match Bundle::open(folder.path()) {
            Ok(_) => failed.push(format!("{name}: opened")),
            Err(error) => {
                let shown = message(folder.path(), &error);
                if !shown.contains(part) {
                    failed.push(format!("{name}: {shown}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn files_are_checked_each_time_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    let bundle = Bundle::open(folder.path()).unwrap();
    bundle.read("join.onnx").unwrap();

    fs::write(folder.path().join("join.onnx"), [b'x'; 20]).unwrap();
    let error = bundle.read("join.onnx").unwrap_err();
    let ErrorKind::Bundle { problem: FileProblem::Sha256 { found, expected }, .. } = error.kind()
    else {
        panic!("{error}")
    };
    assert_eq!((found, expected), (&sha256(&[b'x'; 20]), &sha256(&content("join.onnx"))));

    fs::write(folder.path().join("join.onnx"), [b'x'; 21]).unwrap();
    let error = bundle.read("join.onnx").unwrap_err();
    assert_eq!(
        message(folder.path(), &error),
        "bundle file join.onnx: found 21 bytes, expected 20"
    );

    let error = bundle.read("../join.onnx").unwrap_err();
    assert!(error.to_string().ends_with("found no entry in the manifest, expected one"), "{error}");
}

#[test]
fn embedded_files_are_held_against_the_manifest() {
    type Damage = fn(&mut Files);
    let rows: [(&str, Damage, &str); 4] = [
        (
            "no manifest",
            |f| f.retain(|f| f.0 != "manifest.json"),
            "bundle file manifest.json: found no such file, expected one",
        ),
        (
            "no graph",
            |f| f.retain(|f| f.0 != "join.onnx"),
            "bundle file join.onnx: found no such file, expected one",
        ),
        ("a file twice", |f| f.push(f[1]), "found two files of this name, expected one"),
        (
            "another size",
            |f| f.iter_mut().filter(|f| f.0 == "join.onnx").for_each(|f| f.1 = b"short"),
            "bundle file join.onnx: found 5 bytes, expected 20",
        ),
    ];
    for (name, damage, expected) in rows {
        let mut files = embedded();
        damage(&mut files);
        let error = Bundle::from_files(&files).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let mut files = embedded();
    files.iter_mut().filter(|f| f.0 == "join.onnx").for_each(|f| f.1 = b"content of join.ONNX");
    let error = Bundle::from_files(&files).unwrap().read("join.onnx").unwrap_err();
    assert!(error.to_string().starts_with("bundle file join.onnx: found SHA-256 "), "{error}");
}

#[test]
fn files_of_the_program_are_not_hashed_but_have_their_sizes() {
    let mut files = embedded();
    let place = files.iter().position(|(name, _)| *name == "join.onnx").unwrap();
    files[place].1 = b"CONTENT of join.onnx";
    assert_eq!(Bundle::from_files(&files).unwrap().read("join.onnx").unwrap_err().code(), 3);
    let bundle = Bundle::from_program(&files).unwrap();
    assert_eq!(*bundle.read("join.onnx").unwrap(), *b"CONTENT of join.onnx");
    files[place].1 = b"shorter";
    assert_eq!(Bundle::from_program(&files).unwrap_err().code(), 3);
}

#[test]
fn records_and_parts_are_read_wherever_a_bundle_is() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    let owned = embedded().into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec()));
    // "content of join.onnx" has four records of five bytes; of the last three bytes none is whole.
    let places = [
        (Bundle::open(folder.path()).unwrap(), cfg!(unix)),
        (Bundle::from_files(&embedded()).unwrap(), true),
        (Bundle::from_owned(owned.collect()).unwrap(), false),
    ];
    assert_eq!([0, 1, 2].map(|i| places[i].0.is_in_place()), [false, true, false]);
    for (bundle, is_in_place) in places {
        let content = bundle.read_content("join.onnx").unwrap();
        let records = content.records(5..18, 5);
        assert_eq!((records.count(), records.length()), (2, 5), "{records:?}");
        let mut buffer = [0; 5];
        assert_eq!(records.read(1, &mut buffer).unwrap(), &content.bytes()[10..15]);
        assert_eq!(records.read(0, &mut buffer).unwrap(), &content.bytes()[5..10]);
        assert_eq!(records.heap_bytes() < 10 || is_in_place, is_in_place, "{records:?}");
        for (i, length) in [(2, 5), (0, 4)] {
            assert_eq!(records.read(i, &mut vec![0; length]).unwrap_err().code(), 6);
        }
        assert_eq!(content.records(15..30, 5).count(), 0);
        let part = content.part(5..18);
        assert_eq!(*part, content.bytes()[5..18]);
        assert_eq!(matches!(part, Cow::Borrowed(_)), bundle.is_in_place());
        assert!(content.part(15..30).is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_is_changed_while_it_is_in_use_is_an_error_and_one_that_is_replaced_is_not() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    let bundle = Bundle::open(folder.path()).unwrap();
    let records = bundle.read_content("join.onnx").unwrap().records(0..20, 5);
    let path = folder.path().join("join.onnx");
    let mut other = content("join.onnx");
    other[7] ^= 1;
    fs::write(folder.path().join("new"), &other).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    let mut buffer = [0; 5];
    assert_eq!(records.read(1, &mut buffer).unwrap(), &content("join.onnx")[5..10]);
    write_bundle(folder.path());
    let records = bundle.read_content("join.onnx").unwrap().records(0..20, 5);
    fs::write(&path, &other).unwrap();
    assert_eq!(records.read(0, &mut buffer).unwrap(), b"conte");
    let error = records.read(1, &mut buffer).unwrap_err();
    let expected = "bundle file join.onnx: found other bytes than when the bundle was opened, expected the same";
    assert_eq!(message(folder.path(), &error), expected);
    fs::write(&path, "short").unwrap();
    assert_eq!(records.read(1, &mut buffer).unwrap_err().code(), 3);
}
