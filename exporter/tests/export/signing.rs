//! Key pairs, and bundles that they sign.

use std::fs;
use std::path::{Path, PathBuf};

use hilbert_exporter::packing::pack;
use hilbert_exporter::progress::silent;
use hilbert_exporter::signing::{SecretKey, keygen, sign};
use hilbert_exporter::staged::Form;
use hilbert_exporter::verify::verify_bundle;
use hilbert_exporter::{ErrorKind, Options, export};
use hilbert_formats::{Bundle, PublicKey};
use tempfile::TempDir;

use crate::tiny::Tiny;

/// Written by `minisign -G -W`, version 0.11.
const BY_MINISIGN: [&str; 2] = [
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA5vp+HT+WAQ6FPENImk/AZXvKcA6iFFhkojegBDNwKwECULXU7+j+0+wwhp6yJDi9dlSTEbH08Oa68xRzU3KfK61P3LgDdJ+nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "RWTm+n4dP5YBDuwwhp6yJDi9dlSTEbH08Oa68xRzU3KfK61P3LgDdJ+n",
];

/// The same bundle as a folder and as an archive.
fn bundles(folder: &Path) -> [PathBuf; 2] {
    let [bundle, archive] = ["bundle", "tiny.hilbert"].map(|name| folder.join(name));
    export(Tiny::new().written().path(), &bundle, &Options::default(), &silent).unwrap();
    pack(&Bundle::open(&bundle).unwrap(), Form::Archive, &archive, false).unwrap();
    [bundle, archive]
}

fn unencrypted(path: &Path) -> SecretKey {
    SecretKey::open(path, || panic!("it has no password")).unwrap()
}

fn key_pair(prefix: &Path) -> (SecretKey, PublicKey) {
    let keys = keygen(prefix, None).unwrap();
    let public = PublicKey::from_argument(keys.public.to_str().unwrap()).unwrap();
    assert_eq!((public.id(), PublicKey::parse(&keys.base64)), (keys.id, Some(public.clone())));
    (unencrypted(&keys.secret), public)
}

#[test]
fn keys_are_never_overwritten_and_the_secret_one_is_its_owners() {
    let folder = TempDir::new().unwrap();
    let prefix = folder.path().join("maker.v1");
    let keys = keygen(&prefix, None).unwrap();
    assert_eq!(keys.secret, folder.path().join("maker.v1.key"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&keys.secret).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = [&keys.public, &keys.secret].map(|path| fs::read(path).unwrap());
    let refused = || {
        let error = keygen(&prefix, None).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::KeyExists { .. }) && error.code() == 7,
            "{error}"
        );
    };
    refused();
    assert_eq!([&keys.public, &keys.secret].map(|path| fs::read(path).unwrap()), before);
    for (kept, removed) in [(&keys.public, &keys.secret), (&keys.secret, &keys.public)] {
        let bytes = fs::read(removed).unwrap();
        fs::remove_file(removed).unwrap();
        refused();
        assert!(kept.exists() && !removed.exists(), "one key of a pair alone");
        fs::write(removed, bytes).unwrap();
    }
}

#[test]
fn a_secret_key_opens_with_its_password_alone() {
    let folder = TempDir::new().unwrap();
    let keys = keygen(&folder.path().join("maker"), Some("pass word".into())).unwrap();
    let open = |password: &str| SecretKey::open(&keys.secret, || Ok(password.into()));
    assert_eq!(open("pass word").unwrap().public().unwrap().id(), keys.id);
    let error = open("password").unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.code()),
        ("password: found one that does not open the key, expected the key's", 4)
    );
    let noise = folder.path().join("noise");
    fs::write(&noise, "untrusted comment: x\nAAAA\n").unwrap();
    for path in [&keys.public, &noise] {
        let error = SecretKey::open(path, || panic!("it is no key")).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::SecretKey { .. }) && error.code() == 4,
            "{error}"
        );
    }
    assert!(!format!("{:?}", open("pass word")).contains(|c: char| c.is_ascii_digit()));
}

#[test]
fn a_signed_bundle_opens_with_its_key_and_stays_what_it_was() {
    let folder = TempDir::new().unwrap();
    let (secret, public) = key_pair(&folder.path().join("maker"));
    let (_, other) = key_pair(&folder.path().join("other"));
    for path in bundles(folder.path()) {
        let before = Bundle::open(&path).unwrap();
        let unsigned = Bundle::open_trusted(&path, std::slice::from_ref(&public)).unwrap_err();
        assert!(unsigned.to_string().contains("found no signature"), "{unsigned}");
        let report = sign(&path, &secret, None).unwrap();
        assert_eq!((report.key, &*report.comment), (public.id(), "tiny, version 1"));
        let report = sign(&path, &secret, Some(" released ü ")).unwrap();
        assert_eq!(report.comment, "released ü");

        let bundle = Bundle::open_trusted(&path, std::slice::from_ref(&public)).unwrap();
        assert_eq!(bundle.manifest_sha256(), before.manifest_sha256());
        let shown = verify_bundle(&bundle, None).unwrap().to_string();
        let said = format!("\nsigned by key {}: released ü\n", public.id());
        assert!(shown.contains(&said), "{shown}");
        let shown = verify_bundle(&Bundle::open(&path).unwrap(), None).unwrap().to_string();
        assert!(shown.contains("\nsigned, not verified: no key was given\n"), "{shown}");

        let error = Bundle::open_trusted(&path, std::slice::from_ref(&other)).unwrap_err();
        let said =
            format!("found a signature by key {}, expected one by key {}", public.id(), other.id());
        assert!(error.to_string().ends_with(&said) && error.code() == 3, "{error}");
    }
    let bundle = folder.path().join("bundle");
    let mut manifest = fs::read(bundle.join("manifest.json")).unwrap();
    manifest.push(b'\n');
    fs::write(bundle.join("manifest.json"), manifest).unwrap();
    Bundle::open(&bundle).unwrap();
    let error = Bundle::open_trusted(&bundle, &[public]).unwrap_err();
    assert!(error.to_string().contains("did not give to this manifest"), "{error}");
    let archive = fs::read(folder.path().join("tiny.hilbert")).unwrap();
    let second = tar::Archive::new(&*archive)
        .entries()
        .unwrap()
        .nth(1)
        .unwrap()
        .unwrap()
        .path()
        .unwrap()
        .into_owned();
    assert_eq!(second, Path::new("manifest.json.minisig"));
}

#[test]
fn only_a_whole_bundle_is_signed_and_only_with_one_line() {
    let folder = TempDir::new().unwrap();
    let (secret, _) = key_pair(&folder.path().join("maker"));
    let [bundle, archive] = bundles(folder.path());
    let long = "x".repeat(1025);
    let mut wrong = Vec::new();
    for (comment, found) in [
        ("", "an empty one"),
        (" \n", "an empty one"),
        ("a\nb", "a control character"),
        (&*long, "a longer one"),
    ] {
        match sign(&bundle, &secret, Some(comment)) {
            Err(error) if error.code() == 4 && error.to_string().contains(found) => (),
            result => wrong.push((comment, result)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let size = fs::metadata(bundle.join("join.onnx")).unwrap().len();
    fs::write(bundle.join("join.onnx"), vec![0; usize::try_from(size).unwrap()]).unwrap();
    let mut bytes = fs::read(&archive).unwrap();
    let at = bytes.len() - 1024 - 512;
    bytes[at] ^= 1;
    fs::write(&archive, &bytes).unwrap();
    for path in [&bundle, &archive] {
        let error = sign(path, &secret, None).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Runtime { .. }) && error.code() == 3, "{error}");
    }
    assert!(!bundle.join("manifest.json.minisig").exists());
    assert_eq!(fs::read(&archive).unwrap(), bytes);
}

#[test]
fn a_key_that_minisign_made_signs_and_minisigns_public_key_verifies() {
    let folder = TempDir::new().unwrap();
    let [secret, public] = ["minisign.key", "minisign.pub"].map(|name| folder.path().join(name));
    for (path, base64) in [&secret, &public].into_iter().zip(BY_MINISIGN) {
        fs::write(path, format!("untrusted comment: of minisign\n{base64}\n")).unwrap();
    }
    let [bundle, _] = bundles(folder.path());
    sign(&bundle, &unencrypted(&secret), None).unwrap();
    let public = PublicKey::from_argument(public.to_str().unwrap()).unwrap();
    Bundle::open_trusted(&bundle, &[public]).unwrap();

    // It has no checksum that would tell.
    let (half, rest) = BY_MINISIGN[0].split_at(110);
    let damaged = format!("untrusted comment: of minisign\n{half}B{}\n", &rest[1..]);
    fs::write(&secret, damaged).unwrap();
    let error = SecretKey::open(&secret, || panic!("it has no password")).unwrap_err();
    assert!(error.to_string().contains("found a damaged key, expected a secret key"), "{error}");
}
