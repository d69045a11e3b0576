//! The golden file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use hilbert_formats::manifest::Weights;
use hilbert_formats::{Bundle, Cue, CueTimes, Transcript, TranscriptFormat, WavReader};
use hilbert_runtime::{
    ChannelChoice, Classification, Engine, Input, Model, PcmFormat, Session, TimeSpan,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::path;

/// The golden file of a shipped bundle, every number as f64, and the bundle's model.
#[derive(Clone)]
pub(crate) struct Golden {
    pub(crate) model: Arc<Model>,
    /// Which of its sets the bundle must match.
    pub(crate) set: &'static str,
    /// The recording that its documents are cut from, as the project's root has it.
    wav: String,
    pub(crate) tensors: BTreeMap<String, Vec<f64>>,
}

impl Golden {
    /// Of the bundle in `models/NAME`, computed by `engine`.
    pub(crate) fn read(name: &str, engine: Engine) -> Self {
        let file = format!("models/{name}/golden.safetensors");
        let bytes = fs::read(path(&file))
            .unwrap_or_else(|e| panic!("{file}: {e}: run models/reference/golden.py"));
        let bundle = Bundle::open(&path(&format!("models/{name}/bundle"))).unwrap();
        let model =
            Model::from_bundle_on(engine, &bundle).unwrap_or_else(|error| panic!("{error}"));
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let wav = metadata.metadata().as_ref().unwrap()["wav"].clone();
        let set = match model.manifest().weights {
            Weights::F32 => "f32",
            Weights::Int8 => "int8",
        };
        let tensors = golden
            .iter()
            .map(|(name, tensor)| (name.to_owned(), numbers(tensor.dtype(), tensor.data())));
        Self { model: Arc::new(model), set, wav, tensors: tensors.collect() }
    }

    /// Those that begin with a recording or a transcript; `long` is made of the rows of another.
    pub(crate) fn documents(&self) -> Vec<String> {
        let prefix = format!("{}/", self.set);
        let names = self.tensors.keys().filter_map(|name| {
            let (document, stage) = name.strip_prefix(&prefix)?.split_once('/')?;
            ["audio_rows", "text_rows"].contains(&stage).then(|| document.to_owned())
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(crate) fn input(&self, document: &str, name: &str) -> Option<&Vec<f64>> {
        self.tensors.get(&format!("inputs/{document}/{name}"))
    }

    pub(crate) fn any_output(&self, document: &str, stage: &str) -> Option<Vec<f64>> {
        self.tensors.get(&format!("{}/{document}/{stage}", self.set)).cloned()
    }

    pub(crate) fn output(&self, document: &str, stage: &str) -> Vec<f64> {
        let set = self.set;
        self.any_output(document, stage).unwrap_or_else(|| {
            panic!("no {set}/{document}/{stage}: run models/reference/golden.py")
        })
    }

    pub(crate) fn modalities(&self, document: &str) -> Vec<&'static str> {
        ["audio", "text"]
            .into_iter()
            .filter(|m| self.any_output(document, &format!("{m}_x")).is_some())
            .collect()
    }

    pub(crate) fn times(&self, document: &str, modality: &str) -> Vec<Option<TimeSpan>> {
        let rate = f64::from(self.model.manifest().audio.sample_rate);
        let (name, unit) =
            if modality == "audio" { ("segments", rate) } else { ("cue_times", 1.0) };
        let spans = self.input(document, name).unwrap().chunks_exact(2);
        spans
            .map(|s| {
                (!s[0].is_nan()).then(|| TimeSpan { start_s: s[0] / unit, end_s: s[1] / unit })
            })
            .collect()
    }

    /// The document's part of the sample recording.
    pub(crate) fn samples(&self, document: &str) -> Option<Vec<f32>> {
        let range = self.input(document, "range")?;
        let mut wav = WavReader::open(path(&self.wav)).unwrap();
        let audio = &self.model.manifest().audio;
        assert_eq!((wav.format().sample_rate, wav.format().channels), (audio.sample_rate, 1));
        let mut samples = Vec::new();
        let mut block = [0.0; 4096];
        while let n @ 1.. = wav.read(&mut block).unwrap() {
            samples.extend_from_slice(&block[..n]);
        }
        Some(samples[range[0] as usize..range[1] as usize].to_vec())
    }

    pub(crate) fn cues(&self, document: &str) -> Option<Vec<Cue>> {
        let json = self.input(document, "cues_json")?;
        let json: Vec<u8> = json.iter().map(|byte| *byte as u8).collect();
        let cues: Vec<Value> = serde_json::from_slice(&json).unwrap();
        let cue = |cue: &Value| Cue {
            text: cue["text"].as_str().unwrap().to_owned(),
            times: cue["start_s"]
                .as_f64()
                .map(|start_s| CueTimes { start_s, end_s: cue["end_s"].as_f64().unwrap() }),
            line: 1,
        };
        Some(cues.iter().map(cue).collect())
    }

    /// One graph of the model by itself.
    pub(crate) fn run(&self, graph: &str, inputs: &[Input<'_>]) -> Vec<Vec<f32>> {
        self.model
            .graph(graph)
            .unwrap_or_else(|| panic!("no graph {graph}"))
            .run(inputs)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The document through the whole runtime.
    pub(crate) fn classify(&self, session: &mut Session, document: &str) -> Classification {
        if let Some(cues) = self.cues(document) {
            let transcript =
                Transcript { format: TranscriptFormat::Srt, cues, warnings: Vec::new() };
            session.push_transcript(&transcript).unwrap();
        }
        if let Some(samples) = self.samples(document) {
            let format =
                PcmFormat { sample_rate: self.model.manifest().audio.sample_rate, channels: 1 };
            session.start_audio(format, ChannelChoice::Mean).unwrap();
            samples.chunks(1000).for_each(|block| session.push_pcm(block).unwrap());
        }
        session.finish().unwrap_or_else(|error| panic!("{document}: {error}"))
    }
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
    }
    match dtype {
        Dtype::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::U8 => each(bytes, |[b]| f64::from(b)),
        other => panic!("found a golden tensor of {other:?}"),
    }
}
