//! Bundles as archives, and bundles that must be signed.

use std::fs;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use tempfile::TempDir;

use crate::process::{Finished, bundle, hilbert, sample};

/// Names and contents of the shipped bundle's files, the manifest first.
fn files() -> Vec<(String, Vec<u8>)> {
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    let mut files: Vec<_> = fs::read_dir(bundle()).unwrap().map(|e| file(e.unwrap())).collect();
    files.sort_by_key(|(name, _)| (name != "manifest.json", name.clone()));
    files
}

fn archive(path: &Path, files: &[(String, Vec<u8>)]) -> String {
    let mut builder = tar::Builder::new(fs::File::create_new(path).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, &**bytes).unwrap();
    }
    builder.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

/// A key pair whose public key is a file too.
fn key_pair(folder: &TempDir, name: &str) -> (KeyPair, String) {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, pair.pk.to_box().unwrap().to_bytes()).unwrap();
    (pair, path.to_str().unwrap().to_owned())
}

fn sign(pair: &KeyPair, files: &mut Vec<(String, Vec<u8>)>) {
    let signature = minisign::sign(None, &pair.sk, &*files[0].1, None, None).unwrap();
    files.push(("manifest.json.minisig".to_owned(), signature.to_bytes()));
}

#[test]
fn an_archive_gives_the_same_result_as_the_folder() {
    let folder = TempDir::new().unwrap();
    let archive = archive(&folder.path().join("model.hilbert"), &files());
    let (srt, shipped) = (sample("session.srt"), bundle());
    let classify = |model: &str| {
        hilbert(&["classify", "--transcript", &srt, "--format", "json", "--model", model])
    };
    let [of_archive, of_folder] = [&*archive, shipped.to_str().unwrap()].map(classify);
    assert_eq!((of_archive.code, of_archive.stdout), (0, of_folder.stdout));
    let selftest = hilbert(&["selftest", "--model", &archive]);
    assert!(selftest.code == 0 && selftest.stdout.contains(" layers, 0 under "), "{selftest:?}");
}

#[test]
fn with_a_key_only_a_bundle_that_it_signed_is_run() {
    let folder = TempDir::new().unwrap();
    let ((pair, public), (_, other)) = (key_pair(&folder, "a.pub"), key_pair(&folder, "b.pub"));
    let path = |name: &str| folder.path().join(name);
    let unsigned = archive(&path("unsigned"), &files());
    let mut all = files();
    sign(&pair, &mut all);
    let signed = archive(&path("signed"), &all);
    // No longer JSON: who parsed it would say so.
    all[0].1.insert(0, b'}');
    let changed = archive(&path("changed"), &all);
    let in_folder = path("folder").to_str().unwrap().to_owned();
    fs::create_dir(&in_folder).unwrap();
    for (name, bytes) in &all[1..] {
        fs::write(path("folder").join(name), bytes).unwrap();
    }
    fs::write(path("folder/manifest.json"), &files()[0].1).unwrap();
    let (base64, srt) = (pair.pk.to_base64(), sample("session.srt"));
    let rows: [(&str, &[&str], i32, &str); 10] = [
        (&signed, &[], 0, ""),
        (&signed, &[&public], 0, ""),
        (&signed, &[&base64], 0, ""),
        (&signed, &[&other, &public], 0, ""),
        (&in_folder, &[&public], 0, ""),
        (&signed, &[&other], 3, "minisig: found a signature by key "),
        (&in_folder, &[&other], 3, "minisig: found a signature by key "),
        (&unsigned, &[&public], 3, "minisig: found no signature, expected one by key "),
        (&changed, &[&public], 3, "did not give to this manifest"),
        (&signed, &["absent.pub"], 4, "absent.pub: cannot be read"),
    ];
    let mut failed = Vec::new();
    for (model, keys, code, part) in rows {
        for command in [&["classify", "--transcript", &srt][..], &["selftest"]] {
            let mut arguments = command.to_vec();
            arguments.extend(["--model", model]);
            keys.iter().for_each(|key| arguments.extend(["--trusted-key", *key]));
            let finished = hilbert(&arguments);
            let Finished { code: found, stdout, stderr } = &finished;
            if *found != code || !stderr.contains(part) || stdout.is_empty() == (code == 0) {
                failed.push((arguments.join(" "), finished));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
