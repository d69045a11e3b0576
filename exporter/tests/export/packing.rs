//! One bundle as a folder and as an archive: the same files, the same checks, and never over anything but a bundle.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use hilbert_exporter::packing::pack;
use hilbert_exporter::progress::silent;
use hilbert_exporter::signing::{SecretKey, keygen, sign};
use hilbert_exporter::staged::Form;
use hilbert_exporter::verify::verify_bundle;
use hilbert_exporter::{ErrorKind, Options, export};
use hilbert_formats::Bundle;
use tempfile::TempDir;

use crate::tiny::Tiny;

/// A bundle's folder in a folder of its own.
fn exported() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("bundle");
    export(Tiny::new().written().path(), &target, &Options::default(), &silent).unwrap();
    (folder, target)
}

fn packed(from: &Path, form: Form, to: &Path) -> Vec<u8> {
    pack(&Bundle::open(from).unwrap(), form, to, false).unwrap();
    if to.is_dir() { Vec::new() } else { fs::read(to).unwrap() }
}

/// Names and contents of the files of a folder, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| file(e.unwrap())).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_archive_is_a_function_of_the_bundle_to_the_byte() {
    let (folder, bundle) = exported();
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| folder.path().join(name));
    let first = packed(&bundle, Form::Archive, &a);
    // Another checkout: other times, another order of the folder, another way there.
    packed(&a, Form::Folder, &b);
    assert_eq!(files(&b), files(&bundle));
    File::open(b.join("join.onnx")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(packed(&b, Form::Archive, &c), first);
    assert_eq!(packed(&a, Form::Archive, &d), first);

    fs::rename(&bundle, &e).unwrap();
    let manifest = Bundle::open(&e).unwrap().manifest().clone();
    let mut expected = vec!["manifest.json".to_owned()];
    expected.extend(manifest.files.iter().map(|file| file.path.clone()));
    let mut archive = tar::Archive::new(&*first);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let facts = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        assert_eq!((facts, header.mtime().unwrap()), ((0o644, 0, 0), 0));
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        let (name, mut bytes) = (entry.path().unwrap().to_str().unwrap().to_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, fs::read(e.join(&name)).unwrap(), "{name}");
        found.push(name);
    }
    assert_eq!(found, expected);
}

#[test]
fn a_folder_and_its_archive_verify_alike() {
    let (folder, bundle) = exported();
    let archive = folder.path().join("tiny.hilbert");
    let report = pack(&Bundle::open(&bundle).unwrap(), Form::Archive, &archive, false).unwrap();
    assert_eq!((report.files, report.signed), (files(&bundle).len(), false));
    let [of_folder, of_archive] =
        [&bundle, &archive].map(|path| verify_bundle(&Bundle::open(path).unwrap(), None).unwrap());
    assert_eq!(of_folder, of_archive);
    assert!(of_archive.to_string().contains("\nnot signed\n"), "{of_archive}");
}

#[test]
fn either_form_replaces_either_by_force_and_nothing_else_is_replaced() {
    let (folder, bundle) = exported();
    let [archive, target] = ["tiny.hilbert", "target"].map(|name| folder.path().join(name));
    let bytes = packed(&bundle, Form::Archive, &archive);
    let source = Bundle::open(&bundle).unwrap();
    for (there, form) in [&bundle, &archive]
        .into_iter()
        .flat_map(|there| [(there, Form::Folder), (there, Form::Archive)])
    {
        let of_there = if there.is_dir() { Form::Folder } else { Form::Archive };
        pack(&source, of_there, &target, false).unwrap();
        let error = pack(&source, form, &target, false).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TargetExists { .. }), "{error}");
        pack(&source, form, &target, true).unwrap();
        assert_eq!(target.is_dir(), form == Form::Folder);
        assert_eq!(names(folder.path()), ["bundle", "target", "tiny.hilbert"]);
        if form == Form::Folder {
            fs::remove_dir_all(&target).unwrap();
        } else {
            assert_eq!(fs::read(&target).unwrap(), bytes);
            fs::remove_file(&target).unwrap();
        }
    }
    let mut wrong = Vec::new();
    for bytes in [&b""[..], b"mine", &bytes[..bytes.len() - 1]] {
        fs::write(&target, bytes).unwrap();
        for form in [Form::Folder, Form::Archive] {
            match pack(&source, form, &target, true) {
                Err(e) if matches!(e.kind(), ErrorKind::TargetNotBundle { .. }) => (),
                result => wrong.push((bytes.len(), form, result)),
            }
        }
        assert_eq!(fs::read(&target).unwrap(), bytes);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(names(folder.path()), ["bundle", "target", "tiny.hilbert"]);
}

#[test]
fn a_bundle_that_is_not_what_its_manifest_says_is_not_packed() {
    let (folder, bundle) = exported();
    let opened = Bundle::open(&bundle).unwrap();
    let router = fs::read(bundle.join("router.onnx")).unwrap();
    fs::write(bundle.join("router.onnx"), vec![0; router.len()]).unwrap();
    for form in [Form::Folder, Form::Archive] {
        let error = pack(&opened, form, &folder.path().join("out"), false).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Runtime { .. }) && error.code() == 3, "{error}");
    }
    assert_eq!(names(folder.path()), ["bundle"]);
}

#[test]
fn a_signed_bundle_is_packed_unpacked_and_replaced_with_its_signature() {
    let (folder, bundle) = exported();
    let [keys, archive, again] = ["maker", "a", "b"].map(|name| folder.path().join(name));
    let secret = keygen(&keys, None).unwrap().secret;
    let secret = SecretKey::open(&secret, || panic!("it has no password")).unwrap();
    sign(&bundle, &secret, None).unwrap();
    assert!(pack(&Bundle::open(&bundle).unwrap(), Form::Archive, &archive, false).unwrap().signed);
    packed(&archive, Form::Folder, &again);
    assert_eq!(files(&again), files(&bundle));
    assert!(files(&again).iter().any(|(name, _)| name == "manifest.json.minisig"));
    Bundle::open_trusted(&archive, &[secret.public().unwrap()]).unwrap();

    let mut options = Options::default();
    options.force = true;
    export(Tiny::new().written().path(), &bundle, &options, &silent).unwrap();
    assert!(!bundle.join("manifest.json.minisig").exists(), "an export is of another time");
}
