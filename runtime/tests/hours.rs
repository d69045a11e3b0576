//! Hours of speech: memory as after a minute, times to the sample, the same speed to the end.
//!
//! An hour in every run; `HILBERT_HOURS` of them, and files beyond 4 GiB, where ignored tests are asked for.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking, this one tells what it measures, and its numbers are small"
)]

#[path = "memory/counting.rs"]
mod counting;

use std::fs;
use std::io::{self, Read, Write, pipe};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use hilbert_formats::{WavReader, wav::RawFormat};
use hilbert_runtime::{Capacities, Classification, Classifier, Model, Options, Session};

use crate::counting::Count;

const RATE: usize = 16_000;
/// Samples of a level frame: a loop of whole ones is cut alike each time.
const FRAME: usize = 160;
/// More resident memory than after a minute, bytes.
const RESIDENT: u64 = 256 << 10;

fn path(from_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

/// A piece of real speech, 16-bit mono, that is played over and over.
fn speech() -> Vec<i16> {
    let mut wav = WavReader::open(path("examples/data/session.wav")).unwrap();
    let mut samples = vec![0.0; 100 * RATE];
    let count = wav.read(&mut samples).unwrap() / FRAME * FRAME;
    samples[..count].iter().map(|x| (x * 32_768.0) as i16).collect()
}

/// The first `bytes` of a clip in a loop.
struct Looped {
    clip: Vec<u8>,
    at: u64,
    bytes: u64,
}

impl Read for Looped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(self.at % self.clip.len() as u64).unwrap();
        let left = usize::try_from(self.bytes - self.at).unwrap_or(usize::MAX);
        let count = buffer.len().min(self.clip.len() - from).min(left);
        buffer[..count].copy_from_slice(&self.clip[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

fn looped(samples: impl Iterator<Item = i16>, bytes: u64) -> Looped {
    Looped { clip: samples.flat_map(i16::to_le_bytes).collect(), at: 0, bytes }
}

/// `VmHWM`, where the system has `/proc`.
fn peak_resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().unwrap() << 10)
}

/// What was seen of a recording on its way.
struct Seen {
    classification: Classification,
    /// Live heap and peak resident memory after a minute, when two had been classified before, and at the end.
    live: [usize; 2],
    resident: Option<[u64; 2]>,
    /// Peak heap after the first minute, bytes.
    peak: usize,
    /// Seconds of computing for each hour of the recording.
    hours: Vec<f64>,
}

/// Classifies a recording and looks at memory and time meanwhile.
fn seen<R: Read>(recording: WavReader<R>, n_max: usize) -> Seen {
    let count = Count::start();
    let model = Model::open(path("models/spoken-english/bundle")).unwrap();
    let mut capacities = Capacities::of(model.manifest()).with_transcript(None);
    capacities.n_max = n_max;
    let mut classifier = Classifier::with_capacities(model, &capacities).unwrap();
    // Two minutes first, to their result, so that every page that a document needs is there.
    let short = looped(speech().into_iter(), 2 * 120 * RATE as u64);
    let format: RawFormat = "s16le:16000:1".parse().unwrap();
    let short = WavReader::raw(short, "two minutes", format).unwrap();
    classifier.classify(Some(short), None, &Options::default()).unwrap();
    let (mut early, mut late) = (None, None);
    let (mut hours, mut began) = (Vec::with_capacity(64), Instant::now());
    let observe = |session: &mut Session| {
        let now = (count.live(), peak_resident());
        if session.taken_s() >= 60.0 && early.is_none() {
            early = Some(now);
            // From here on: the clip of before is gone.
            count.peak();
        }
        late = Some(now);
        if session.taken_s() >= 3600.0 * (hours.len() + 1) as f64 {
            hours.push(began.elapsed().as_secs_f64());
            began = Instant::now();
        }
        Ok(ControlFlow::Continue(()))
    };
    let classification =
        classifier.classify_observed(Some(recording), None, &Options::default(), observe).unwrap();
    let (early, late) = (early.unwrap(), late.unwrap());
    let resident = early.1.zip(late.1).map(|(early, late)| [early, late]);
    let (live, peak) = ([early.0, late.0], count.peak());
    Seen { classification, live, resident, peak, hours }
}

/// `hours` of looped speech through a pipe of the system.
fn through_a_pipe(hours: f64, n_max: usize) -> Seen {
    let (reader, mut writer) = pipe().unwrap();
    let bytes = (hours * 3600.0 * RATE as f64) as u64 * 2;
    let mut speech = looped(speech().into_iter(), bytes);
    let writes = thread::spawn(move || {
        let mut block = vec![0; 9_999];
        while let count @ 1.. = speech.read(&mut block).unwrap() {
            writer.write_all(&block[..count]).unwrap();
        }
        // What is freed now is not counted as the session's.
        (speech, block)
    });
    let format: RawFormat = "s16le:16000:1".parse().unwrap();
    let seen = seen(WavReader::raw(reader, "a pipe", format).unwrap(), n_max);
    writes.join().unwrap();
    seen
}

fn check_memory(what: &str, seen: &Seen) {
    let Seen { live: [early, late], resident, peak, hours, .. } = seen;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let shown = resident.map(|[early, late]| format!("{:.2} and {:.2} MiB", mib(early), mib(late)));
    println!(
        "{what}: live heap {early} and {late} bytes, peak {peak}, peak resident {}, seconds an hour {hours:.2?}",
        shown.unwrap_or_default()
    );
    // The thread that writes may have ended meanwhile.
    assert!(late <= early, "{what}: live heap grew from {early} to {late} bytes");
    if let Some([early, late]) = resident {
        assert!(late - early <= RESIDENT, "{what}: {early} and {late} bytes resident");
    }
}

/// Rows that hold one segment each lie, as far as the last loops go, where those of the second loop lie.
fn check_times(seen: &Seen) {
    let loop_s = speech().len() as f64 / RATE as f64;
    let few = through_a_pipe(4.0 * loop_s / 3600.0, 512);
    // Times within a loop, in samples.
    let in_loop = |seconds: f64| {
        let samples = (seconds * RATE as f64).round();
        (samples % (loop_s * RATE as f64), seconds)
    };
    let expected: Vec<_> =
        few.classification.segments.iter().map(|one| in_loop(one.start_s).0).collect();
    let duration_s = seen.classification.input.duration_s.unwrap();
    let last = seen.classification.segments.iter().rev().take(20);
    let single: Vec<_> = last.filter(|one| one.merged == 1 && one.end_s < duration_s).collect();
    assert!(single.len() >= 5, "{}", single.len());
    for segment in single {
        let (place, start_s) = in_loop(segment.start_s);
        assert!(expected.contains(&place), "a segment at {start_s} s, {place} of its loop");
        let samples = segment.start_s * RATE as f64;
        assert!((samples - samples.round()).abs() < 1e-5, "{start_s} s is no whole sample");
    }
}

#[test]
fn an_hour_through_a_pipe_takes_the_memory_of_minutes_and_tells_times_to_the_sample() {
    // Few enough rows for neighbours to merge all the time.
    let seen = through_a_pipe(1.0, 64);
    check_memory("an hour", &seen);
    assert_eq!(seen.classification.segments.len(), 64);
    assert_eq!(seen.classification.input.duration_s, Some(3600.0));
    let segments: u32 = seen.classification.segments.iter().map(|one| one.merged).sum();
    assert!(segments > 400, "{segments}");
    check_times(&seen);
}

#[test]
#[ignore = "takes minutes; HILBERT_HOURS says how many of them, 24 by default"]
fn a_day_through_a_pipe_takes_the_memory_of_minutes_and_the_time_of_its_hours() {
    let hours = std::env::var("HILBERT_HOURS").map_or(24.0, |hours| hours.parse().unwrap());
    let seen = through_a_pipe(hours, 512);
    check_memory(&format!("{hours} hours"), &seen);
    assert_eq!(seen.classification.input.duration_s, Some(3600.0 * hours));
    check_times(&seen);
}

/// A header of 48 kHz, two channels, 16 bits.
fn header(id: &[u8; 4], ds64: Option<u64>, data: u32) -> Vec<u8> {
    let mut header = [&id[..], &u32::MAX.to_le_bytes(), b"WAVE"].concat();
    if let Some(bytes) = ds64 {
        header.extend(b"ds64\x1c\0\0\0");
        header.extend((bytes + 72).to_le_bytes());
        header.extend(bytes.to_le_bytes());
        header.extend([0; 12]);
    }
    header.extend(b"fmt \x10\0\0\0\x01\0\x02\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x10\0data");
    header.extend(data.to_le_bytes());
    header
}

#[test]
#[ignore = "writes two files of more than 4 GiB, one after the other, and takes minutes"]
fn files_beyond_4_gib_are_read_to_their_end() {
    let bytes: u64 = (1 << 32) + 48_000 * 4 * 60;
    let folder = tempfile::tempdir_in(path("target")).unwrap();
    let file = folder.path().join("long.wav");
    let unknown = header(b"RIFF", None, u32::MAX);
    let rf64 = header(b"RF64", Some(bytes), u32::MAX);
    let mut results = Vec::new();
    for (what, header) in [("of unknown length", unknown), ("RF64", rf64)] {
        let mut writer = fs::File::create(&file).unwrap();
        writer.write_all(&header).unwrap();
        // Three times 16 kHz, in both channels.
        let clip = speech().into_iter().flat_map(|x| [x; 6]);
        io::copy(&mut looped(clip, bytes), &mut writer).unwrap();
        let seen = seen(WavReader::open(&file).unwrap(), 512);
        check_memory(what, &seen);
        let mut result = seen.classification;
        assert_eq!(result.input.duration_s, Some((bytes / 4) as f64 / 48e3));
        result
            .warnings
            .retain(|warning| !["data_size_unknown", "riff_size"].contains(&warning.code));
        results.push(result);
    }
    assert_eq!(results[0], results[1]);
}
