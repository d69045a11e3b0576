//! Bundles as they are opened: what is refused, and with which words.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use hilbert_runtime::{Classification, Classifier, Engine, ErrorKind, Graph, Model, Options};
use serde_json::{Value, json};

fn path(from_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

fn bundle() -> PathBuf {
    path("models/spoken-english/bundle")
}

/// The bundle in a folder of its own, its manifest changed and its files as `change` leaves them.
fn changed_bundle(change: impl FnOnce(&Path, &mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(bundle()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let file = folder.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(folder.path(), &mut manifest);
    fs::write(file, serde_json::to_vec(&manifest).unwrap()).unwrap();
    folder
}

#[test]
fn rows_beyond_n_max_merge_and_the_result_says_so() {
    let folder = changed_bundle(|_, manifest| manifest["fusion"]["n_max"] = json!(2));
    let wav = path("examples/data/session.wav");
    let classify = |bundle: &Path| {
        let mut classifier = Classifier::new(Model::open(bundle).unwrap()).unwrap();
        classifier.classify_file(Some(&wav), None, &Options::default()).unwrap()
    };
    let (merged, whole) = (classify(folder.path()), classify(&bundle()));
    assert!(whole.segments.len() > 2, "{:?}", whole.segments);
    assert_eq!(merged.segments.len(), 2);
    assert_eq!(
        merged.segments.iter().map(|row| row.merged as usize).sum::<usize>(),
        whole.segments.len()
    );
    assert!((merged.segments.iter().map(|row| row.audio_weight).sum::<f64>() - 1.0).abs() < 1e-9);
    let ends = |rows: &Classification| {
        (rows.segments[0].start_s, rows.segments.last().map(|row| row.end_s))
    };
    assert_eq!(ends(&merged), ends(&whole));
    let codes: Vec<_> = merged.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["no_transcript", "rows_merged"]);
    let n = whole.segments.len();
    assert_eq!(
        merged.warnings[1].message,
        format!("found {n} segments, of which neighbours were merged into 2")
    );
}

#[test]
fn a_bundle_that_is_not_what_it_says_is_refused_with_what_was_found() {
    let rewrite = |folder: &Path, manifest: &mut Value, name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        let files = manifest["files"].as_array_mut().unwrap();
        let entry = files.iter_mut().find(|file| file["path"] == name).unwrap();
        entry["bytes"] = json!(bytes.len());
        entry["sha256"] = json!(sha256(bytes));
    };
    let swapped = changed_bundle(|_, manifest| {
        let file = manifest["graphs"]["project_audio"]["file"].take();
        manifest["graphs"]["project_audio"]["file"] =
            manifest["graphs"]["project_text"]["file"].take();
        manifest["graphs"]["project_text"]["file"] = file;
    });
    let cut = changed_bundle(|folder, manifest| {
        let bytes = fs::read(folder.join("router.onnx")).unwrap();
        rewrite(folder, manifest, "router.onnx", &bytes[..bytes.len() / 2]);
    });
    let flipped = changed_bundle(|folder, _| {
        let mut bytes = fs::read(folder.join("join.onnx")).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(folder.join("join.onnx"), bytes).unwrap();
    });
    let vocabulary = changed_bundle(|folder, manifest| {
        rewrite(folder, manifest, "vocab.txt", b"[PAD]\n[UNK]\nword\n");
    });
    let rows = [
        (&swapped, "graph project_"),
        (&cut, "graph router: parsing failed"),
        (&flipped, "bundle file"),
        (&vocabulary, "vocab"),
    ];
    let mut failed = Vec::new();
    for (folder, message) in rows {
        let error = Model::open(folder.path()).unwrap_err();
        println!("{error}");
        if error.code() != 3 || !error.to_string().contains(message) {
            failed.push(format!("{}: {error}", error.code()));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(Model::open(path("examples/data")).unwrap_err().code(), 3);
}

#[test]
fn bytes_that_are_no_graph_are_an_error_and_never_a_panic() {
    let tensor =
        |name: &str| TensorEntry { name: name.to_owned(), dtype: Dtype::F32, shape: vec![1, 768] };
    let entry = GraphEntry {
        file: "x".to_owned(),
        inputs: vec![tensor("document")],
        outputs: vec![tensor("gates")],
        memory: None,
    };
    let router = fs::read(bundle().join("router.onnx")).unwrap();
    let mut files: Vec<Vec<u8>> =
        vec![Vec::new(), b"no graph at all".to_vec(), vec![0xff; 4096], router.clone()];
    for cut in [1, 17, 100, 1000] {
        files.push(router[..cut].to_vec());
    }
    // One byte changed in the graph's structure; the weights are beyond it.
    for at in (0..600).step_by(7) {
        let mut changed = router.clone();
        changed[at] ^= 0x15;
        files.push(changed);
    }
    let engines = [Engine::Float, Engine::detect()];
    for (file, engine) in files.iter().flat_map(|file| engines.map(|engine| (file, engine))) {
        match Graph::load("router", file, &entry, engine).map_err(|error| error.code()) {
            Ok(_) => panic!("the shapes of the manifest's entry are wrong"),
            Err(code) => assert_eq!(code, 3),
        }
    }
    let error = Graph::load("router", &router, &entry, Engine::Float).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::GraphSignature { .. }), "{error}");
}
