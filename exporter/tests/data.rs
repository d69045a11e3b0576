//! The slow tiers: both forms of a shipped checkpoint over all sessions of the full data, which `HILBERT_DATA` names, and over
//! synthetic consultations, as `models/reference/synthesise.py` writes them to the folder `HILBERT_CONSULTATIONS`.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: what fails ends it"
)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use hilbert_exporter::progress::silent;
use hilbert_exporter::{Options, Recipe, export};
use hilbert_formats::manifest::Weights;
use hilbert_formats::transcript::{Cue, CueTimes, Transcript, TranscriptFormat};
use hilbert_formats::wav::WavReader;
use hilbert_runtime::{Classification, Classifier, Model};

const SAMPLE_RATE: u32 = 16_000;

/// Of the consultations that are classified: one in so many.
const EVERY: usize = 8;

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

/// One line of `list.jsonl` after the first, as far as this test reads it.
#[derive(Deserialize)]
struct Consultation {
    recording: String,
    transcript: String,
    labels: BTreeMap<String, String>,
}

/// The session's utterances with silence after each, as a WAV file.
fn recording(data: &Path, session: &Session) -> Vec<u8> {
    let mut samples: Vec<i16> = Vec::new();
    for utterance in &session.utterances {
        samples.extend(flac(
            &data.join(format!("spoken-english/audio/{}/{}.flac", session.speaker, utterance.id)),
        ));
        samples
            .resize(samples.len() + (session.gap_s * f64::from(SAMPLE_RATE)).round() as usize, 0);
    }
    wav(&samples)
}

fn flac(path: &Path) -> Vec<i16> {
    let mut reader =
        claxon::FlacReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(reader.streaminfo().sample_rate, SAMPLE_RATE);
    reader.samples().map(|s| i16::try_from(s.unwrap()).unwrap()).collect()
}

fn wav(samples: &[i16]) -> Vec<u8> {
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

/// Each task's label, as a list has them.
fn labels(classification: &Classification) -> BTreeMap<String, String> {
    classification.tasks.iter().map(|task| (task.name.clone(), task.label.clone())).collect()
}

/// The f32 form of a shipped checkpoint and its bundle.
struct Forms {
    classifiers: [Classifier; 2],
    decisions: usize,
    different: Vec<String>,
}

impl Forms {
    fn of(name: &str) -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
        let folder = tempfile::tempdir().unwrap();
        let float = folder.path().join("f32");
        let mut options = Options::default();
        options.recipe = Recipe::uniform(Weights::F32);
        export(&model.join("checkpoint"), &float, &options, &silent).unwrap();
        let classifiers = [float, model.join("bundle")]
            .map(|bundle| Classifier::new(Model::open(&bundle).unwrap()).unwrap());
        Self { classifiers, decisions: 0, different: Vec::new() }
    }

    /// What the int8 form says, compared with the other.
    fn classify(&mut self, name: &str, wav: &[u8], transcript: &Transcript) -> Classification {
        let [float, int8] = self.classifiers.each_mut().map(|classifier| {
            let reader = WavReader::new(Cursor::new(wav), name).unwrap();
            classifier.classify(Some(reader), Some(transcript), &Default::default()).unwrap()
        });
        let (expected, found) = (labels(&float), labels(&int8));
        self.decisions += expected.len();
        self.different.extend(
            expected
                .iter()
                .filter(|(task, label)| found[*task] != **label)
                .map(|(task, label)| format!("{name}: {task} f32 {label}, int8 {}", found[task])),
        );
        int8
    }

    fn summary(&self) -> String {
        format!(
            "{} of {} decisions differ: {:#?}",
            self.different.len(),
            self.decisions,
            self.different
        )
    }

    fn at_most_one_in_a_hundred_differs(&self) -> bool {
        100 * self.different.len() <= self.decisions
    }
}

fn folder(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} names no folder")).into()
}

#[test]
#[ignore = "needs the full data and some minutes; the tier data runs it"]
fn at_most_one_decision_in_a_hundred_differs_between_the_f32_and_the_int8_bundle() {
    let data = folder("HILBERT_DATA");
    let mut forms = Forms::of("spoken-english");
    let sessions = std::fs::read_to_string(data.join("spoken-english/sessions.jsonl")).unwrap();
    for line in sessions.lines() {
        let session: Session = serde_json::from_str(line).unwrap();
        forms.classify(&session.speaker, &recording(&data, &session), &transcript(&session));
    }
    assert_eq!(forms.decisions, 208, "104 sessions with two tasks");
    println!("{}", forms.summary());
    assert!(forms.at_most_one_in_a_hundred_differs());
}

#[test]
#[ignore = "needs the synthetic consultations and some minutes; the tier long runs it"]
fn documents_of_many_minutes_are_decided_alike_by_the_f32_and_the_int8_bundle() {
    let data = folder("HILBERT_CONSULTATIONS");
    let mut forms = Forms::of("consultations");
    let (mut segments, mut right) = (0, 0);
    let list = std::fs::read_to_string(data.join("list.jsonl")).unwrap();
    for line in list.lines().skip(1).step_by(EVERY) {
        let one: Consultation = serde_json::from_str(line).unwrap();
        let samples = flac(&data.join(&one.recording));
        assert!(samples.len() > 60 * SAMPLE_RATE as usize, "{}: a minute at least", one.recording);
        let transcript = Transcript::open(data.join(&one.transcript)).unwrap();
        let found = forms.classify(&one.recording, &wav(&samples), &transcript);
        segments = segments.max(found.segments.len());
        right += usize::from(labels(&found) == one.labels);
    }
    println!("{right} of {} as labelled, up to {segments} segments", forms.decisions);
    assert!(forms.decisions >= 25, "{} recordings", forms.decisions);
    println!("{}", forms.summary());
    assert!(forms.at_most_one_in_a_hundred_differs());
}
