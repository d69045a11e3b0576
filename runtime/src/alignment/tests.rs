//! Cues against posteriors that say something: the reference's fits, and when a cue is scored.

use hilbert_formats::manifest::{self, ALPHABET, Audio, Features};
use hilbert_formats::{Cue, CueTimes};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AlignedCue, Alignment, DocumentAlignment, NotAligned};

/// Samples of one frame at 16 kHz: 40 ms.
const FRAME: usize = 640;
const CLASSES: usize = manifest::Alignment::CLASSES;

/// A part of the table that `runtime/tests/data/alignment.py` writes.
pub(super) fn reference(part: &str) -> Vec<Value> {
    let table = include_str!("../../tests/data/alignment.json");
    let mut table: Value = serde_json::from_str(table).unwrap();
    serde_json::from_value(table[part].take()).unwrap()
}

fn alignment() -> Alignment {
    let constants = json!({
        "frames": 250, "width": 384, "alphabet": ALPHABET, "margin_s": 0.3, "worst_fit": -20.0,
        "integrity": {
            "labels": ["intact", "partly_swapped", "all_swapped"],
            "cue": {"weight": -1.5, "bias": -4.0},
            "document": {
                "summaries": ["mean", "smallest", "largest"],
                "weight": [[-0.5, 0.0, -0.125], [0.0, -0.25, 0.0625], [0.25, 0.25, 0.0]],
                "bias": [1.0, 0.0, -1.0],
            },
        },
    });
    let features = json!({
        "kind": "log_mel", "n_fft": 400, "hop": 160, "n_mels": 80, "frames": 1000,
        "floor": 1e-10, "dynamic_range": 8.0, "offset": 4.0, "scale": 4.0,
    });
    let constants: manifest::Alignment = serde_json::from_value(constants).unwrap();
    let features: Features = serde_json::from_value(features).unwrap();
    Alignment::new(&constants, &features, &Audio { sample_rate: 16_000 }).unwrap()
}

fn cue(text: &str, times: Option<(f64, f64)>) -> Cue {
    let times = times.map(|(start_s, end_s)| CueTimes { start_s, end_s });
    Cue { text: text.to_owned(), times, line: 7 }
}

/// Room for more than any test pushes.
fn document_of(alignment: &Alignment) -> DocumentAlignment {
    alignment.document(1 << 16, 100)
}

fn push_cues(alignment: &Alignment, document: &mut DocumentAlignment, cues: &[Cue]) {
    for cue in cues {
        document.check(cue).unwrap();
        alignment.push_cue(document, cue);
    }
}

/// Frames that say a text: two of each character and one of the blank after them.
fn says(text: &str, sure: f32) -> Vec<f32> {
    let other = ((1.0 - sure) / (CLASSES - 1) as f32).ln();
    let class = |c: char| 1 + ALPHABET.find(c).unwrap();
    let classes = text.chars().flat_map(|c| [class(c), class(c), 0]);
    classes
        .flat_map(|said| (0..CLASSES).map(move |c| if c == said { sure.ln() } else { other }))
        .collect()
}

fn push_speech(alignment: &Alignment, document: &mut DocumentAlignment, start: usize, text: &str) {
    let log = says(text, 0.9);
    alignment.push_segment(document, start as u64, log.len() / CLASSES * FRAME, &log);
}

#[test]
fn the_fit_of_a_cue_is_that_of_the_reference() {
    let alignment = alignment();
    let mut document = document_of(&alignment);
    for case in reference("cues") {
        document.clear();
        push_cues(
            &alignment,
            &mut document,
            &[cue(case["text"].as_str().unwrap(), Some((0.0, 99.0)))],
        );
        push_speech(&alignment, &mut document, 0, case["said"].as_str().unwrap());
        alignment.finish(&mut document);
        match (document.cues()[0].fit, case["fit"].as_f64()) {
            (Ok(found), Some(expected)) => {
                // The frames of the reference are written in decimals.
                assert!((found - expected).abs() < 1e-5, "{found}: {case}");
            }
            (found, expected) => {
                assert_eq!((found.err(), expected), (Some(NotAligned::Unspoken), None), "{case}");
            }
        }
    }
}

#[test]
fn a_cue_is_scored_as_soon_as_the_audio_has_passed_its_end_and_margin() {
    let alignment = alignment();
    let mut document = document_of(&alignment);
    // 2 s of 40 ms frames say 16 characters and two frames of the next.
    push_cues(
        &alignment,
        &mut document,
        &[cue("hello hello", Some((0.0, 1.32))), cue("by", Some((1.3, 2.0)))],
    );
    push_speech(&alignment, &mut document, 0, "hello hello by");
    let first = document.cues()[0].fit;
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(document.cues()[1].fit, Err(NotAligned::NotHeld), "it waits");
    alignment.finish(&mut document);
    assert!(document.cues()[1].fit.is_ok());
}

#[test]
fn cues_that_cannot_be_scored_say_why() {
    let alignment = alignment();
    let sentence = "a sentence of some length that is said again and again";
    let sentence_s = (3 * sentence.len() * FRAME) as f64 / 16e3;
    let mut document = document_of(&alignment);
    let early = [
        cue(sentence, None),
        cue("...", Some((0.0, sentence_s))),
        cue(sentence, Some((0.0, 41.0 + sentence_s))),
        // Little of it is speech.
        cue(sentence, Some((31.0, 99.0))),
    ];
    push_cues(&alignment, &mut document, &early);
    for i in 0..9 {
        push_speech(&alignment, &mut document, 3 * i * sentence.len() * FRAME, sentence);
    }
    let begins_s = 9.0 * sentence_s;
    let late = [
        cue(sentence, Some((begins_s - 39.0, begins_s - 39.0 + sentence_s))),
        cue(sentence, Some((begins_s - 41.0, begins_s - 41.0 + sentence_s))),
    ];
    push_cues(&alignment, &mut document, &late);
    alignment.finish(&mut document);
    let found: Vec<_> = document.cues().iter().map(|cue| cue.fit.err()).collect();
    let expected = [
        Some(NotAligned::Untimed),
        Some(NotAligned::Unspoken),
        Some(NotAligned::NotHeld),
        None,
        None,
        Some(NotAligned::NotHeld),
    ];
    assert_eq!(found, expected);
    assert_eq!(document.cues()[0].line, 7);
    let probabilities = alignment.probabilities(document.cues()).unwrap();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let unscored: Vec<AlignedCue> =
        document.cues().iter().filter(|c| c.fit.is_err()).copied().collect();
    assert_eq!(alignment.probabilities(&unscored), None);
}

#[test]
fn a_text_longer_than_what_is_held_has_the_worst_fit() {
    let alignment = alignment();
    let mut document = document_of(&alignment);
    push_cues(&alignment, &mut document, &[cue(&"hello ".repeat(200), Some((0.0, 9.0)))]);
    push_speech(&alignment, &mut document, 0, "hello");
    alignment.finish(&mut document);
    assert_eq!(document.cues()[0].fit, Ok(-20.0));
}

#[test]
fn text_that_waits_and_cues_are_bounded_and_text_makes_room_once_its_audio_has_passed() {
    let alignment = alignment();
    let mut document = alignment.document(10, 4);
    let hello = |start_s| cue("hello", Some((start_s, start_s + 0.6)));
    push_cues(&alignment, &mut document, &[hello(0.0), hello(0.6)]);
    let message = |document: &DocumentAlignment, cue: &Cue| {
        document.check(cue).map_err(|e| (e.code(), e.to_string()))
    };
    let full = "memory: found 15 bytes of text that wait for their audio, expected at most 10";
    assert_eq!(message(&document, &hello(1.2)), Err((5, full.to_owned())));
    push_cues(&alignment, &mut document, &[cue("untimed text does not wait", None)]);
    push_speech(&alignment, &mut document, 0, "hello hello");
    push_cues(&alignment, &mut document, &[hello(1.2)]);
    let many = "memory: found 5 cues, expected at most 4";
    assert_eq!(message(&document, &cue("", None)), Err((5, many.to_owned())));
    // A transcript that is known beforehand has the room that it needs, and the next document the first one's.
    let transcript = [cue("a long sentence", Some((2.0, 3.0))), cue("b", None)];
    document.make_room(&transcript);
    push_cues(&alignment, &mut document, &transcript);
    assert_eq!(document.cues().len(), 6);
    document.clear();
    assert_eq!(message(&document, &transcript[0]), Err((5, full.to_owned())));
}

#[test]
fn frames_so_short_that_too_many_would_be_held_are_refused() {
    let constants = alignment().constants;
    let features = json!({
        "kind": "log_mel", "n_fft": 400, "hop": 1, "n_mels": 80, "frames": 4800,
        "floor": 1e-10, "dynamic_range": 8.0, "offset": 4.0, "scale": 4.0,
    });
    let features: Features = serde_json::from_value(features).unwrap();
    let constants = manifest::Alignment { frames: 4800, ..constants };
    let error = Alignment::new(&constants, &features, &Audio { sample_rate: 48_000 }).unwrap_err();
    assert_eq!(error.code(), 3);
    assert!(
        error.to_string().contains("found 1920000 frames in 40 s, expected at most 144631"),
        "{error}"
    );
}

/// Segments that say something, with a pause before each, and cues anywhere.
fn documents() -> impl Strategy<Value = (Vec<(usize, String)>, Vec<Cue>)> {
    let segments = prop::collection::vec((0..40_usize, "[a-d ]{1,12}"), 1..6);
    let cues = prop::collection::vec(("[a-d0-2. ]{0,8}", 0.0..12.0, 0.0..5.0), 1..6);
    let cues = cues.prop_map(|cues| {
        let one = |(text, start_s, length_s): (String, f64, f64)| {
            cue(&text, Some((start_s, start_s + length_s)))
        };
        cues.into_iter().map(one).collect()
    });
    (segments, cues)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cues_may_come_before_between_and_after_the_segments((segments, cues) in documents(), first in 0..6_usize, after in 0..6_usize) {
        let alignment = alignment();
        let aligned = |first: usize, after: usize| {
            let mut document = document_of(&alignment);
            let (before, rest) = cues.split_at(first.min(cues.len()));
            push_cues(&alignment, &mut document, before);
            let mut start = 0;
            for (i, (pause, text)) in segments.iter().enumerate() {
                if i == after {
                    push_cues(&alignment, &mut document, rest);
                }
                start += pause * 160;
                push_speech(&alignment, &mut document, start, text);
                start += 3 * text.len() * FRAME;
            }
            if after >= segments.len() {
                push_cues(&alignment, &mut document, rest);
            }
            alignment.finish(&mut document);
            document.cues().to_vec()
        };
        prop_assert_eq!(aligned(first, after), aligned(cues.len(), 0));
    }
}
