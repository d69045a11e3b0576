//! A checkpoint of random weights, small but with tensors on both sides of the int8 threshold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::f16;
use hilbert_exporter::checkpoint::{AlignmentConfig, ModelConfig, tensors};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A checkpoint in memory, to be changed and written.
#[derive(Clone)]
pub(crate) struct Tiny {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    pub(crate) vocabulary: String,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// With an alignment head.
    pub(crate) fn aligned() -> Self {
        Self::with(|config| config["alignment"] = alignment())
    }

    /// With a configuration that `change` made of the usual one.
    pub(crate) fn with(change: impl FnOnce(&mut Value)) -> Self {
        let mut config = config();
        change(&mut config);
        let model: ModelConfig = serde_json::from_value(config["model"].clone()).unwrap();
        let alignment: Option<AlignmentConfig> =
            serde_json::from_value(config["alignment"].clone()).unwrap();
        let mut state = 1_u32;
        let mut random = || {
            // xorshift32, Marsaglia 2003
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f16::from_f64((f64::from(state) / f64::from(u32::MAX) - 0.5) * 0.4).to_f32()
        };
        let fill = |(name, shape): (String, Vec<usize>)| {
            let values = (0..shape.iter().product()).map(|_| random()).collect();
            (name, (shape, values))
        };
        let tensors = tensors(&model, alignment.as_ref()).into_iter().map(fill).collect();
        let mut vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n".to_owned();
        (4..model.text.vocabulary).for_each(|i| vocabulary += &format!("piece{i}\n"));
        Self { config, tensors, vocabulary }
    }

    /// The checkpoint in a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let bytes = fs::read(folder.join("model.safetensors")).unwrap();
        let stored = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (&str, TensorView<'_>)| {
            let values = view.data().as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32());
            (name.to_owned(), (view.shape().to_vec(), values.collect()))
        };
        let config = serde_json::from_str(&text("config.json")).unwrap();
        let tensors = stored.iter().map(tensor).collect();
        Self { config, tensors, vocabulary: text("vocab.txt") }
    }

    /// Writes it in half precision.
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        fs::write(folder.join("vocab.txt"), &self.vocabulary).unwrap();
        let bytes: BTreeMap<_, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, (_, values))| {
                (name, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
            })
            .collect();
        let views = self.tensors.iter().map(|(name, (shape, _))| {
            (name, TensorView::new(Dtype::F16, shape.clone(), &bytes[name]).unwrap())
        });
        safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    }

    /// Writes it into a new folder.
    pub(crate) fn written(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        self.write(folder.path());
        folder
    }
}

fn config() -> Value {
    let cuts = json!({"cuts": [-0.2, 0.3], "slope": 4.0});
    let temperature = json!({"temperature": 1.3});
    json!({
        "schema": "hilbert.checkpoint/1",
        "name": "tiny",
        "licence": "CC-BY-4.0",
        "credits": ["random numbers"],
        "calibration": {
            "proficiency": {"audio": cuts, "text": cuts, "audio_text": cuts},
            "fluency": {"audio": temperature, "text": temperature, "audio_text": temperature},
        },
        "conformal": {},
        "provenance": {"device": "cpu", "seed": 0, "versions": {"torch": "2"}, "data_sha256": "0".repeat(64)},
        "log_mel": {
            "sample_rate": 16000, "n_fft": 400, "hop": 160, "n_mels": 80, "frames": 1000,
            "floor": 1e-10, "dynamic_range": 8.0, "offset": 4.0, "scale": 4.0,
        },
        "segmentation": {
            "frame": 160, "min_s": 6.0, "max_s": 10.0, "search_s": 3.0, "pause_s": 0.2, "long_pause_s": 1.0,
            "padding_s": 0.1, "min_speech_s": 0.1, "margin_db": 12.0, "floor_min_db": -65.0, "floor_max_db": -35.0,
            "floor_rise_db_per_s": 3.0,
        },
        "model": {
            "speech": {
                "n_mels": 80, "frames": 1000, "width": 32, "heads": 4, "layers": 3, "ffn": 128, "halve_after": 1,
            },
            "text": {
                "vocabulary": 300, "positions": 20, "width": 24, "heads": 3, "layers": 2, "ffn": 48, "max_tokens": 16,
            },
            "fusion": {
                "audio_row": 64, "text_row": 24, "width": 64, "heads": 4, "pooling": 16, "contrast": 8,
                "dropout": 0.1, "n_max": 128, "period_min_s": 0.5, "period_max_s": 20000.0,
            },
            "experts": {"count": 3, "width": 16, "threshold": 0.0},
            "tasks": [
                {"name": "proficiency", "kind": "ordinal", "labels": ["basic", "intermediate", "proficient"]},
                {"name": "fluency", "kind": "binary", "labels": ["fluent", "at_risk"]},
            ],
        },
    })
}

/// The section `alignment` of a `config.json`.
pub(crate) fn alignment() -> Value {
    json!({
        "hidden": 40, "alphabet": " abcdefghijklmnopqrstuvwxyz'", "margin_s": 0.3, "worst_fit": -20.0,
        "integrity": {
            "labels": ["intact", "partly_swapped", "all_swapped"],
            "cue": {"weight": -1.5, "bias": -4.0},
            "document": {
                "summaries": ["mean", "smallest", "largest"],
                "weight": [[-0.5, 0.0, -0.125], [0.0, -0.25, 0.0625], [0.25, 0.25, 0.0]], "bias": [1.0, 0.0, -1.0],
            },
        },
    })
}
