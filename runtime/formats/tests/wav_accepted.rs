//! Recordings that are used, as they should be or with a warning: one row each.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/reading.rs"]
mod reading;
#[path = "support/riff.rs"]
mod riff;

use hilbert_formats::WavReader;

use crate::reading::read_all;
use crate::riff::{Fmt, audio, chunk, patched, riff, sized_chunk, with_guid};

const MONO: Fmt = Fmt::integer(16);

/// Frames and warnings of a file that is used.
struct Used(&'static str, Vec<u8>, u64, &'static [&'static str]);

fn with_data_size(size: u32, audio: &[u8]) -> Vec<u8> {
    riff(&[MONO.chunk(), sized_chunk(b"data", size, audio)])
}

fn rf64(ds64: Option<(u64, u64)>, data_size: u32, samples: usize) -> Vec<u8> {
    let ds64 = ds64.map(|(riff, data)| {
        chunk(b"ds64", &[riff.to_le_bytes(), data.to_le_bytes(), [0; 8]].concat())
    });
    let data = sized_chunk(b"data", data_size, &audio(samples));
    let chunks = [ds64.unwrap_or_default(), MONO.chunk(), data].concat();
    [b"RF64\xff\xff\xff\xffWAVE".to_vec(), chunks].concat()
}

#[test]
fn irregular_recordings_are_used_with_a_warning() {
    let whole = MONO.file(&audio(5));
    let (fmt, data) = (|| MONO.chunk(), || chunk(b"data", &audio(5)));
    let ambisonic = [1, 0, 0, 0, 0x21, 7, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];
    let rows = [
        Used("a right file", whole.clone(), 5, &[]),
        Used(
            "a pad byte after an odd chunk",
            riff(&[chunk(b"LIST", b"odd"), fmt(), data()]),
            5,
            &[],
        ),
        Used(
            "a pad byte that is not zero",
            patched(riff(&[chunk(b"LIST", b"odd"), fmt(), data()]), 23, b"x"),
            5,
            &[],
        ),
        Used(
            "no pad byte after an odd chunk",
            riff(&[sized_chunk(b"LIST", 3, b"odd"), fmt(), data()]),
            5,
            &["odd_chunk_unpadded"],
        ),
        Used(
            "unknown chunks with odd names",
            riff(&[chunk(b"\xff\x1b[2", b"1234"), fmt(), chunk(b"a b ", b""), data()]),
            5,
            &[],
        ),
        Used(
            "chunks after the audio",
            riff(&[fmt(), data(), chunk(b"LIST", b"odd"), chunk(b"cue ", b"1234")]),
            5,
            &[],
        ),
        Used(
            "1 MB of metadata",
            riff(&[chunk(b"bext", &vec![7; 1_000_000]), fmt(), data()]),
            5,
            &[],
        ),
        Used(
            "a size of 0xffffffff",
            with_data_size(u32::MAX, &audio(5)),
            5,
            &["data_size_unknown"],
        ),
        Used(
            "a size of 0x7ffff000",
            with_data_size(0x7fff_f000, &audio(5)),
            5,
            &["data_size_unknown"],
        ),
        Used(
            "a size of 0x80000000",
            with_data_size(0x8000_0000, &audio(5)),
            5,
            &["data_size_unknown"],
        ),
        Used("a size of 0 and audio", with_data_size(0, &audio(5)), 5, &["data_size_unknown"]),
        Used(
            "a size of 0 and RIFF size 0",
            patched(with_data_size(0, &audio(5)), 4, &[0; 4]),
            5,
            &["data_size_unknown"],
        ),
        Used("a size of 0 and nothing", with_data_size(0, &[]), 0, &["no_audio"]),
        Used(
            "a size of 0 and a chunk",
            riff(&[fmt(), chunk(b"data", b""), chunk(b"LIST", b"text")]),
            0,
            &["no_audio"],
        ),
        Used(
            "a placeholder and nothing",
            with_data_size(u32::MAX, &[]),
            0,
            &["data_size_unknown", "no_audio"],
        ),
        Used("half of the audio", whole[..whole.len() - 4].to_vec(), 3, &["truncated"]),
        Used(
            "a cut in a sample",
            whole[..whole.len() - 3].to_vec(),
            3,
            &["partial_frame", "truncated"],
        ),
        Used(
            "a header of 44 bytes that claims 4 GiB",
            with_data_size(0xffff_fff0, &[]),
            0,
            &["truncated", "no_audio"],
        ),
        Used(
            "a size that is no multiple of a frame",
            riff(&[fmt(), chunk(b"data", &audio(5)[..9])]),
            4,
            &["partial_frame"],
        ),
        Used(
            "a cut in a stereo frame",
            Fmt { channels: 2, ..MONO }.file(&audio(5)),
            2,
            &["partial_frame"],
        ),
        Used("a RIFF size too small", patched(whole.clone(), 4, &[20, 0, 0, 0]), 5, &["riff_size"]),
        Used("a RIFF size too large", patched(whole.clone(), 4, &[0, 1, 0, 0]), 5, &["riff_size"]),
        Used("a RIFF size of 0", patched(whole.clone(), 4, &[0; 4]), 5, &[]),
        Used("a RIFF size of 0xffffffff", patched(whole.clone(), 4, &[0xff; 4]), 5, &[]),
        Used("a byte behind the file", [whole.clone(), vec![9]].concat(), 5, &["trailing_bytes"]),
        Used(
            "bytes behind the file",
            [whole.clone(), vec![9; 100]].concat(),
            5,
            &["trailing_bytes"],
        ),
        Used(
            "a chunk behind the audio that is cut",
            [whole.clone(), sized_chunk(b"LIST", 100, b"cut")].concat(),
            5,
            &["trailing_bytes"],
        ),
        Used(
            "two recordings in one file",
            [whole.clone(), whole.clone()].concat(),
            5,
            &["second_file"],
        ),
        Used("two data chunks", riff(&[fmt(), data(), data()]), 5, &["second_data_chunk"]),
        Used("two equal fmt chunks", riff(&[fmt(), fmt(), data()]), 5, &["second_fmt_chunk"]),
        Used("a fmt chunk after the audio", riff(&[fmt(), data(), fmt()]), 5, &["late_fmt_chunk"]),
        Used(
            "a fmt chunk of 23 bytes",
            riff(&[chunk(b"fmt ", &[MONO.content(), vec![0; 7]].concat()), data()]),
            5,
            &["fmt_size"],
        ),
        Used(
            "a fmt chunk of 18 bytes whose extension lies",
            riff(&[chunk(b"fmt ", &[MONO.content(), vec![9; 2]].concat()), data()]),
            5,
            &[],
        ),
        Used("extensible", MONO.extensible(16).file(&audio(5)), 5, &[]),
        Used("extensible with 0 valid bits", MONO.extensible(0).file(&audio(5)), 5, &[]),
        Used(
            "extensible with bits below the valid ones",
            MONO.extensible(12).file(&audio(5)),
            5,
            &["unused_bits"],
        ),
        Used("extensible Ambisonic", with_guid(ambisonic), 5, &["ambisonic"]),
        Used("12 bits in 16", Fmt::integer(12).file(&[0x10, 0, 0x20, 0]), 2, &["padded_bits"]),
        Used(
            "a wrong byte rate",
            Fmt { byte_rate: Some(1), ..MONO }.file(&audio(5)),
            5,
            &["byte_rate"],
        ),
        Used(
            "24 bits low in 32 against the standard",
            Fmt::integer(32).extensible(24).file(&[1, 2, 3, 0]),
            1,
            &["low_aligned"],
        ),
        Used("64 channels", Fmt { channels: 64, ..MONO }.file(&audio(128)), 2, &[]),
        Used("192 kHz", Fmt { rate: 192_000, ..MONO }.file(&audio(5)), 5, &[]),
        Used("RF64", rf64(Some((78, 10)), u32::MAX, 5), 5, &[]),
        Used(
            "RF64 whose size is a placeholder",
            rf64(Some((u64::MAX, 0)), u32::MAX, 5),
            5,
            &["data_size_unknown"],
        ),
        Used(
            "RF64 that claims an exabyte",
            rf64(Some((1 << 60, 1 << 60)), u32::MAX, 5),
            5,
            &["truncated"],
        ),
        Used("RF64 without ds64", rf64(None, u32::MAX, 5), 5, &["data_size_unknown"]),
        Used(
            "ds64 in RIFF",
            patched(rf64(Some((0, 10)), u32::MAX, 5), 0, b"RIFF"),
            5,
            &["ds64_in_riff"],
        ),
        Used("BW64", patched(rf64(Some((78, 10)), u32::MAX, 5), 0, b"BW64"), 5, &[]),
    ];
    let mut failed = Vec::new();
    for Used(name, file, frames, warnings) in &rows {
        match read_all(file, 3) {
            Ok(read) => {
                let found = read.samples.len() as u64 / u64::from(read.format.channels);
                if found != *frames || read.warnings != *warnings {
                    failed.push(format!("{name}: {found} frames, {:?}", read.warnings));
                }
            }
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn floats_that_are_no_samples_become_silence_and_are_counted() {
    let floats = [0.5, f32::NAN, -2.0, f32::INFINITY, f32::NEG_INFINITY, 1e30, -65_536.0, 1e-42];
    let file = Fmt::float().file(&floats.map(f32::to_le_bytes).concat());
    let mut reader = WavReader::new(&file[..], "test.wav").unwrap();
    let mut block = [f32::NAN; 16];
    assert_eq!(reader.read(&mut block).unwrap(), 8);
    assert_eq!(block[..8], [0.5, 0.0, -2.0, 0.0, 0.0, 0.0, -65_536.0, 1e-42]);
    assert_eq!(reader.read(&mut block).unwrap(), 0);
    let shown: Vec<_> = reader.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["found 4 samples not finite or beyond 65536; they were read as 0 (at byte 48)"]
    );
}
