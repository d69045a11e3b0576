//! Samples against hound, and properties of reading in blocks.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/reading.rs"]
mod reading;
#[path = "support/riff.rs"]
mod riff;

use std::io::Read;

use hilbert_formats::{Encoding, WavReader};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::reading::read_all;
use crate::riff::{Fmt, audio, chunk, riff};

const GOOD: [(&str, Fmt); 12] = [
    ("8-bit", Fmt::integer(8)),
    ("16-bit", Fmt::integer(16)),
    ("24-bit", Fmt::integer(24)),
    ("32-bit", Fmt::integer(32)),
    ("24 bits low in 32", Fmt { container: 4, ..Fmt::integer(24) }),
    ("float", Fmt::float()),
    ("extensible 8-bit", Fmt::integer(8).extensible(8)),
    ("extensible 16-bit", Fmt::integer(16).extensible(16)),
    ("extensible 24-bit", Fmt::integer(24).extensible(24)),
    ("extensible 32-bit", Fmt::integer(32).extensible(32)),
    ("extensible 24 bits low in 32", Fmt { container: 4, ..Fmt::integer(24) }.extensible(24)),
    ("extensible float", Fmt::float().extensible(32)),
];

/// Bytes of which every sample is one, also as a float.
fn bytes_of(fmt: &Fmt, frames: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    };
    let float = fmt.tag == 3 || matches!(fmt.extension, Some((_, 3)));
    let samples = frames * usize::from(fmt.channels);
    let one = |word: u32| {
        if float { (word as f32 / 2e9 - 1.0).to_le_bytes() } else { word.to_le_bytes() }
    };
    (0..samples).flat_map(|_| one(next())[..usize::from(fmt.container)].to_vec()).collect()
}

fn hound_samples(file: &[u8]) -> Vec<f32> {
    let mut reader = hound::WavReader::new(file).unwrap();
    let spec = reader.spec();
    match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().map(Result::unwrap).collect(),
        hound::SampleFormat::Int => {
            let scale = 2f64.powi(i32::from(spec.bits_per_sample) - 1);
            reader.samples::<i32>().map(|s| narrowed(f64::from(s.unwrap()) / scale)).collect()
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is meant")]
fn narrowed(sample: f64) -> f32 {
    sample as f32
}

#[test]
fn every_good_format_has_hounds_samples() {
    let mut failed = Vec::new();
    for (name, fmt) in GOOD {
        for channels in [1, 2, 5] {
            let fmt = Fmt { channels, ..fmt };
            // More than one buffer.
            let file = fmt.file(&bytes_of(&fmt, 20_000, 7));
            let ours = read_all(&file, 1000).unwrap();
            if ours.samples != hound_samples(&file) || !ours.warnings.is_empty() {
                failed.push(format!("{name}, {channels} channels: {:?}", ours.warnings));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn full_scale_is_one() {
    let rows: [(&str, Fmt, &[u8], &[f32]); 5] = [
        ("8-bit", Fmt::integer(8), &[0, 128, 255], &[-1.0, 0.0, 127.0 / 128.0]),
        ("16-bit", Fmt::integer(16), &[0, 0x80, 0xff, 0x7f], &[-1.0, 32_767.0 / 32_768.0]),
        ("24-bit", Fmt::integer(24), &[0, 0, 0x80, 0, 0, 0x40], &[-1.0, 0.5]),
        ("32-bit", Fmt::integer(32), &[0, 0, 0, 0x80, 0, 0, 0, 0x40], &[-1.0, 0.5]),
        (
            "24 bits low in 32",
            Fmt { container: 4, ..Fmt::integer(24) },
            &[0, 0, 0x80, 0xff, 0, 0, 0x40, 0],
            &[-1.0, 0.5],
        ),
    ];
    for (name, fmt, bytes, expected) in rows {
        assert_eq!(read_all(&fmt.file(bytes), 8).unwrap().samples, expected, "{name}");
    }
}

#[test]
fn extensible_24_bits_in_32_are_found_high_or_low() {
    let fmt = Fmt::integer(32).extensible(24);
    let silence = vec![0; 4 * 20_000];
    let rows: [(&str, &[u8], f32, &[&str]); 4] = [
        ("high, as the standard asks", &[0, 0, 0, 0x40], 0.5, &[]),
        ("low", &[1, 0, 0x40, 0], 4_194_305.0 / 8_388_608.0, &["low_aligned"]),
        ("low and signed", &[0xff, 0xff, 0xff, 0xff], -1.0 / 8_388_608.0, &["low_aligned"]),
        ("32 bits after all", &[1, 0, 0, 0x40], 0.5, &["unused_bits"]),
    ];
    for (name, sample, expected, warnings) in rows {
        let file = fmt.file(&[silence.as_slice(), sample].concat());
        for block in [1, 333, 40_000] {
            let read = read_all(&file, block).unwrap();
            assert_eq!(read.samples.last(), Some(&expected), "{name}");
            assert_eq!(read.warnings, warnings, "{name}");
        }
    }
}

#[test]
fn the_format_is_as_the_header_says() {
    let fmt = Fmt { channels: 3, rate: 44_100, ..Fmt::integer(24) };
    let format = read_all(&fmt.file(&[0; 90]), 4).unwrap().format;
    assert_eq!(
        (format.sample_rate, format.channels, format.bits, format.valid_bits),
        (44_100, 3, 24, 24)
    );
    assert_eq!((format.encoding, format.declared_frames), (Encoding::Integer, Some(10)));
}

/// Hands out a few bytes at a time, as a pipe does.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.1);
        self.0.read(&mut buffer[..count])
    }
}

fn good_format() -> impl Strategy<Value = Fmt> {
    (0..GOOD.len(), 1u16..=4).prop_map(|(i, channels)| Fmt { channels, ..GOOD[i].1 })
}

proptest! {
    #[test]
    fn any_block_size_gives_the_same_samples(
        fmt in good_format(), frames in 0usize..30_000, block in 1usize..40_000, seed in any::<u32>(),
    ) {
        let file = fmt.file(&bytes_of(&fmt, frames, seed));
        let whole = read_all(&file, 30_000).unwrap();
        prop_assert_eq!(whole.samples.len(), frames * usize::from(fmt.channels));
        prop_assert!(read_all(&file, block).unwrap() == whole);
    }

    #[test]
    fn a_pipe_gives_what_a_file_gives(fmt in good_format(), frames in 0usize..500, chunk in 1usize..50) {
        let file = fmt.file(&bytes_of(&fmt, frames, 1));
        let mut reader = WavReader::new(Trickle(&file, chunk), "pipe").unwrap();
        let mut block = vec![0.0; 4000];
        let read = reader.read(&mut block).unwrap();
        prop_assert!(block[..read] == read_all(&file, 500).unwrap().samples);
    }

    #[test]
    fn mutated_files_are_errors_or_samples(
        fmt in good_format(),
        changes in proptest::collection::vec((0usize..140, prop_oneof![any::<u8>(), Just(0), Just(0xff)]), 1..12),
        cut in 0usize..300,
    ) {
        let list = chunk(b"LIST", b"INFOISFT\x05\0\0\0mkwav");
        let mut file = riff(&[list.clone(), fmt.chunk(), chunk(b"data", &bytes_of(&fmt, 16, 3)), list]);
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        file.truncate(file.len().saturating_sub(cut.saturating_sub(100)));
        if let Ok(read) = read_all(&file, 7) {
            prop_assert!(read.samples.iter().all(|s| s.is_finite()));
            prop_assert!(read.samples.len() <= file.len());
        }
    }

    #[test]
    fn random_bytes_are_errors_or_samples(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_all(&bytes, 16);
        let _ = read_all(&[b"RIFF\0\0\0\0WAVE".to_vec(), bytes].concat(), 16);
    }
}

#[test]
fn every_prefix_is_an_error_or_a_prefix_of_the_samples() {
    let fmt = Fmt { channels: 2, ..Fmt::integer(16) }.extensible(16);
    let file = riff(&[
        chunk(b"LIST", b"odd"),
        fmt.chunk(),
        chunk(b"data", &audio(40)),
        chunk(b"cue ", b"text"),
    ]);
    let whole = read_all(&file, 64).unwrap().samples;
    let mut longest = 0;
    for length in 0..=file.len() {
        let Ok(read) = read_all(&file[..length], 3) else { continue };
        assert!(whole.starts_with(&read.samples), "{length}");
        assert!(read.samples.len() >= longest, "{length}: more bytes, fewer samples");
        longest = read.samples.len();
    }
    assert_eq!(longest, whole.len());
}
