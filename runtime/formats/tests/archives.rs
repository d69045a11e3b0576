//! Bundles in one archive, right and damaged.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/archive.rs"]
mod archive;
#[path = "support/example.rs"]
mod example;

use std::borrow::Cow;
use std::fs;
use std::io::Read as _;

use hilbert_formats::Bundle;
use proptest::prelude::*;
use tar::{Archive, Header};

use crate::archive::{archive, files, header};
use crate::example::{content, manifest};

const BLOCK: usize = 512;

/// Names and contents as the `tar` crate reads them.
fn by_tar(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

/// Names and contents as the bundle reads them, in the order of `tar`'s.
fn by_bundle(bundle: &Bundle, names: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let read = |name: &str| match name {
        "manifest.json" => bundle.read_manifest().unwrap().into_owned(),
        name => bundle.read(name).unwrap().into_owned(),
    };
    names.iter().map(|(name, _)| (name.clone(), read(name))).collect()
}

fn leaked(bytes: Vec<u8>) -> &'static [u8] {
    Box::leak(bytes.into_boxed_slice())
}

#[test]
fn an_archive_holds_the_same_bundle_in_a_file_and_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = (folder.path().join("example.hilbert"), archive(&files()));
    fs::write(&path, &bytes).unwrap();
    let stored = leaked(bytes.clone());
    for bundle in [
        Bundle::open(&path).unwrap(),
        Bundle::from_archive(stored).unwrap(),
        Bundle::from_archive(bytes.clone()).unwrap(),
    ] {
        assert_eq!(bundle.manifest(), &manifest());
        assert_eq!(by_bundle(&bundle, &by_tar(&bytes)), files());
        assert!(bundle.has("golden.safetensors") && !bundle.has("manifest.json"));
        assert_eq!(bundle.read_signature().unwrap(), None);
        assert!(bundle.read("../join.onnx").is_err());
    }
    let Cow::Borrowed(graph) = Bundle::from_archive(stored).unwrap().read("join.onnx").unwrap()
    else {
        panic!("files of an archive that is borrowed are not copied")
    };
    assert!(stored.as_ptr_range().contains(&graph.as_ptr()));
}

#[test]
fn an_optional_file_may_be_absent_and_the_order_after_the_manifest_is_free() {
    let mut files = files();
    files.retain(|(name, _)| name != "golden.safetensors");
    files[1..].reverse();
    let bundle = Bundle::from_archive(archive(&files)).unwrap();
    assert!(!bundle.has("golden.safetensors"));
    assert_eq!(*bundle.read("join.onnx").unwrap(), content("join.onnx"));
}

#[test]
fn an_archive_that_is_replaced_is_read_to_the_end_as_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let [path, new] = ["example.hilbert", "new"].map(|name| folder.path().join(name));
    fs::write(&path, archive(&files())).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    fs::write(&new, "something else").unwrap();
    fs::rename(&new, &path).unwrap();
    assert_eq!(*bundle.read("join.onnx").unwrap(), content("join.onnx"));
}

#[test]
fn files_are_read_by_several_threads_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.hilbert");
    fs::write(&path, archive(&files())).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (name, bytes) in &files()[1..] {
                    assert_eq!(*bundle.read(name).unwrap(), **bytes);
                }
            });
        }
    });
}

#[test]
fn damage_is_named_with_its_place() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let at = |name: &str| {
        let before = files();
        let before = before.iter().take_while(|(other, _)| other != name);
        before.map(|(_, bytes)| BLOCK + bytes.len().next_multiple_of(BLOCK)).sum::<usize>()
    };
    assert_eq!(at("manifest.json"), 0);
    // Of the first header; the checksum is made right again.
    let set = |bytes: Vec<u8>, change: &dyn Fn(&mut Header)| {
        let mut bytes = bytes;
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&bytes[..BLOCK]);
        change(&mut header);
        header.set_cksum();
        bytes[..BLOCK].copy_from_slice(header.as_bytes());
        bytes
    };
    let whole = archive(&files());
    let (manifest, second) = (files()[0].1.len(), at(&files()[1].0));
    let second = second as u64;
    let kind = |kind: u8| set(whole.clone(), &|h| h.as_mut_bytes()[156] = kind);
    let with = |name: &str, bytes: &[u8]| {
        let mut files = files();
        files.push((name.to_owned(), bytes.to_vec()));
        archive(&files)
    };
    let changed = |change: Damage| change(whole.clone());
    let rows = [
        ("empty", vec![], "found 0 bytes, expected a block of 512 (at byte 0)".to_owned()),
        ("zeros", vec![0; 1024], "found no file, expected manifest.json as the first".into()),
        (
            "a gzip file",
            b"\x1f\x8b\x08\0\0\0".to_vec(),
            "found a gzip file, expected a bundle's folder or".into(),
        ),
        ("text", vec![b'a'; 600], "found no header of a tar file, expected".into()),
        ("a PDF", [&b"%PDF-1.7"[..], &[b'a'; 600]].concat(), "found a PDF file, expected".into()),
        (
            "GNU's format",
            set(whole.clone(), &|h| h.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0")),
            "found a tar file in GNU's format".into(),
        ),
        (
            "checksum",
            changed(|mut a| {
                a[100] ^= 1;
                a
            }),
            "expected the header's, ".into(),
        ),
        (
            "a hard link",
            kind(b'1'),
            "found a hard link, expected a regular file (at byte 0)".into(),
        ),
        ("a symbolic link", kind(b'2'), "found a symbolic link".into()),
        ("a device", kind(b'3'), "found a device".into()),
        ("a folder", kind(b'5'), "found a folder".into()),
        ("a pipe", kind(b'6'), "found a pipe".into()),
        ("pax", kind(b'x'), "found an extended header (pax)".into()),
        ("pax for all", kind(b'g'), "found an extended header (pax)".into()),
        ("a long name", kind(b'L'), "found a long name of GNU's format".into()),
        ("old tar", kind(0), "found an entry of another type".into()),
        ("a sparse file", kind(b'S'), "found an entry of another type".into()),
        (
            "a size that is no number",
            set(whole.clone(), &|h| h.as_mut_bytes()[124..136].copy_from_slice(b"00000000009\0")),
            "found a size of 00000000009, expected a number of bytes in octal".into(),
        ),
        (
            "a binary size",
            set(whole.clone(), &|h| h.as_mut_bytes()[124] = 0x80),
            "found a size of \\x80".into(),
        ),
        (
            "a size beyond the file",
            set(whole.clone(), &|h| h.set_size(0o77_777_777_777)),
            format!(
                "found {} bytes of manifest.json, expected 8589934591 (at byte 512)",
                whole.len() - BLOCK
            ),
        ),
        (
            "no name",
            set(whole.clone(), &|h| h.as_mut_bytes()[..100].fill(0)),
            "found another name".into(),
        ),
        (
            "a name that is not UTF-8",
            set(whole.clone(), &|h| h.as_mut_bytes()[0] = 0xff),
            "found another name".into(),
        ),
        (
            "a name in a folder",
            set(whole.clone(), &|h| h.set_path("x/manifest.json").unwrap()),
            "found another name".into(),
        ),
        (
            "a prefix",
            set(whole.clone(), &|h| h.as_mut_bytes()[345] = b'x'),
            "found another name".into(),
        ),
        (
            "another first file",
            archive(&files()[1..]),
            format!(
                "found the file {}, expected manifest.json as the first (at byte 0)",
                files()[1].0
            ),
        ),
        (
            "a file twice",
            with("join.onnx", b"x"),
            "found a second file join.onnx, expected one of this name".into(),
        ),
        (
            "a file that is not listed",
            with("notes.txt", b"x"),
            "bundle file notes.txt: found no entry in the manifest".into(),
        ),
        (
            "too many files",
            archive(
                &(0..300)
                    .map(|i| (if i == 0 { "manifest.json".into() } else { i.to_string() }, vec![]))
                    .collect::<Vec<_>>(),
            ),
            "found one more file, expected at most 258 files".into(),
        ),
        ("a missing file", archive(&files()[..5]), "found no such file, expected one".into()),
        (
            "a header cut",
            whole[..usize::try_from(second).unwrap() + 100].to_vec(),
            format!("found 100 bytes, expected a block of 512 (at byte {second})"),
        ),
        (
            "a content cut",
            whole[..BLOCK + 100].to_vec(),
            format!("found 100 bytes of manifest.json, expected {manifest} (at byte 512)"),
        ),
        (
            "one block of zeros",
            whole[..whole.len() - BLOCK].to_vec(),
            "found 0 bytes, expected a block of 512".into(),
        ),
        (
            "a header after zeros",
            changed(|mut a| {
                let end = a.len();
                a[end - 1] = 1;
                a
            }),
            "found one block of zeros, expected two at the end".into(),
        ),
        (
            "more after the end",
            changed(|mut a| {
                a.push(0);
                a
            }),
            "found 1 bytes after the end, expected none".into(),
        ),
    ];
    let mut failed = Vec::new();
    for (name, bytes, part) in rows {
        match Bundle::from_archive(bytes) {
            Ok(_) => failed.push(format!("{name}: opened")),
            Err(error) if error.code() != 3 || !error.to_string().contains(&part) => {
                failed.push(format!("{name}: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn every_truncation_is_refused() {
    let whole = archive(&files());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.hilbert");
    for length in 0..whole.len() {
        assert!(Bundle::from_archive(whole[..length].to_vec()).is_err(), "{length} bytes");
        if length % 97 == 0 {
            fs::write(&path, &whole[..length]).unwrap();
            let error = Bundle::open(&path).unwrap_err();
            let told = error.to_string();
            assert!(told.contains("cut.hilbert: found ") && error.code() == 3, "{told}");
        }
    }
}

#[test]
fn a_path_that_is_no_file_and_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Bundle::open(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(absent.ends_with("absent/manifest.json: found no such file, expected one"), "{absent}");
    #[cfg(unix)]
    {
        let error = Bundle::open(std::path::Path::new("/dev/null")).unwrap_err();
        let said =
            "bundle file /dev/null: found a directory, pipe or device, expected a regular file";
        assert_eq!(error.to_string(), said);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(Bundle::from_archive(bytes).is_err());
    }

    /// Few changes are refused as such: most hit names, sizes and contents that a right header tells of.
    #[test]
    fn whatever_opens_is_what_tar_reads(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        of_headers in any::<bool>(),
        repaired in any::<bool>(),
    ) {
        let mut bytes = archive(&files());
        let headers = headers(&bytes);
        for (index, value) in changes {
            let at = match of_headers {
                true => headers[index.index(headers.len())] + usize::from(value) * 2 % BLOCK,
                false => index.index(bytes.len()),
            };
            bytes[at] = value;
        }
        if repaired {
            for at in headers {
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[at..at + BLOCK]);
                header.set_cksum();
                bytes[at..at + BLOCK].copy_from_slice(header.as_bytes());
            }
        }
        if let Ok(bundle) = Bundle::from_archive(bytes.clone()) {
            let expected = by_tar(&bytes);
            for (name, content) in &expected[1..] {
                // A content that was changed is told by its hash, not by the archive.
                if let Ok(found) = bundle.read(name) {
                    prop_assert_eq!(&*found, &**content);
                }
            }
            prop_assert_eq!(bundle.read_manifest().unwrap(), &*expected[0].1);
            prop_assert!(expected.len() >= bundle.manifest().files.len());
        }
    }
}

/// Where the headers of a right archive are.
fn headers(archive: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut headers = Vec::new();
    for (name, bytes) in by_tar(archive) {
        assert_eq!(&archive[at..at + BLOCK], header(&name, bytes.len() as u64).as_bytes());
        headers.push(at);
        at += BLOCK + bytes.len().next_multiple_of(BLOCK);
    }
    headers
}
