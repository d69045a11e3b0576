//! Reading a checkpoint: what is accepted, and that everything wrong with it is listed at once.

use std::fs;

use hilbert_exporter::checkpoint::encoders_sha256;
use hilbert_exporter::{Checkpoint, ErrorKind};
use serde_json::json;
use tempfile::TempDir;

use crate::tiny::Tiny;

/// The problems that opening this checkpoint lists.
fn problems(tiny: &Tiny) -> Vec<String> {
    let folder = tiny.written();
    match Checkpoint::open(folder.path()) {
        Ok(_) => Vec::new(),
        Err(error) => match error.kind() {
            ErrorKind::Checkpoint { problems, .. } => problems.clone(),
            other => panic!("{other}"),
        },
    }
}

#[test]
fn half_precision_tensors_keep_their_values() {
    let tiny = Tiny::new();
    let folder = tiny.written();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    for (name, (shape, values)) in &tiny.tensors {
        let tensor = checkpoint.tensor(name).unwrap();
        assert_eq!((&tensor.shape, &tensor.values), (shape, values), "{name}");
    }
}

#[test]
fn missing_unknown_misshapen_and_infinite_tensors_are_listed_at_once() {
    let mut tiny = Tiny::new();
    tiny.tensors.remove("speech.norm.bias");
    tiny.tensors.insert("speech.extra".into(), (vec![1], vec![0.0]));
    tiny.tensors.insert("text.norm.weight".into(), (vec![2, 12], vec![0.0; 24]));
    tiny.tensors.get_mut("fusion.null_text").unwrap().1[3] = f32::INFINITY;
    tiny.vocabulary += "one more\n";
    let expected = [
        "vocab.txt: found 301 pieces, expected 300 as text.vocabulary says",
        r#"tensor "speech.extra": found, expected none of this name"#,
        r#"tensor "fusion.null_text": found inf at element 3, expected a finite number"#,
        r#"tensor "speech.norm.bias": found none, expected shape [32]"#,
        r#"tensor "text.norm.weight": found shape [2, 12], expected [24]"#,
    ];
    assert_eq!(problems(&tiny), expected);
}

#[test]
fn an_alignment_head_has_its_tensors_and_its_section_or_neither() {
    let mut aligned = Tiny::aligned();
    assert!(problems(&aligned).is_empty());
    aligned.tensors.remove("alignment.context.bias");
    let expected = [r#"tensor "alignment.context.bias": found none, expected shape [40]"#];
    assert_eq!(problems(&aligned), expected);
    aligned.config.as_object_mut().unwrap().remove("alignment");
    let found = problems(&aligned);
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(found[0], r#"tensor "alignment.classes.bias": found, expected none of this name"#);
}

#[test]
fn tensors_that_only_the_training_uses_are_ignored() {
    let mut tiny = Tiny::new();
    tiny.tensors.insert("contrast.audio.weight".into(), (vec![1], vec![0.0]));
    tiny.tensors.insert("segment_score.weight".into(), (vec![1], vec![0.0]));
    assert!(problems(&tiny).is_empty());
}

#[test]
fn encoders_may_stand_in_another_checkpoint() {
    let (folder, whole) = (TempDir::new().unwrap(), Tiny::new());
    whole.write(&folder.path().join("whole"));
    let sha256 = encoders_sha256(&folder.path().join("whole")).unwrap();
    let mut part = whole.clone();
    part.config["encoders"] = json!({"checkpoint": "../whole", "sha256": sha256});
    part.tensors.retain(|name, _| !name.starts_with("speech.") && !name.starts_with("text."));
    let at = folder.path().join("part");
    part.write(&at);
    fs::remove_file(at.join("vocab.txt")).unwrap();
    let checkpoint = Checkpoint::open(&at).unwrap();
    for (name, (_, values)) in &whole.tensors {
        assert_eq!(&checkpoint.tensor(name).unwrap().values, values, "{name}");
    }
    assert_eq!(checkpoint.vocabulary(), whole.vocabulary.as_bytes());

    let mut other = whole;
    other.tensors.get_mut("fusion.null_text").unwrap().1[0] += 0.25;
    other.write(&folder.path().join("whole"));
    assert!(Checkpoint::open(&at).is_ok(), "the encoders are the same");
    other.tensors.get_mut("text.norm.bias").unwrap().1[0] += 0.25;
    other.write(&folder.path().join("whole"));
    let error = Checkpoint::open(&at).unwrap_err().to_string();
    assert!(error.contains("encoders: found SHA-256 "), "{error}");
    assert!(error.ends_with(&format!(" in ../whole, expected {sha256}")), "{error}");
}

#[test]
fn tensors_of_encoders_that_stand_elsewhere_are_refused() {
    let (folder, mut tiny) = (TempDir::new().unwrap(), Tiny::new());
    tiny.write(&folder.path().join("whole"));
    tiny.config["encoders"] = json!({"checkpoint": "../whole", "sha256": ""});
    tiny.tensors.retain(|name, _| !name.starts_with("speech.") && name != "text.tokens.weight");
    tiny.write(&folder.path().join("part"));
    let error = Checkpoint::open(&folder.path().join("part")).unwrap_err().to_string();
    assert!(
        error.contains(r#"tensor "text.norm.bias": found, expected none of this name"#),
        "{error}"
    );
}

#[test]
fn a_configuration_that_makes_no_graphs_is_refused() {
    let none = json!({"documents": 1, "sets": []});
    let rows = [
        ("/alignment/hidden", json!(0), "alignment.hidden: found 0, expected 1 to 131072"),
        ("/model/speech/frames", json!(998), "speech.frames: found 998, expected 1000"),
        ("/model/speech/heads", json!(5), "speech.width modulo speech.heads: found 2, expected 0"),
        ("/model/speech/layers", json!(0), "speech.layers: found 0, expected 1 to 131072"),
        (
            "/model/text/ffn",
            json!(u64::MAX),
            "text.ffn: found 18446744073709551615, expected 1 to 131072",
        ),
        ("/model/fusion/audio_row", json!(63), "fusion.audio_row: found 63, expected 64"),
        (
            "/model/text/max_tokens",
            json!(21),
            "text.max_tokens: found 21, expected at most 20, the rows of text.positions",
        ),
        (
            "/model/tasks/0/name",
            json!("other"),
            r#"calibration: found none for task "other", expected one"#,
        ),
        (
            "/conformal",
            json!({"grade": {"audio": none, "text": none, "audio_text": none}}),
            r#"conformal: found one for "grade", expected a task of this name"#,
        ),
    ];
    let mut wrong = Vec::new();
    for (pointer, value, expected) in rows {
        let mut tiny = Tiny::aligned();
        *tiny.config.pointer_mut(pointer).unwrap() = value;
        let found = problems(&tiny);
        if !found.iter().any(|p| p == expected) {
            wrong.push((pointer, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn another_schema_names_the_command_that_writes_this_one() {
    let mut tiny = Tiny::new();
    tiny.config["schema"] = json!("hilbert.checkpoint/0");
    let folder = tiny.written();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    let expected = r#"found schema "hilbert.checkpoint/0", expected "hilbert.checkpoint/1"; run models/reference/train.py again"#;
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(error.code(), 4);
}

#[test]
fn unreadable_files_are_named() {
    let rows: [(&str, Option<&str>); 4] = [
        ("config.json", None),
        ("config.json", Some("{")),
        ("model.safetensors", Some("not safetensors")),
        ("vocab.txt", None),
    ];
    let mut wrong = Vec::new();
    for (file, content) in rows {
        let folder = Tiny::new().written();
        let path = folder.path().join(file);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = Checkpoint::open(folder.path()).unwrap_err();
        if error.code() != 4 || !error.to_string().starts_with(&path.display().to_string()) {
            wrong.push((file, content, error.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
