//! A document that arrives in pieces: whichever they are, the result is that of its files.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and samples of 16 bits are whole numbers"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use hilbert_formats::{Cue, Transcript, WavReader};
use hilbert_runtime::{
    Capacities, ChannelChoice, Classification, Classifier, Model, Options, PcmFormat, Session,
};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

static MODEL: LazyLock<Arc<Model>> =
    LazyLock::new(|| Arc::new(Model::open(path("models/spoken-english/bundle")).unwrap()));

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let mut wav = WavReader::open(path("examples/data/session.wav")).unwrap();
    let format = PcmFormat { sample_rate: 16_000, channels: 1 };
    assert_eq!((wav.format().sample_rate, wav.format().channels), (16_000, 1));
    let mut samples = vec![0.0; 100 * 16_000];
    let count = wav.read(&mut samples).unwrap();
    let samples = samples[..count].iter().map(|x| (x * 32_768.0) as i16).collect();
    let cues = Transcript::open(path("examples/data/session.srt")).unwrap().cues;
    Document { format, samples, cues: recut(&cues) }
});

/// Pieces of a document.
struct Document {
    format: PcmFormat,
    samples: Vec<i16>,
    cues: Vec<Cue>,
}

fn path(from_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

/// Cues of a few words, as they come live.
fn recut(cues: &[Cue]) -> Vec<Cue> {
    let parts = cues.iter().flat_map(|cue| {
        let times = cue.times.unwrap();
        let words: Vec<&str> = cue.text.split_whitespace().collect();
        let at = |word: usize| {
            times.start_s + (times.end_s - times.start_s) * word as f64 / words.len() as f64
        };
        let starts = (0..words.len()).step_by(8);
        let part = |first: usize| {
            let last = words.len().min(first + 8);
            let times = hilbert_formats::CueTimes { start_s: at(first), end_s: at(last) };
            Cue { text: words[first..last].join(" "), times: Some(times), line: cue.line }
        };
        starts.map(part).collect::<Vec<_>>()
    });
    parts.collect()
}

fn without_run(mut classification: Classification) -> Classification {
    classification.run = None;
    classification
}

/// The document as one block after the whole transcript.
fn expected() -> Classification {
    let document = &*DOCUMENT;
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    document.cues.iter().for_each(|cue| session.push_text(cue).unwrap());
    session.start_audio(document.format, ChannelChoice::Mean).unwrap();
    session.push_pcm(&document.samples[..]).unwrap();
    without_run(session.finish().unwrap())
}

static EXPECTED: LazyLock<Classification> = LazyLock::new(expected);

#[test]
fn what_is_pushed_is_classified_as_the_files_are() {
    let transcript = Transcript::open(path("examples/data/session.srt")).unwrap();
    let mut classifier = Classifier::new(Arc::clone(&MODEL)).unwrap();
    let wav = WavReader::open(path("examples/data/session.wav")).unwrap();
    let of_files = classifier.classify(Some(wav), Some(&transcript), &Options::default()).unwrap();
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    session.start_audio(DOCUMENT.format, ChannelChoice::Mean).unwrap();
    transcript.cues.iter().for_each(|cue| session.push_text(cue).unwrap());
    DOCUMENT.samples.chunks(999).for_each(|block| session.push_pcm(block).unwrap());
    let mut pushed = without_run(session.finish().unwrap());
    assert_eq!(pushed.input.transcript, Some("cues"));
    pushed.input.transcript = Some("srt");
    assert_eq!(pushed, of_files);
}

fn on_threads(threads: usize) -> Session {
    let mut capacities = Capacities::of(MODEL.manifest());
    capacities.threads = threads;
    Session::with_capacities(Arc::clone(&MODEL), &capacities).unwrap()
}

#[test]
fn estimates_and_cues_that_come_late_are_the_same_on_any_number_of_threads() {
    let document = &*DOCUMENT;
    let seen = |threads: usize| {
        let mut session = on_threads(threads);
        session.start_audio(document.format, ChannelChoice::Mean).unwrap();
        let mut estimates = Vec::new();
        // The first cue comes when most of the recording has passed, so that it is not held any more.
        let mut cues = document.cues.iter();
        for (i, block) in document.samples.chunks(7 * 16_000).enumerate() {
            session.push_pcm(block).unwrap();
            if i > 7 {
                cues.by_ref().take(12).for_each(|cue| session.push_text(cue).unwrap());
            }
            if i % 4 == 2 {
                estimates.push(session.estimate().unwrap());
            }
        }
        (estimates, without_run(session.finish().unwrap()))
    };
    let expected = seen(1);
    let scores = &expected.1.integrity.as_ref().unwrap().cues;
    assert!(scores.iter().any(|cue| cue.score.is_none()));
    assert!(scores.iter().any(|cue| cue.score.is_some()));
    for threads in [2, 3, 64] {
        assert_eq!(seen(threads), expected, "{threads}");
    }
}

#[test]
fn threads_outside_of_their_range_are_refused() {
    for threads in [0, 65] {
        let mut capacities = Capacities::of(MODEL.manifest());
        capacities.threads = threads;
        let error = Session::with_capacities(Arc::clone(&MODEL), &capacities).unwrap_err();
        let expected = format!("capacity threads: found {threads}, expected 1 to 64");
        assert_eq!((error.code(), error.to_string()), (5, expected));
    }
}

#[test]
fn a_frame_that_is_never_whole_is_dropped_with_a_warning() {
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    let format = PcmFormat { channels: 3, ..DOCUMENT.format };
    session.start_audio(format, ChannelChoice::Only(2)).unwrap();
    let threefold: Vec<i16> = DOCUMENT.samples[..160_000].iter().flat_map(|x| [0, *x, 0]).collect();
    threefold.chunks(1000).for_each(|block| session.push_pcm(block).unwrap());
    session.push_pcm(&[7_i16, 7][..]).unwrap();
    let found = session.finish().unwrap();
    assert_eq!(found.input.duration_s, Some(10.0));
    let warning = found.warnings.iter().find(|warning| warning.code == "partial_frame").unwrap();
    assert_eq!(warning.message, "found 2 samples of a last frame of 3; they were dropped");
}

#[test]
fn text_for_which_there_is_no_room_is_refused_and_nothing_is_lost() {
    let mut capacities = Capacities::of(MODEL.manifest());
    capacities.waiting_text = 400;
    let mut session = Session::with_capacities(Arc::clone(&MODEL), &capacities).unwrap();
    session.start_audio(DOCUMENT.format, ChannelChoice::Mean).unwrap();
    let mut blocks = DOCUMENT.samples.chunks(16_000);
    let mut refused = 0;
    for cue in &DOCUMENT.cues {
        while let Err(error) = session.push_text(cue) {
            assert_eq!(error.code(), 5, "{error}");
            refused += 1;
            session.push_pcm(blocks.next().unwrap()).unwrap();
        }
    }
    assert!(refused > 10, "{refused}");
    blocks.for_each(|block| session.push_pcm(block).unwrap());
    assert_eq!(without_run(session.finish().unwrap()), *EXPECTED);
}

#[test]
fn more_cues_than_there_is_room_for_are_refused_with_the_number() {
    let mut capacities = Capacities::of(MODEL.manifest());
    capacities.cues = 3;
    let mut session = Session::with_capacities(Arc::clone(&MODEL), &capacities).unwrap();
    DOCUMENT.cues[..3].iter().for_each(|cue| session.push_text(cue).unwrap());
    let error = session.push_text(&DOCUMENT.cues[3]).unwrap_err();
    let expected = (5, "memory: found 4 cues, expected at most 3".to_owned());
    assert_eq!((error.code(), error.to_string()), expected);
    assert_eq!(session.finish().unwrap().cues.len(), 3);
    // A whole transcript makes its own room.
    let transcript = Transcript {
        format: hilbert_formats::TranscriptFormat::Srt,
        cues: DOCUMENT.cues.clone(),
        warnings: Vec::new(),
    };
    session.push_transcript(&transcript).unwrap();
    assert_eq!(session.finish().unwrap().cues.len(), DOCUMENT.cues.len());
}

#[test]
fn rows_outside_of_what_a_session_keeps_are_refused() {
    let mut capacities = Capacities::of(MODEL.manifest());
    for n_max in [0, 63, 65_537] {
        capacities.n_max = n_max;
        let error = Session::with_capacities(Arc::clone(&MODEL), &capacities).unwrap_err();
        let expected = format!("capacity n_max: found {n_max}, expected 64 to 65536");
        assert_eq!((error.code(), error.to_string()), (5, expected));
    }
}

#[test]
fn an_estimate_is_what_the_document_would_be_if_it_ended_and_changes_nothing() {
    let document = &*DOCUMENT;
    let mut session = Session::new(Arc::clone(&MODEL)).unwrap();
    let nothing = session.estimate().unwrap();
    assert_eq!((nothing.at_s, nothing.segments, nothing.modalities.len()), (0.0, 0, 0));
    assert!(nothing.tasks.is_empty());
    document.cues.iter().for_each(|cue| session.push_text(cue).unwrap());
    session.start_audio(document.format, ChannelChoice::Mean).unwrap();
    let mut at_s = 0.0;
    for block in document.samples.chunks(5 * 16_000) {
        session.push_pcm(block).unwrap();
        at_s += block.len() as f64 / 16_000.0;
        let estimate = session.estimate().unwrap();
        assert_eq!((estimate.at_s, estimate.cues), (at_s, document.cues.len() as u64));
        assert_eq!(estimate.tasks.len(), 2);
    }
    let last = session.estimate().unwrap();
    let found = without_run(session.finish().unwrap());
    assert_eq!(found, *EXPECTED);
    let segments = found.segments.len() as u64;
    assert!((segments - 1..=segments).contains(&last.segments), "one may have been open");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_result_does_not_depend_on_blocks_or_turns_or_threads(
        threads in 1_usize..6,
        blocks in prop::collection::vec((1_usize..40_000, any::<bool>()), 1..12),
        ahead_s in 0.0_f64..40.0,
    ) {
        let document = &*DOCUMENT;
        let mut session = on_threads(threads);
        session.start_audio(document.format, ChannelChoice::Mean).unwrap();
        let (mut rest, mut cues) = (&document.samples[..], document.cues.iter().peekable());
        let mut blocks = blocks.iter().cycle();
        while !rest.is_empty() {
            // Each cue before its audio is over, some sooner than others.
            let (length, is_whole) = blocks.next().unwrap();
            let (block, behind) = rest.split_at(rest.len().min(*length));
            let taken = document.samples.len() - behind.len();
            let until_s = taken as f64 / 16_000.0 + ahead_s;
            while let Some(cue) = cues.next_if(|cue| cue.times.unwrap().start_s <= until_s) {
                session.push_text(cue).unwrap();
            }
            if *is_whole {
                session.push_pcm(block).unwrap();
            } else {
                let floats: Vec<f32> = block.iter().map(|x| f32::from(*x) / 32_768.0).collect();
                session.push_pcm(&floats[..]).unwrap();
            }
            rest = behind;
        }
        prop_assert_eq!(&without_run(session.finish().unwrap()), &*EXPECTED);
    }
}
