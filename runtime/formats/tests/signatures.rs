//! Signed bundles: whose signature opens them, and what is refused before anything is parsed.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/archive.rs"]
mod archive;
#[path = "support/example.rs"]
mod example;

use std::fs;
use std::path::Path;

use hilbert_formats::{Bundle, ErrorKind, PublicKey};
use minisign::KeyPair;
use proptest::prelude::*;

use crate::archive::{archive, files};

fn keys() -> (KeyPair, PublicKey) {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let key = PublicKey::parse(&pair.pk.to_base64()).unwrap();
    (pair, key)
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> Vec<u8> {
    minisign::sign(None, &pair.sk, bytes, Some("of the tests"), None).unwrap().to_bytes()
}

/// The example's files with a signature after the manifest.
fn signed(pair: &KeyPair) -> Vec<(String, Vec<u8>)> {
    let mut files = files();
    let signature = sign(pair, &files[0].1);
    files.insert(1, ("manifest.json.minisig".to_owned(), signature));
    files
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

#[test]
fn a_signed_bundle_opens_with_its_key_and_without_one_from_every_place() {
    let (pair, key) = keys();
    let (_, other) = keys();
    let (folder, files) = (tempfile::tempdir().unwrap(), signed(&pair));
    write(folder.path(), &files);
    let path = folder.path().join("example.hilbert");
    fs::write(&path, archive(&files)).unwrap();
    let trusted = [other, key.clone()];
    for bundle in [
        Bundle::open_trusted(folder.path(), &trusted).unwrap(),
        Bundle::open_trusted(&path, &trusted).unwrap(),
        Bundle::from_archive_trusted(archive(&files), &trusted).unwrap(),
    ] {
        let told = bundle.signed().unwrap();
        assert_eq!((told.key, &*told.comment), (key.id(), "of the tests"));
        assert_eq!(bundle.read_signature().unwrap().unwrap(), files[1].1);
    }
    for path in [folder.path(), &path] {
        assert_eq!(Bundle::open(path).unwrap().signed(), None);
    }
}

#[test]
fn what_is_not_signed_by_a_trusted_key_is_refused_with_what_was_found() {
    type Files = Vec<(String, Vec<u8>)>;
    type Damage<'a> = &'a dyn Fn(&mut Files);
    let ((pair, key), (thief, other)) = (keys(), keys());
    let (id, other_id) = (key.id().to_string(), other.id().to_string());
    // The thief's key under the identifier of the trusted one.
    let mut forged = thief.sk.to_bytes();
    forged[54..62].copy_from_slice(pair.sk.keynum());
    let forged = minisign::SecretKey::from_bytes(&forged).unwrap();
    let forge = |bytes: &[u8]| {
        minisign::sign(None, &forged, bytes, Some("of the tests"), None).unwrap().to_bytes()
    };
    let replace = |files: &mut Files, from: &str, to: &str| {
        let text = String::from_utf8(files[1].1.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        files[1].1 = text.replacen(from, to, 1).into();
    };
    let forged_says = format!("found a signature that key {id} did not give to this manifest");
    let content = |found: &str| {
        format!("signature: found {found}, expected a signature by minisign of a hash")
    };
    let rows: [(&str, Damage<'_>, String); 14] = [
        (
            "unsigned",
            &|f| drop(f.remove(1)),
            format!("found no signature, expected one by key {id}"),
        ),
        (
            "another's",
            &|f| f[1].1 = sign(&thief, &f[0].1),
            format!("found a signature by key {other_id}, expected one by key {id}"),
        ),
        ("a forged identifier", &|f| f[1].1 = forge(&f[0].1), forged_says.clone()),
        ("of another manifest", &|f| f[1].1 = sign(&pair, b"{}"), forged_says.clone()),
        ("a changed manifest", &|f| f[0].1.push(b' '), forged_says.clone()),
        ("a manifest that is no JSON", &|f| f[0].1 = b"{".to_vec(), forged_says.clone()),
        ("a changed comment", &|f| replace(f, "of the tests", "of the test"), forged_says),
        ("empty", &|f| f[1].1.clear(), content("no signature in line 2")),
        ("not UTF-8", &|f| f[1].1[0] = 0xff, content("bytes that are not UTF-8")),
        ("not base64", &|f| replace(f, "\nR", "\n!"), content("no signature in line 2")),
        (
            "of no hash",
            &|f| replace(f, "\nRU", "\nRW"),
            content("a signature that is not of a hash"),
        ),
        (
            "without a comment",
            &|f| replace(f, "\ntrusted comment: ", "\ncomment: "),
            content("a signature that is not whole"),
        ),
        ("cut", &|f| f[1].1.truncate(200), content("a signature that is not whole")),
        (
            "too large",
            &|f| f[1].1.resize(1 << 20, b'\n'),
            "found more than 16384 bytes, expected at most 16384".into(),
        ),
    ];
    let mut failed = Vec::new();
    for (name, damage, part) in rows {
        let mut files = signed(&pair);
        damage(&mut files);
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &files);
        let trusted = [key.clone()];
        for opened in [
            Bundle::open_trusted(folder.path(), &trusted),
            Bundle::from_archive_trusted(archive(&files), &trusted),
        ] {
            let told = opened.map_or_else(|e| (e.code(), e.to_string()), |_| (0, "opened".into()));
            let named = told.1.contains("manifest.json.minisig: ") && told.1.ends_with(&part);
            let named = named || told.1.contains(&format!("manifest.json.minisig: {part}"));
            if told.0 != 3 || !named {
                failed.push(format!("{name}: {told:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    let none = Bundle::from_archive_trusted(archive(&signed(&pair)), &[]).unwrap_err().to_string();
    assert!(none.ends_with("expected one by key none"), "{none}");
    let trusted = [key, other];
    let several = Bundle::from_archive_trusted(archive(&files()), &trusted).unwrap_err();
    assert!(several.to_string().ends_with(&format!("by key {id} or {other_id}")), "{several}");
}

#[test]
fn a_manifest_cannot_list_its_signature() {
    let mut manifest = example::manifest();
    manifest.files[0].path = "Manifest.json.MINISIG".to_owned();
    let error = manifest.validate().unwrap_err().to_string();
    assert!(error.ends_with("expected a file beside the manifest and its signature"), "{error}");
}

#[test]
fn a_key_is_an_argument_or_the_file_that_it_names() {
    let (pair, key) = keys();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let public = file("key.pub", &pair.pk.to_box().unwrap().to_bytes());
    let base64 = pair.pk.to_base64();
    for argument in [&public, &base64] {
        assert_eq!(PublicKey::from_argument(argument).unwrap(), key);
    }
    let secret = file("key", &pair.sk.to_box(None).unwrap().to_bytes());
    let rows = [
        (&*secret, "found a signature, a secret key or a damaged key, expected a public key"),
        (&file("noise", &[0xff; 5000]), "found something else, expected a public key of minisign"),
        (&base64[1..], "cannot be read"),
        (folder.path().to_str().unwrap(), "found a directory, expected a file"),
    ];
    for (argument, part) in rows {
        let error = PublicKey::from_argument(argument).unwrap_err();
        assert!(error.code() == 4 && error.to_string().contains(part), "{error}");
    }
    let error = PublicKey::from_argument(&secret).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PublicKey { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_signature_makes_it_panic_and_no_change_of_what_is_signed_opens(
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (pair, key) = keys();
        let mut files = signed(&pair);
        let byte = at.index(files[0].1.len());
        files[0].1[byte] ^= 1_u8 << bit;
        prop_assert!(Bundle::from_archive_trusted(archive(&files), std::slice::from_ref(&key)).is_err());
        let mut files = signed(&pair);
        let index = at.index(files[1].1.len());
        files[1].1.splice(index.., noise);
        // Only what stands behind the four lines is not signed.
        let lines = String::from_utf8_lossy(&files[1].1).lines().count();
        let opened = Bundle::from_archive_trusted(archive(&files), &[key]).is_ok();
        prop_assert!(!opened || lines >= 4);
    }
}
