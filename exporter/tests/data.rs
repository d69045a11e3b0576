//! The tier `data`: both forms of the shipped checkpoint over all sessions of the full data, which `HILBERT_DATA` names.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: what fails ends it"
)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use hilbert_exporter::{Options, export};
use hilbert_formats::manifest::Weights;
use hilbert_formats::transcript::{Cue, CueTimes, Transcript, TranscriptFormat};
use hilbert_formats::wav::WavReader;
use hilbert_runtime::{Classification, Classifier, Model};

const SAMPLE_RATE: u32 = 16_000;

/// One line of `spoken-english/sessions.jsonl`, as far as this test reads it.
#[derive(Deserialize)]
struct Session {
    speaker: String,
    gap_s: f64,
    utterances: Vec<Utterance>,
    asr_whisper_tiny_en: Vec<Heard>,
}

#[derive(Deserialize)]
struct Utterance {
    id: String,
}

#[derive(Deserialize)]
struct Heard {
    start_s: f64,
    end_s: f64,
    text: String,
}

/// The session's utterances with silence after each, as a WAV file.
fn recording(data: &Path, session: &Session) -> Vec<u8> {
    let mut samples: Vec<i16> = Vec::new();
    for utterance in &session.utterances {
        let path =
            data.join(format!("spoken-english/audio/{}/{}.flac", session.speaker, utterance.id));
        let mut reader =
            claxon::FlacReader::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(reader.streaminfo().sample_rate, SAMPLE_RATE);
        samples.extend(reader.samples().map(|s| i16::try_from(s.unwrap()).unwrap()));
        samples
            .resize(samples.len() + (session.gap_s * f64::from(SAMPLE_RATE)).round() as usize, 0);
    }
    let bytes = u32::try_from(2 * samples.len()).unwrap();
    let mut wav = Vec::with_capacity(samples.len() * 2 + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(bytes + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&SAMPLE_RATE.to_le_bytes());
    wav.extend_from_slice(&(2 * SAMPLE_RATE).to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&bytes.to_le_bytes());
    wav.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    wav
}

fn transcript(session: &Session) -> Transcript {
    let cues = session.asr_whisper_tiny_en.iter().zip(1..);
    let cues = cues.map(|(heard, line)| Cue {
        text: heard.text.clone(),
        times: Some(CueTimes { start_s: heard.start_s, end_s: heard.end_s }),
        line,
    });
    Transcript { format: TranscriptFormat::Srt, cues: cues.collect(), warnings: Vec::new() }
}

fn labels(classification: &Classification) -> Vec<String> {
    classification.tasks.iter().map(|task| format!("{} {}", task.name, task.label)).collect()
}

#[test]
#[ignore = "needs the full data and some minutes; the tier data runs it"]
fn at_most_one_decision_in_a_hundred_differs_between_the_f32_and_the_int8_bundle() {
    let data = PathBuf::from(
        std::env::var_os("HILBERT_DATA").expect("HILBERT_DATA names the data folder"),
    );
    let checkpoint =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/spoken-english/checkpoint");
    let folder = tempfile::tempdir().unwrap();
    let mut classifiers = [Weights::F32, Weights::Int8].map(|weights| {
        let mut options = Options::default();
        options.weights = weights;
        let out = folder.path().join(format!("{weights:?}"));
        export(&checkpoint, &out, &options).unwrap();
        Classifier::new(Model::open(&out).unwrap()).unwrap()
    });
    let sessions = std::fs::read_to_string(data.join("spoken-english/sessions.jsonl")).unwrap();
    let (mut decisions, mut different) = (0, Vec::new());
    for line in sessions.lines() {
        let session: Session = serde_json::from_str(line).unwrap();
        let wav = recording(&data, &session);
        let transcript = transcript(&session);
        let [float, int8] = classifiers.each_mut().map(|classifier| {
            let reader = WavReader::new(Cursor::new(wav.as_slice()), &session.speaker).unwrap();
            labels(
                &classifier.classify(Some(reader), Some(&transcript), &Default::default()).unwrap(),
            )
        });
        decisions += float.len();
        let pairs = float.into_iter().zip(int8).filter(|(a, b)| a != b);
        different.extend(pairs.map(|(a, b)| format!("{}: f32 {a}, int8 {b}", session.speaker)));
    }
    println!("{} of {decisions} decisions differ: {different:#?}", different.len());
    assert_eq!(decisions, 208, "104 sessions with two tasks");
    assert!(100 * different.len() <= decisions, "{different:#?}");
}
