//! Encoders in Hugging Face's form: the same graphs as of the same weights in the exporter's names, and what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hilbert_exporter::{Checkpoint, ErrorKind, Package, Recipe};
use hilbert_formats::manifest::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tiny::Tiny;

/// A change, by name, and the line that tells of it.
type Refusal = (&'static str, fn(&mut Apart), &'static str);

/// Files that take the place of `tokenizer.json`, with the piece that is put in place of `piece5`, and what is said of them.
type List = (&'static [(&'static str, &'static str)], Option<&'static str>);

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Parts of a layer's names, the exporter's and Whisper's.
const WHISPER: [(&str, &str); 8] = [
    ("attention.query", "self_attn.q_proj"),
    ("attention.key", "self_attn.k_proj"),
    ("attention.value", "self_attn.v_proj"),
    ("attention.output", "self_attn.out_proj"),
    ("attention_norm", "self_attn_layer_norm"),
    ("expand", "fc1"),
    ("contract", "fc2"),
    ("ffn_norm", "final_layer_norm"),
];

/// Parts of a layer's names, the exporter's and BERT's.
const BERT: [(&str, &str); 8] = [
    ("attention.query", "attention.self.query"),
    ("attention.key", "attention.self.key"),
    ("attention.value", "attention.self.value"),
    ("attention.output", "attention.output.dense"),
    ("attention_norm", "attention.output.LayerNorm"),
    ("expand", "intermediate.dense"),
    ("contract", "output.dense"),
    ("ffn_norm", "output.LayerNorm"),
];

/// A checkpoint of odd sizes whose encoders stand in two folders beside it.
struct Apart {
    whole: Tiny,
    whisper: (Value, Tensors),
    bert: (Value, Tensors),
    tokenizer: Value,
    settings: Value,
}

impl Apart {
    fn new() -> Self {
        let mut whole = Tiny::with(|config| {
            let speech = json!({"n_mels": 80, "frames": 1000, "width": 20, "heads": 5, "layers": 2, "ffn": 212, "halve_after": 1});
            let text = json!({"vocabulary": 300, "positions": 37, "width": 18, "heads": 3, "layers": 3, "ffn": 230, "max_tokens": 11});
            (config["model"]["speech"], config["model"]["text"]) = (speech, text);
            (config["model"]["fusion"]["audio_row"], config["model"]["fusion"]["text_row"]) =
                (json!(40), json!(18));
        });
        for (name, (_, values)) in &mut whole.tensors {
            if name.starts_with("speech.") && name.ends_with("attention.key.bias") {
                values.fill(0.0);
            }
        }
        let (whisper, bert) = (whisper(&whole), bert(&mut whole));
        let pieces: BTreeMap<_, _> = whole.vocabulary.lines().zip(0..).collect();
        let tokenizer = json!({
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": pieces},
        });
        let settings = json!({"do_lower_case": true, "tokenizer_class": "BertTokenizer", "strip_accents": null});
        let whisper_config = json!({"model_type": "whisper", "d_model": 20, "encoder_layers": 2,
            "encoder_attention_heads": 5, "encoder_ffn_dim": 212, "num_mel_bins": 80, "activation_function": "gelu"});
        let bert_config = json!({"model_type": "bert", "vocab_size": 300, "max_position_embeddings": 37, "hidden_size": 18,
            "num_attention_heads": 3, "num_hidden_layers": 3, "intermediate_size": 230, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12});
        Self {
            whole,
            whisper: (whisper_config, whisper),
            bert: (bert_config, bert),
            tokenizer,
            settings,
        }
    }

    /// The checkpoint without its encoders in `fusion`, they in `whisper` and `bert`.
    fn written(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        let [fusion, whisper, bert] = ["fusion", "whisper", "bert"].map(|n| folder.path().join(n));
        let mut part = self.whole.clone();
        part.tensors.retain(|name, _| !name.starts_with("speech.") && !name.starts_with("text."));
        part.config["encoders"] =
            json!({"speech": {"hugging_face": "../whisper"}, "text": {"hugging_face": "../bert"}});
        part.write(&fusion);
        fs::remove_file(fusion.join("vocab.txt")).unwrap();
        write(&whisper, &self.whisper);
        write(&bert, &self.bert);
        fs::write(bert.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        fs::write(bert.join("tokenizer_config.json"), self.settings.to_string()).unwrap();
        folder
    }

    fn problems(&self) -> Vec<String> {
        problems(&self.written())
    }
}

fn problems(folder: &TempDir) -> Vec<String> {
    match Checkpoint::open(&folder.path().join("fusion")) {
        Ok(_) => Vec::new(),
        Err(error) => match error.kind() {
            ErrorKind::Checkpoint { problems, .. } => problems.clone(),
            other => panic!("{other}"),
        },
    }
}

fn write(folder: &Path, (config, tensors): &(Value, Tensors)) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    write_tensors(&folder.join("model.safetensors"), tensors);
}

fn write_tensors(path: &Path, tensors: &Tensors) {
    let floats =
        |values: &Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let bytes: BTreeMap<_, _> = tensors.iter().map(|(name, (_, v))| (name, floats(v))).collect();
    let view = |(name, (shape, _)): (_, &(Vec<usize>, _))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), &bytes[name]).unwrap())
    };
    safetensors::serialize_to_file(tensors.iter().map(view), None, path).unwrap();
}

/// The exporter's tensors of one encoder under other names.
fn renamed(whole: &Tiny, prefix: &str, name: impl Fn(&str) -> String) -> Tensors {
    let tensors =
        whole.tensors.iter().filter_map(|(ours, t)| Some((ours.strip_prefix(prefix)?, t)));
    tensors.map(|(ours, tensor)| (name(ours), tensor.clone())).collect()
}

fn layer(ours: &str, parts: &[(&str, &str)]) -> Option<String> {
    let (number, rest) = ours.strip_prefix("layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, theirs) = parts.iter().find(|(ours, _)| *ours == part)?;
    Some(format!("{number}.{theirs}.{kind}"))
}

fn whisper(whole: &Tiny) -> Tensors {
    let mut tensors = renamed(whole, "speech.", |ours| match layer(ours, &WHISPER) {
        Some(layer) => format!("model.encoder.layers.{layer}"),
        None => format!("model.encoder.{}", ours.replace("norm.", "layer_norm.")),
    });
    tensors.retain(|name, _| !name.ends_with("k_proj.bias"));
    let angle = |t: f32, i: usize| t / 1e4_f32.powf(i as f32 / 9.0);
    let row = |t: u16| {
        let sines = (0..10).map(move |i| angle(t.into(), i).sin());
        sines.chain((0..10).map(move |i| angle(t.into(), i).cos()))
    };
    let table = (0..510).flat_map(row).collect();
    tensors.insert("model.encoder.embed_positions.weight".into(), (vec![510, 20], table));
    tensors.insert("model.decoder.layer_norm.weight".into(), (vec![20], vec![1.0; 20]));
    tensors.insert("proj_out.weight".into(), (vec![1, 20], vec![1.0; 20]));
    tensors
}

/// Takes BERT's segments from `whole`'s positions, which then hold them as f32 adds them.
fn bert(whole: &mut Tiny) -> Tensors {
    let segments: Vec<f32> = (0..36).map(|i| (i as f32 - 9.0) / 64.0).collect();
    let before = whole.tensors["text.positions.weight"].clone();
    let positions = &mut whole.tensors.get_mut("text.positions.weight").unwrap().1;
    for (i, value) in positions.iter_mut().enumerate() {
        *value += segments[i % 18];
    }
    let mut tensors = renamed(whole, "text.", |ours| match layer(ours, &BERT) {
        Some(layer) => format!("bert.encoder.layer.{layer}"),
        None => format!(
            "bert.embeddings.{}",
            match ours {
                "tokens.weight" => "word_embeddings.weight",
                "positions.weight" => "position_embeddings.weight",
                "norm.weight" => "LayerNorm.weight",
                _ => "LayerNorm.bias",
            }
        ),
    });
    tensors.insert("bert.embeddings.position_embeddings.weight".into(), before);
    tensors.insert("bert.embeddings.token_type_embeddings.weight".into(), (vec![2, 18], segments));
    tensors.insert("bert.embeddings.position_ids".into(), (vec![1, 37], vec![0.0; 37]));
    tensors.insert("bert.pooler.dense.bias".into(), (vec![18], vec![0.0; 18]));
    tensors.insert("cls.predictions.bias".into(), (vec![300], vec![0.0; 300]));
    tensors
}

fn files(checkpoint: &Path) -> Vec<(String, Vec<u8>)> {
    let checkpoint = Checkpoint::open(checkpoint).unwrap();
    let recipe = Recipe::uniform(Weights::Int8);
    Package::new(&checkpoint, &recipe, "tiny", 1).unwrap().files().to_vec()
}

/// The same bundle of the checkpoint in one piece, its tensors in f32.
fn expected(apart: &Apart) -> Vec<(String, Vec<u8>)> {
    let folder = apart.whole.written();
    write_tensors(&folder.path().join("model.safetensors"), &apart.whole.tensors);
    files(folder.path())
}

#[test]
fn encoders_of_any_size_make_the_same_graphs_as_the_same_weights_in_our_names() {
    let apart = Apart::new();
    assert!(files(&apart.written().path().join("fusion")) == expected(&apart), "other graphs");
}

#[test]
fn names_may_lack_what_stands_before_them_and_be_those_of_older_files() {
    let mut apart = Apart::new();
    let bare = |tensors: &Tensors, prefix: &str, older: bool| -> Tensors {
        let name = |name: &String| {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            if !older {
                return name.to_owned();
            }
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        };
        tensors.iter().map(|(n, tensor)| (name(n), tensor.clone())).collect()
    };
    apart.whisper.1 = bare(&apart.whisper.1, "model.", false);
    apart.bert.1 = bare(&apart.bert.1, "bert.", true);
    assert!(files(&apart.written().path().join("fusion")) == expected(&apart), "other graphs");
}

#[test]
fn shards_stand_for_one_file() {
    let apart = Apart::new();
    let folder = apart.written();
    let bert = folder.path().join("bert");
    let (mut first, mut second) = (apart.bert.1.clone(), apart.bert.1.clone());
    first.retain(|name, _| name.contains("embeddings"));
    second.retain(|name, _| !name.contains("embeddings"));
    let mut map = BTreeMap::new();
    for (file, tensors) in [("model-1.safetensors", &first), ("model-2.safetensors", &second)] {
        write_tensors(&bert.join(file), tensors);
        map.extend(tensors.keys().map(|name| (name.clone(), file)));
    }
    fs::remove_file(bert.join("model.safetensors")).unwrap();
    fs::write(bert.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string())
        .unwrap();
    assert!(files(&folder.path().join("fusion")) == expected(&apart), "other graphs");
    fs::remove_file(bert.join("model-2.safetensors")).unwrap();
    let error = Checkpoint::open(&folder.path().join("fusion")).unwrap_err();
    assert!(error.to_string().contains("model-2.safetensors: cannot be read"), "{error}");
}

#[test]
fn every_disagreement_of_both_models_is_listed_at_once() {
    let mut apart = Apart::new();
    apart.whisper.0["encoder_layers"] = json!(4);
    apart.whisper.0["activation_function"] = json!("relu");
    apart.bert.0["hidden_size"] = Value::Null;
    apart.bert.0["layer_norm_eps"] = json!(1e-5);
    apart.settings["do_lower_case"] = json!(false);
    apart.tokenizer["normalizer"]["lowercase"] = json!(false);
    apart.tokenizer["pre_tokenizer"]["type"] = json!("Whitespace");
    apart.whisper.1.get_mut("model.encoder.embed_positions.weight").unwrap().1[25] += 0.01;
    apart.whisper.1.remove("model.encoder.layers.1.fc2.bias");
    apart.whisper.1.remove("model.encoder.conv1.weight");
    apart
        .whisper
        .1
        .insert("model.encoder.layers.0.self_attn.k_proj.bias".into(), (vec![20], vec![0.5; 20]));
    apart.bert.1.insert("bert.encoder.layer.3.output.dense.bias".into(), (vec![18], vec![0.0; 18]));
    apart.bert.1.get_mut("bert.embeddings.token_type_embeddings.weight").unwrap().0 = vec![18, 2];
    let found = apart.problems();
    let expected = [
        "../whisper/config.json: encoder_layers: found 4, expected 2",
        r#"../whisper/config.json: activation_function: found "relu", expected "gelu""#,
        r#"../whisper/model.safetensors: tensor "model.encoder.embed_positions.weight": found "#,
        "../bert/config.json: hidden_size: found none, expected 18",
        "../bert/config.json: layer_norm_eps: found 0.00001, expected",
        "../bert/tokenizer_config.json: do_lower_case: found false, expected true",
        "../bert/tokenizer.json: normalizer.lowercase: found false, expected true",
        r#"../bert/tokenizer.json: pre_tokenizer.type: found "Whitespace", expected "BertPreTokenizer""#,
        r#"tensor "bert.encoder.layer.3.output.dense.bias" in ../bert: found, expected none of this name"#,
        r#"tensor "speech.conv1.weight", here "model.encoder.conv1.weight" in ../whisper: found none, expected shape [20, 80, 3]"#,
        r#"tensor "speech.layers.1.contract.bias", here "model.encoder.layers.1.fc2.bias" in ../whisper: found none, expected shape [20]"#,
        r#"tensor "text.positions.weight", here "bert.embeddings.position_embeddings.weight" in ../bert: with "bert.embeddings.token_type_embeddings.weight": found shape [18, 2], expected [2, 18]"#,
    ];
    let missing: Vec<_> =
        expected.iter().filter(|e| !found.iter().any(|f| f.starts_with(**e))).collect();
    assert!(missing.is_empty() && found.len() == expected.len(), "{missing:#?} in {found:#?}");
}

#[test]
fn other_families_and_tokenizers_are_refused_by_name() {
    let rows: [Refusal; 7] = [
        (
            "roberta",
            |a| a.bert.0["model_type"] = json!("roberta"),
            r#"../bert/config.json: model_type: found "roberta", expected "bert""#,
        ),
        (
            "wav2vec2",
            |a| a.whisper.0["model_type"] = json!("wav2vec2"),
            r#"../whisper/config.json: model_type: found "wav2vec2", expected "whisper""#,
        ),
        (
            "BPE",
            |a| a.tokenizer["model"]["type"] = json!("BPE"),
            r#"../bert/tokenizer.json: model.type: found "BPE", expected uncased WordPiece; the runtime has no other tokenizer"#,
        ),
        (
            "Unigram",
            |a| a.tokenizer["model"]["type"] = json!("Unigram"),
            r#"../bert/tokenizer.json: model.type: found "Unigram", expected uncased WordPiece; the runtime has no other tokenizer"#,
        ),
        (
            "another class",
            |a| a.settings["tokenizer_class"] = json!("BertJapaneseTokenizer"),
            r#"../bert/tokenizer_config.json: tokenizer_class: found "BertJapaneseTokenizer", expected "BertTokenizer", uncased WordPiece; the runtime has no other tokenizer"#,
        ),
        (
            "accents",
            |a| a.settings["strip_accents"] = json!(false),
            "../bert/tokenizer_config.json: strip_accents: found false, expected true",
        ),
        (
            "a gap",
            |a| a.tokenizer["model"]["vocab"]["piece299"] = json!(301),
            r#"../bert/tokenizer.json: "piece299": found id 301, expected 299"#,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, change, expected) in rows {
        let mut apart = Apart::new();
        change(&mut apart);
        let found = apart.problems();
        if !found.iter().any(|line| line == expected) {
            wrong.push((name, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_list_of_pieces_is_a_tokenizer_and_other_files_are_not() {
    let rows: [List; 4] = [
        (&[("vocab.txt", "")], None),
        (
            &[("spiece.model", "")],
            Some(
                "../bert/tokenizer: found SentencePiece (spiece.model), expected uncased WordPiece",
            ),
        ),
        (
            &[("vocab.json", ""), ("merges.txt", "")],
            Some("../bert/tokenizer: found BPE (merges.txt), expected uncased WordPiece"),
        ),
        (
            &[("vocab.txt", "Piece5")],
            Some(r#"../bert/vocab.txt: found the piece "Piece5", expected uncased WordPiece"#),
        ),
    ];
    let mut wrong = Vec::new();
    for (files, expected) in rows {
        let apart = Apart::new();
        let folder = apart.written();
        let bert = folder.path().join("bert");
        fs::remove_file(bert.join("tokenizer.json")).unwrap();
        for (file, cased) in files {
            let pieces = &apart.whole.vocabulary;
            let pieces =
                if cased.is_empty() { pieces.clone() } else { pieces.replacen("piece5", cased, 1) };
            fs::write(bert.join(file), pieces).unwrap();
        }
        let found = problems(&folder);
        let fits = match expected {
            None => found.is_empty(),
            Some(expected) => found.iter().any(|line| line.starts_with(expected)),
        };
        if !fits {
            wrong.push((files, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_encoder_of_another_digest_is_refused() {
    let folder = Apart::new().written();
    let path = folder.path().join("fusion/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::read(folder.path().join("whisper/model.safetensors")).unwrap();
    let digest = hilbert_formats::bundle::sha256(&bytes);
    config["encoders"]["speech"]["sha256"] = json!(digest);
    fs::write(&path, config.to_string()).unwrap();
    assert!(problems(&folder).is_empty());
    config["encoders"]["text"]["sha256"] = json!("0".repeat(64));
    fs::write(&path, config.to_string()).unwrap();
    let found = problems(&folder);
    assert!(found.len() == 1 && found[0].starts_with("../bert: found SHA-256 "), "{found:?}");
}
