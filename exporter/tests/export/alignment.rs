//! The alignment head against the reference's own, and what a bundle with one says of recordings.

use std::sync::{Arc, LazyLock};

use hilbert_exporter::progress::silent;
use hilbert_exporter::{Options, Recipe, export};
use hilbert_formats::manifest::Weights;
use hilbert_formats::{Bundle, Cue, Transcript, WavReader};
use hilbert_runtime::{
    ChannelChoice, Classification, Classifier, Engine, Model, PcmFormat, Session,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tiny::{Tiny, alignment};
use crate::trained;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/session.");

/// The trained model with a head of the formula's weights, which hears nothing: what it says is worth nothing, but it says it
/// of every frame.
static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let mut tiny = Tiny::read(&trained::checkpoint());
    tiny.config["alignment"] = alignment();
    set_head(&mut tiny, 384, 40);
    Arc::new(exported(&tiny, Weights::Int8, &folder))
});

fn exported(tiny: &Tiny, weights: Weights, folder: &TempDir) -> Model {
    let checkpoint = tiny.written();
    let target = folder.path().join("bundle");
    let mut options = Options::default();
    options.recipe = Recipe::uniform(weights);
    export(checkpoint.path(), &target, &options, &silent).unwrap();
    // The reference's posteriors are those of weights rounded, activations not.
    Model::from_bundle_on(Engine::Float, &Bundle::open(&target).unwrap()).unwrap()
}

/// The formula of `exporter/tests/data/alignment.py`.
fn numbers(seed: usize, count: usize) -> impl Iterator<Item = f32> {
    let number =
        move |at: usize| f32::from(u16::try_from((at * 7919 + seed * 104_729) % 2001).unwrap());
    (0..count).map(move |at| (number(at) - 1000.0) / 512.0)
}

/// Writes the formula's weights into a checkpoint, in the order of the tensors' names.
fn set_head(tiny: &mut Tiny, width: usize, hidden: usize) {
    let tensors = [
        ("classes.bias", vec![29]),
        ("classes.weight", vec![29, hidden]),
        ("context.bias", vec![hidden]),
        ("context.weight", vec![hidden, hidden, 3]),
        ("norm.bias", vec![width]),
        ("norm.weight", vec![width]),
        ("reduce.bias", vec![hidden]),
        ("reduce.weight", vec![hidden, width]),
    ];
    for (seed, (name, shape)) in tensors.into_iter().enumerate() {
        let values = numbers(seed, shape.iter().product()).map(|x| x / 8.0).collect();
        tiny.tensors.insert(format!("alignment.{name}"), (shape, values));
    }
}

#[test]
fn log_posteriors_are_those_of_the_reference() {
    let mut tiny = Tiny::aligned();
    set_head(&mut tiny, 32, 40);
    let mut frames: Vec<f32> = numbers(8, 250 * 32).collect();
    frames[100 * 32..].fill(0.0);
    let expected: Value = serde_json::from_str(include_str!("../data/alignment.json")).unwrap();
    for (weights, set) in [(Weights::F32, "f32"), (Weights::Int8, "int8")] {
        let folder = TempDir::new().unwrap();
        let model = exported(&tiny, weights, &folder);
        let (head, _) = model.alignment().unwrap();
        let mut log = vec![0.0; head.posteriors_len()];
        head.log_posteriors(&frames, &mut log).unwrap();
        let rows: Vec<usize> = serde_json::from_value(expected["frames"].clone()).unwrap();
        let found: Vec<f32> = rows.iter().flat_map(|row| &log[row * 29..][..29]).copied().collect();
        let expected: Vec<[f32; 29]> = serde_json::from_value(expected[set].clone()).unwrap();
        let differences = found.iter().zip(expected.as_flattened()).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0.0, f32::max);
        assert!(largest < 1e-4, "{set}: {largest}");
    }
}

/// The sample recording, in [-1, 1].
fn samples() -> Vec<f32> {
    let mut reader = WavReader::open(format!("{SAMPLE}wav")).unwrap();
    let (mut samples, mut block) = (Vec::new(), [0.0; 4096]);
    while let n @ 1.. = reader.read(&mut block).unwrap() {
        samples.extend_from_slice(&block[..n]);
    }
    samples
}

fn transcript() -> Transcript {
    Transcript::open(format!("{SAMPLE}srt")).unwrap()
}

fn json(mut result: Classification) -> Value {
    result.run = None;
    serde_json::to_value(&result).unwrap()
}

#[test]
fn a_recording_with_its_transcript_has_scores_and_a_class() {
    let (wav, srt) = (format!("{SAMPLE}wav"), format!("{SAMPLE}srt"));
    let mut classifier = Classifier::new(Arc::clone(&MODEL)).unwrap();
    let mut classify = |wav: Option<&String>, srt: Option<&String>| {
        let (wav, srt) = (wav.map(AsRef::as_ref), srt.map(AsRef::as_ref));
        json(classifier.classify_file(wav, srt, &Default::default()).unwrap())
    };
    let both = classify(Some(&wav), Some(&srt));
    let integrity = &both["integrity"];
    let probabilities = integrity["probabilities"].as_object().unwrap();
    assert_eq!(probabilities.len(), 3);
    let most = probabilities[integrity["label"].as_str().unwrap()].as_f64().unwrap();
    assert!(probabilities.values().all(|p| p.as_f64().unwrap() <= most), "{integrity}");
    let cues = integrity["cues"].as_array().unwrap();
    assert_eq!(cues.iter().map(|cue| &cue["line"]).collect::<Vec<_>>(), [2, 6, 10]);
    assert_eq!((&cues[2]["start_s"], &cues[2]["end_s"]), (&json!(53.19), &json!(76.137)));
    assert!(cues.iter().all(|cue| cue["score"].is_f64()), "{integrity}");
    assert_eq!(both["warnings"], json!([]));
    for (wav, srt) in [(Some(&wav), None), (None, Some(&srt))] {
        assert_eq!(classify(wav, srt).get("integrity"), None);
    }
    assert_eq!(classify(Some(&wav), Some(&srt)), both, "nothing stays from document to document");
}

#[test]
fn scores_do_not_depend_on_how_sound_and_text_arrive() {
    let (samples, transcript) = (samples(), transcript());
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    let mut classify = |text_at: usize, block: usize| {
        session
            .start_audio(PcmFormat { sample_rate: 16_000, channels: 1 }, ChannelChoice::Mean)
            .unwrap();
        samples[..text_at].chunks(block).for_each(|block| session.push_pcm(block).unwrap());
        session.push_transcript(&transcript).unwrap();
        samples[text_at..].chunks(block).for_each(|block| session.push_pcm(block).unwrap());
        json(session.finish().unwrap())
    };
    let first = classify(0, 4096);
    // The first cue lasts 27 s, and posteriors are held for longer than that.
    for (text_at, block) in [(0, 7_919), (160_001, 100_000), (27 * 16_000, 999)] {
        assert_eq!(classify(text_at, block), first, "{text_at} in blocks of {block}");
    }
    let late = classify(samples.len(), 4096);
    let scored = |result: &Value| {
        let cues = result["integrity"]["cues"].as_array().unwrap();
        cues.iter().map(|cue| cue["score"].as_f64()).collect::<Vec<_>>()
    };
    assert_eq!(scored(&late)[..2], [None, None]);
    assert_eq!(scored(&late)[2], scored(&first)[2]);
    assert_eq!(late["warnings"][0]["code"], "cues_not_held");
    assert_eq!(late["warnings"][0]["line"], 2);
    let message = "found 2 cues that begin more than 40 s of speech before their end or their arrival; they have no integrity score";
    assert_eq!(late["warnings"][0]["message"], message);
}

#[test]
fn cues_without_times_or_words_have_no_score_and_a_warning() {
    let samples = samples();
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    let mut transcript = transcript();
    transcript.cues[1].times = None;
    transcript.cues[2].text = "…".to_owned();
    let mut classify = |cues: &[Cue]| {
        let transcript = Transcript { cues: cues.to_vec(), ..transcript.clone() };
        session.push_transcript(&transcript).unwrap();
        session
            .start_audio(PcmFormat { sample_rate: 16_000, channels: 1 }, ChannelChoice::Mean)
            .unwrap();
        session.push_pcm(&samples[..20 * 16_000]).unwrap();
        json(session.finish().unwrap())
    };
    let result = classify(&transcript.cues);
    let scores: Vec<_> =
        result["integrity"]["cues"].as_array().unwrap().iter().map(|cue| &cue["score"]).collect();
    assert!(scores[0].is_f64() && scores[1].is_null() && scores[2].is_null(), "{scores:?}");
    let warnings = result["warnings"].as_array().unwrap();
    let codes: Vec<_> = warnings.iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, ["cues_untimed", "cues_unspoken"]);

    let result = classify(&transcript.cues[1..2]);
    assert_eq!(result["integrity"]["label"], Value::Null);
    assert_eq!(result["integrity"]["probabilities"], json!({}));
}
