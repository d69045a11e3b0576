//! The front end against the golden file and on the sample recording.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "helpers of tests"
)]

use std::fs;
use std::path::PathBuf;

use hilbert_formats::manifest::{Audio, Features, Segmentation, Text};
use hilbert_formats::transcript::{Cue, CueTimes};
use hilbert_formats::wav::WavReader;
use hilbert_runtime::{
    AudioStream, ChannelChoice, LogMel, PcmFormat, Segmenter, Span, TokenRow, TokenRows,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// The reference computes in single precision too.
const LOG_MEL_TOLERANCE: f32 = 1e-3;

const AUDIO: Audio = Audio { sample_rate: 16_000 };

fn path(from_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

fn read(from_root: &str) -> Vec<u8> {
    fs::read(path(from_root)).unwrap_or_else(|error| panic!("{from_root}: {error}"))
}

fn golden() -> Vec<u8> {
    read("models/spoken-english/golden.safetensors")
}

fn vocabulary() -> Vec<u8> {
    read("models/spoken-english/checkpoint/vocab.txt")
}

/// A section of the checkpoint's `config.json`.
fn config(section: &str) -> Value {
    let mut config: Value =
        serde_json::from_slice(&read("models/spoken-english/checkpoint/config.json")).unwrap();
    config[section].take()
}

fn segmentation() -> Segmentation {
    serde_json::from_value(config("segmentation")).unwrap()
}

fn log_mel() -> LogMel {
    let mut features = config("log_mel");
    let rate = features.as_object_mut().unwrap().remove("sample_rate").unwrap();
    assert_eq!(rate, AUDIO.sample_rate);
    features["kind"] = json!("log_mel");
    let features: Features = serde_json::from_value(features).unwrap();
    LogMel::new(&features, &AUDIO).unwrap()
}

fn token_rows(max_tokens: usize) -> TokenRows {
    let text =
        Text::WordPiece { vocabulary: "vocab.txt".to_owned(), max_tokens, max_word_chars: 100 };
    TokenRows::new(&text, &vocabulary()).unwrap()
}

fn session() -> Vec<f32> {
    let mut wav = WavReader::open(path("examples/data/session.wav")).unwrap();
    let (mut samples, mut block) = (Vec::new(), vec![0.0; 4096]);
    loop {
        let read = wav.read(&mut block).unwrap();
        if read == 0 {
            return samples;
        }
        samples.extend_from_slice(&block[..read]);
    }
}

fn segments(samples: &[f32]) -> Vec<(u64, u64, Vec<f32>)> {
    let mut segmenter = Segmenter::new(&segmentation(), &AUDIO).unwrap();
    let mut found = Vec::new();
    let mut collect = |span: Span<'_>| {
        if let Span::Segment(segment) = span {
            found.push((segment.start, segment.end, segment.samples.to_vec()));
        }
        Ok(())
    };
    for block in samples.chunks(1000) {
        segmenter.push(block, &mut collect).unwrap();
    }
    segmenter.finish(&mut collect).unwrap();
    found
}

/// A row as it was handed on.
#[derive(Debug, Clone, PartialEq)]
struct OwnedRow {
    tokens: Vec<i64>,
    mask: Vec<f32>,
    times: Option<CueTimes>,
}

fn rows_of(packer: &mut TokenRows, cues: &[Cue]) -> Vec<OwnedRow> {
    let mut rows = Vec::new();
    let mut collect = |row: TokenRow<'_>| {
        rows.push(OwnedRow {
            tokens: row.tokens.to_vec(),
            mask: row.mask.to_vec(),
            times: row.times,
        });
        Ok(())
    };
    for cue in cues {
        packer.push(cue, &mut collect).unwrap();
    }
    packer.finish(&mut collect).unwrap();
    rows
}

fn tensor<const N: usize, T>(
    golden: &SafeTensors<'_>,
    name: &str,
    read: impl Fn([u8; N]) -> T,
) -> Option<Vec<T>> {
    let tensor = golden.tensor(name).ok()?;
    Some(tensor.data().chunks_exact(N).map(|bytes| read(bytes.try_into().unwrap())).collect())
}

/// Names of the documents that have this input.
fn documents(golden: &SafeTensors<'_>, input: &str) -> Vec<String> {
    let named = golden
        .names()
        .into_iter()
        .filter_map(|name| name.strip_prefix("inputs/")?.strip_suffix(input));
    let mut names: Vec<String> = named.map(|name| name.trim_end_matches('/').to_owned()).collect();
    names.sort();
    names
}

#[test]
fn segments_are_those_of_the_reference() {
    let (bytes, samples) = (golden(), session());
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let names = documents(&golden, "segments");
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let range = tensor(&golden, &format!("inputs/{name}/range"), i64::from_le_bytes).unwrap();
        let expected =
            tensor(&golden, &format!("inputs/{name}/segments"), i64::from_le_bytes).unwrap();
        let found = segments(&samples[range[0] as usize..range[1] as usize]);
        let found: Vec<i64> =
            found.iter().flat_map(|(start, end, _)| [*start as i64, *end as i64]).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn log_mel_spectrograms_are_those_of_the_reference() {
    let (bytes, samples) = (golden(), session());
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let mut log_mel = log_mel();
    let mut failures = Vec::new();
    for name in documents(&golden, "log_mel") {
        let range = tensor(&golden, &format!("inputs/{name}/range"), i64::from_le_bytes).unwrap();
        let expected =
            tensor(&golden, &format!("inputs/{name}/log_mel"), f32::from_le_bytes).unwrap();
        let found = segments(&samples[range[0] as usize..range[1] as usize]);
        let mut rest = &expected[..];
        for (i, (_, _, segment)) in found.iter().enumerate() {
            let found = log_mel.compute(segment).unwrap().values;
            let (expected, tail) = rest.split_at(found.len());
            let difference =
                found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{name}, segment {i}: log-mel differs by at most {difference:.1e}");
            if difference.is_nan() || difference > LOG_MEL_TOLERANCE {
                failures.push(format!("{name}, segment {i}: differs by {difference}"));
            }
            rest = tail;
            if rest.is_empty() {
                break; // some documents keep their first segments only
            }
        }
        assert!(rest.is_empty(), "{name}: {} values were not compared", rest.len());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn token_rows_are_those_of_the_reference() {
    let bytes = golden();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let names = documents(&golden, "cues_json");
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let cues =
            tensor(&golden, &format!("inputs/{name}/cues_json"), |[byte]: [u8; 1]| byte).unwrap();
        let cues: Vec<Value> = serde_json::from_slice(&cues).unwrap();
        let cues: Vec<Cue> = cues
            .iter()
            .map(|cue| {
                let times = cue["start_s"].as_f64().zip(cue["end_s"].as_f64());
                let times = times.map(|(start_s, end_s)| CueTimes { start_s, end_s });
                Cue { text: cue["text"].as_str().unwrap().to_owned(), times, line: 1 }
            })
            .collect();
        let expected =
            tensor(&golden, &format!("inputs/{name}/tokens"), i64::from_le_bytes).unwrap();
        let mask =
            tensor(&golden, &format!("inputs/{name}/token_mask"), f32::from_le_bytes).unwrap();
        let times =
            tensor(&golden, &format!("inputs/{name}/cue_times"), f64::from_le_bytes).unwrap();
        let rows = rows_of(&mut token_rows(expected.len() * 2 / times.len()), &cues);
        assert_eq!(
            rows.iter().flat_map(|row| row.tokens.clone()).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
        assert_eq!(
            rows.iter().flat_map(|row| row.mask.clone()).collect::<Vec<_>>(),
            mask,
            "{name}"
        );
        let bits = |time: f64| if time.is_nan() { f64::NAN.to_bits() } else { time.to_bits() };
        let found = rows
            .iter()
            .flat_map(|row| row.times.map_or([f64::NAN; 2], |times| [times.start_s, times.end_s]));
        assert_eq!(
            found.map(bits).collect::<Vec<_>>(),
            times.into_iter().map(bits).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

#[test]
fn a_recording_at_another_rate_gives_nearly_the_same_segments() {
    let samples = session();
    let mut up = AudioStream::new(
        PcmFormat { sample_rate: 16_000, channels: 1 },
        ChannelChoice::Mean,
        &Audio { sample_rate: 44_100 },
    )
    .unwrap();
    let stereo = PcmFormat { sample_rate: 44_100, channels: 2 };
    let mut down = AudioStream::new(stereo, ChannelChoice::Only(2), &AUDIO).unwrap();
    let mut back = Vec::new();
    let mut collect = |block: &[f32]| {
        back.extend_from_slice(block);
        Ok(())
    };
    let mut to_stereo = |block: &[f32]| {
        let stereo: Vec<f32> = block.iter().flat_map(|&sample| [0.0, sample]).collect();
        down.push(&stereo[..], &mut collect)
    };
    up.push(&samples[..], &mut to_stereo).unwrap();
    up.finish(&mut to_stereo).unwrap();
    down.finish(&mut collect).unwrap();
    assert_eq!(back.len(), samples.len());
    let (found, expected) = (segments(&back), segments(&samples));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.0.abs_diff(expected.0) <= 320 && found.1.abs_diff(expected.1) <= 320);
    }
}
