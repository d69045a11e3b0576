//! Whole documents through the runtime: what the result says, and what is refused.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use hilbert_formats::{Cue, Transcript, TranscriptFormat, WavReader};
use hilbert_runtime::{
    ChannelChoice, Classification, Classifier, Model, Options, PcmFormat, Result, Session,
};
use serde_json::{Value, json};

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    Arc::new(
        Model::open(path("models/spoken-english/bundle")).unwrap_or_else(|error| panic!("{error}")),
    )
});

fn path(from_root: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

fn classifier() -> Classifier {
    Classifier::new(Arc::clone(&MODEL)).unwrap()
}

fn codes(classification: &Classification) -> Vec<&str> {
    classification.warnings.iter().map(|warning| warning.code).collect()
}

/// A canonical 16-bit recording.
fn wav(sample_rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let size = u32::try_from(bytes.len()).unwrap();
    let mut file = Vec::new();
    for part in [
        b"RIFF",
        &(36 + size).to_le_bytes()[..],
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &channels.to_le_bytes(),
        &sample_rate.to_le_bytes(),
        &(sample_rate * u32::from(channels) * 2).to_le_bytes(),
        &(channels * 2).to_le_bytes(),
        &16_u16.to_le_bytes(),
        b"data",
        &size.to_le_bytes(),
        &bytes,
    ] {
        file.extend_from_slice(part);
    }
    file
}

fn reader(file: &[u8]) -> Option<WavReader<&[u8]>> {
    Some(WavReader::new(file, "test").unwrap())
}

fn text(sentences: &[&str]) -> Transcript {
    let cue = |text: &&str| Cue { text: (*text).to_owned(), times: None, line: 1 };
    Transcript {
        format: TranscriptFormat::Text,
        cues: sentences.iter().map(cue).collect(),
        warnings: Vec::new(),
    }
}

const NO_RECORDING: Option<WavReader<io::Empty>> = None;

/// The first seconds of the sample recording.
fn speech(seconds: usize) -> Vec<i16> {
    let mut reader = WavReader::open(path("examples/data/session.wav")).unwrap();
    let mut block = vec![0.0; seconds * 16_000];
    let n = reader.read(&mut block).unwrap();
    assert_eq!(
        (reader.format().sample_rate, reader.format().channels, n),
        (16_000, 1, block.len())
    );
    #[expect(clippy::cast_possible_truncation, reason = "the recording has 16 bits")]
    block.iter().map(|sample| (sample * 32_768.0) as i16).collect()
}

fn classify(
    recording: &[u8],
    transcript: Option<&Transcript>,
    options: &Options,
) -> Result<Classification> {
    classifier().classify(reader(recording), transcript, options)
}

#[test]
fn a_recording_and_its_transcript_give_a_result_that_is_the_same_every_time() {
    let (wav, srt) = (path("examples/data/session.wav"), path("examples/data/session.srt"));
    let mut classifier = classifier();
    let mut json = || {
        let result = classifier.classify_file(Some(&wav), Some(&srt), &Options::default()).unwrap();
        serde_json::to_string(&result).unwrap()
    };
    let first = json();
    assert_eq!(first, json(), "the same classifier");
    let other =
        self::classifier().classify_file(Some(&wav), Some(&srt), &Options::default()).unwrap();
    assert_eq!(first, serde_json::to_string(&other).unwrap(), "another classifier");

    let result: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(result["schema"], "hilbert.result/1");
    assert_eq!(result["bundle"]["sha256"], MODEL.bundle_sha256());
    assert_eq!(result["input"]["path"], wav.to_string_lossy().as_ref());
    assert_eq!(result["input"]["transcript"], "srt");
    assert_eq!(result["modalities"], json!(["audio", "text"]));
    assert_eq!(result["warnings"], json!([]));
    assert_eq!(result.get("run"), None);
    let seconds = result["input"]["duration_s"].as_f64().unwrap();
    for (list, weight) in [("segments", "audio_weight"), ("cues", "text_weight")] {
        let rows = result[list].as_array().unwrap();
        assert!(!rows.is_empty(), "{list}");
        let sum: f64 = rows.iter().map(|row| row[weight].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{weight}: {sum}");
        let mut last = 0.0;
        for row in rows {
            let (start, end) = (row["start_s"].as_f64().unwrap(), row["end_s"].as_f64().unwrap());
            assert!(start >= last && end > start && end <= seconds + 0.001, "{list}: {row}");
            assert_eq!(row["merged"], 1);
            last = if list == "segments" { end } else { start };
        }
    }
    for (task, manifest) in result["tasks"].as_array().unwrap().iter().zip(&MODEL.manifest().tasks)
    {
        assert_eq!(task["name"], manifest.name);
        let probabilities = task["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{task}");
        let label = &task["label"];
        let largest = probabilities.values().map(|p| p.as_f64().unwrap()).fold(0.0, f64::max);
        assert!(
            (probabilities[label.as_str().unwrap()].as_f64().unwrap() - largest).abs() < 1e-9,
            "{task}"
        );
        // In the text itself: a parsed map is sorted.
        let places: Vec<_> =
            manifest.labels.iter().map(|label| first.find(&format!("\"{label}\":"))).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{places:?}");
        let gates: f64 =
            task["experts"].as_array().unwrap().iter().map(|e| e["gate"].as_f64().unwrap()).sum();
        assert!((gates - 1.0).abs() < 1e-5, "{task}");
    }
}

#[test]
fn one_modality_is_enough_and_the_result_says_which_it_was() {
    let silence = wav(16_000, 1, &[0; 48_000]);
    let spoken = wav(16_000, 1, &speech(8));
    let (words, no_words) = (text(&["I like the sea.", "It is cold."]), text(&[]));
    let unknown = text(&["\u{200b}"]);
    let of_both: &[&str] = if MODEL.alignment().is_some() { &["cues_untimed"] } else { &[] };
    type Row<'a> =
        (&'a str, Option<&'a [u8]>, Option<&'a Transcript>, &'a [&'a str], &'a [&'a str]);
    let rows: [Row<'_>; 7] = [
        ("audio", Some(&spoken), None, &["audio"], &["no_transcript"]),
        ("text", None, Some(&words), &["text"], &["no_recording"]),
        ("both", Some(&spoken), Some(&words), &["audio", "text"], of_both),
        ("silence and text", Some(&silence), Some(&words), &["text"], &["no_speech"]),
        (
            "audio and an empty transcript",
            Some(&spoken),
            Some(&no_words),
            &["audio"],
            &["no_words"],
        ),
        (
            "an empty recording and text",
            Some(&[]),
            Some(&words),
            &["text"],
            &["no_audio", "no_speech"],
        ),
        (
            "audio and a transcript of nothing",
            Some(&spoken),
            Some(&unknown),
            &["audio"],
            &["no_words"],
        ),
    ];
    let empty = wav(16_000, 1, &[]);
    let mut classifier = classifier();
    let mut failed = Vec::new();
    for (name, recording, transcript, modalities, warnings) in rows {
        let recording = recording.map(|file| if file.is_empty() { &empty[..] } else { file });
        let recording = recording.map(|file| WavReader::new(file, "test").unwrap());
        let result = classifier.classify(recording, transcript, &Options::default()).unwrap();
        let lists = (result.segments.is_empty(), result.cues.is_empty());
        let expected = (!modalities.contains(&"audio"), !modalities.contains(&"text"));
        if result.modalities != modalities || codes(&result) != warnings || lists != expected {
            failed.push(format!("{name}: {:?} {:?} {lists:?}", result.modalities, codes(&result)));
        }
        if !result.cues.iter().all(|cue| cue.start_s.is_none() && cue.end_s.is_none()) {
            failed.push(format!("{name}: untimed cues have times"));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn nothing_to_classify_is_an_error_of_the_input() {
    let silence = wav(16_000, 1, &[0; 48_000]);
    let no_words = text(&[]);
    type Row<'a> = (Option<&'a [u8]>, Option<&'a Transcript>, &'a str);
    let rows: [Row<'_>; 4] = [
        (None, None, "neither a recording nor a transcript"),
        (Some(&silence), None, "a recording without speech and no transcript"),
        (None, Some(&no_words), "a transcript without words and no recording"),
        (
            Some(&silence),
            Some(&no_words),
            "a recording without speech and a transcript without words",
        ),
    ];
    for (recording, transcript, found) in rows {
        let recording = recording.map(|file| WavReader::new(file, "test").unwrap());
        let error = classifier().classify(recording, transcript, &Options::default()).unwrap_err();
        assert_eq!(error.code(), 4);
        assert_eq!(
            error.to_string(),
            format!("nothing to classify: found {found}, expected speech or words")
        );
    }
}

#[test]
fn one_channel_alone_gives_what_it_gives_as_mono() {
    let mono = speech(8);
    let stereo: Vec<i16> = mono.iter().flat_map(|sample| [0, *sample]).collect();
    let stereo = wav(16_000, 2, &stereo);
    let mut options = Options::default();
    options.channel = Some(2);
    let of_stereo = classify(&stereo, None, &options).unwrap();
    let of_mono = classify(&wav(16_000, 1, &mono), None, &Options::default()).unwrap();
    assert_eq!((of_stereo.input.channels, of_mono.input.channels), (Some(2), Some(1)));
    assert_eq!((of_stereo.tasks, of_stereo.segments), (of_mono.tasks, of_mono.segments));
    for (channel, message) in [
        (0, "audio: found channels 1 to 2, expected a channel 0"),
        (3, "audio: found channels 1 to 2, expected a channel 3"),
    ] {
        options.channel = Some(channel);
        let error = classify(&stereo, None, &options).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (4, message));
    }
}

#[test]
fn a_document_that_failed_leaves_nothing_behind() {
    let file = wav(16_000, 1, &speech(8));
    let expected = classify(&file, None, &Options::default()).unwrap();
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    session
        .start_audio(PcmFormat { sample_rate: 16_000, channels: 1 }, ChannelChoice::Mean)
        .unwrap();
    let loud: Vec<f32> = speech(9).iter().map(|sample| f32::from(*sample) / 16_384.0).collect();
    session.push_pcm(&loud[..]).unwrap();
    session.push_transcript(&text(&["Half a sentence"])).unwrap();
    let error = session.push_pcm(&[0.0, f32::NAN][..]).unwrap_err();
    assert_eq!(error.code(), 4);
    assert_eq!(
        error.to_string(),
        "audio: found the sample NaN in frame 144001, expected at most 65536 in magnitude"
    );
    session.clear().unwrap();
    session
        .start_audio(PcmFormat { sample_rate: 16_000, channels: 1 }, ChannelChoice::Mean)
        .unwrap();
    let samples: Vec<f32> = speech(8).iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    session.push_pcm(&samples[..]).unwrap();
    let mut found = session.finish().unwrap();
    found.run = None;
    assert_eq!(found, expected);
}

#[test]
fn a_reader_that_fails_midway_is_an_error_and_the_classifier_goes_on() {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the disk is gone"));
            }
            let n = buffer.len().min(self.0);
            self.0 -= n;
            buffer[..n].fill(17);
            Ok(n)
        }
    }
    let header = wav(16_000, 1, &[0; 200_000]);
    let file = header[..44].chain(Failing(100_000));
    let mut classifier = classifier();
    let error = match WavReader::new(file, "test") {
        Ok(recording) => {
            classifier.classify(Some(recording), None, &Options::default()).unwrap_err()
        }
        Err(error) => error.into(),
    };
    assert_eq!(error.code(), 4, "{error}");
    let words = text(&["I like the sea."]);
    let after = classifier.classify(NO_RECORDING, Some(&words), &Options::default()).unwrap();
    let fresh =
        self::classifier().classify(NO_RECORDING, Some(&words), &Options::default()).unwrap();
    assert_eq!(after, fresh);
}

#[test]
fn measured_values_stand_in_the_result_on_demand_only() {
    let file = wav(16_000, 1, &speech(8));
    let mut options = Options::default();
    assert_eq!(classify(&file, None, &options).unwrap().run, None);
    options.stats = true;
    let run = classify(&file, None, &options).unwrap().run.unwrap();
    assert!(run.speech_encoder_s > 0.0 && run.total_s >= run.speech_encoder_s, "{run:?}");
    assert!(run.real_time_factor.is_some_and(|factor| factor > 0.0), "{run:?}");
}
