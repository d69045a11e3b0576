//! Recordings that are refused, with what is wrong and where: one row each.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/reading.rs"]
mod reading;
#[path = "support/riff.rs"]
mod riff;

use std::io::Read;

use hilbert_formats::{ErrorKind, WavReader};

use crate::reading::read_all;
use crate::riff::{Fmt, audio, chunk, patched, riff, sized_chunk, with_guid};

const MONO: Fmt = Fmt::integer(16);

/// A part of the message and the offset of a file that is refused.
struct Refused(&'static str, Vec<u8>, &'static str, u64);

#[test]
fn what_cannot_be_used_is_named_with_its_place() {
    let (fmt, data) = (|| MONO.chunk(), || chunk(b"data", &audio(5)));
    let codec = |tag| Fmt { tag, ..MONO }.file(&audio(5));
    let fmt_of =
        |size: usize| riff(&[chunk(b"fmt ", &MONO.extensible(16).content()[..size]), data()]);
    let cut_extension = {
        let mut content = MONO.extensible(16).content();
        content[16] = 2;
        riff(&[chunk(b"fmt ", &content), data()])
    };
    let rows = [
        Refused("empty", vec![], "empty file", 0),
        Refused("RIFF alone", b"RIFF".to_vec(), "4 bytes of the RIFF header", 4),
        Refused("zeros", vec![0; 4096], "found zeros", 0),
        Refused("text", b"hello, this is text".to_vec(), "unknown kind", 0),
        Refused("MP3", b"\xff\xfb\x90\x64\0\0\0\0\0\0\0\0\0\0".to_vec(), "MP3", 0),
        Refused("MP3 with a tag", b"ID3\x04\0\0\0\0\0\0\0\0\0\0".to_vec(), "MP3", 0),
        Refused("Ogg", b"OggS\0\x02\0\0\0\0\0\0\0\0".to_vec(), "Ogg", 0),
        Refused("FLAC", b"fLaC\0\0\0\x22\0\0\0\0\0\0".to_vec(), "FLAC", 0),
        Refused("AIFF", b"FORM\0\0\0\x22AIFF\0\0".to_vec(), "AIFF", 0),
        Refused("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0".to_vec(), "gzip", 0),
        Refused("HTML", b"<!DOCTYPE html><html>".to_vec(), "HTML", 0),
        Refused("Git LFS", b"version https://git-lfs.github.com/spec/v1".to_vec(), "Git LFS", 0),
        Refused("RIFX", patched(MONO.file(&audio(5)), 0, b"RIFX"), "big-endian RIFX", 0),
        Refused("W64", b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".to_vec(), "Sony W64", 0),
        Refused("AVI", patched(MONO.file(&audio(5)), 8, b"AVI "), "'AVI '", 8),
        Refused(
            "a form that would clear the screen",
            patched(MONO.file(&audio(5)), 8, b"\x1b[2J"),
            "'\\x1b[2J'",
            8,
        ),
        Refused("no chunks", riff(&[]), "expected a 'fmt ' chunk", 12),
        Refused("no data", riff(&[fmt()]), "expected a 'data' chunk", 36),
        Refused("data before fmt", riff(&[data(), fmt()]), "expected a 'fmt ' chunk before it", 12),
        Refused(
            "two fmt chunks",
            riff(&[fmt(), Fmt { rate: 8000, ..MONO }.chunk(), data()]),
            "differs",
            36,
        ),
        Refused(
            "a cut chunk header",
            riff(&[fmt(), b"dat".to_vec()]),
            "3 bytes of the chunk header",
            36,
        ),
        Refused(
            "a cut chunk",
            riff(&[sized_chunk(b"LIST", u32::MAX - 15, b"x")]),
            "1 bytes of the chunk",
            20,
        ),
        Refused(
            "a cut fmt chunk",
            riff(&[sized_chunk(b"fmt ", 16, b"\x01\0")]),
            "2 bytes of the chunk",
            20,
        ),
        Refused("fmt of 0 bytes", fmt_of(0), "'fmt ' chunk of 0 bytes", 16),
        Refused("fmt of 14 bytes", fmt_of(14), "'fmt ' chunk of 14 bytes", 16),
        Refused(
            "fmt of 4 GiB",
            riff(&[sized_chunk(b"fmt ", u32::MAX, b"x")]),
            "4294967295 bytes",
            16,
        ),
        Refused("extensible of 18 bytes", fmt_of(18), "at least 40", 20),
        Refused("extensible with a short extension", cut_extension, "extension of 2 bytes", 36),
        Refused(
            "extensible with too many valid bits",
            MONO.extensible(17).file(&audio(5)),
            "17 valid bits",
            38,
        ),
        Refused("an unknown sub-format", with_guid([0xab; 16]), "sub-format [ab", 44),
        Refused(
            "extensible ADPCM",
            patched(MONO.extensible(16).file(&[]), 44, &[2]),
            "Microsoft ADPCM",
            44,
        ),
        Refused("A-law", codec(6), "A-law", 20),
        Refused("mu-law", codec(7), "mu-law", 20),
        Refused("MS ADPCM", codec(2), "Microsoft ADPCM", 20),
        Refused("IMA ADPCM", codec(0x11), "IMA ADPCM", 20),
        Refused("GSM", codec(0x31), "GSM 6.10", 20),
        Refused("MP3 in WAV", codec(0x55), "MP3", 20),
        Refused("tag 0", codec(0), "codec 0x0000 (unknown)", 20),
        Refused("tag 0xffff", codec(0xffff), "codec 0xffff (unknown)", 20),
        Refused("no channels", Fmt { channels: 0, ..MONO }.file(&audio(5)), "0 channels", 22),
        Refused("65 channels", Fmt { channels: 65, ..MONO }.file(&audio(5)), "65 channels", 22),
        Refused(
            "65535 channels",
            Fmt { channels: 65_535, ..MONO }.file(&audio(5)),
            "65535 channels",
            22,
        ),
        Refused("0 Hz", Fmt { rate: 0, ..MONO }.file(&audio(5)), "0 Hz", 24),
        Refused("7999 Hz", Fmt { rate: 7999, ..MONO }.file(&audio(5)), "7999 Hz", 24),
        Refused("4 GHz", Fmt { rate: u32::MAX, ..MONO }.file(&audio(5)), "4294967295 Hz", 24),
        Refused("0 bits", Fmt { bits: 0, ..MONO }.file(&audio(5)), "0-bit integer", 34),
        Refused("4 bits", Fmt { bits: 4, ..MONO }.file(&audio(5)), "4-bit integer", 34),
        Refused("64 bits", Fmt::integer(64).file(&audio(8)), "64-bit integer", 34),
        Refused(
            "64-bit float",
            Fmt { tag: 3, ..Fmt::integer(64) }.file(&audio(8)),
            "64-bit float",
            34,
        ),
        Refused("16-bit float", Fmt { tag: 3, ..MONO }.file(&audio(8)), "16-bit float", 34),
        Refused(
            "a frame of 0 bytes",
            Fmt { block_align: Some(0), ..MONO }.file(&audio(5)),
            "0 bytes a frame",
            32,
        ),
        Refused(
            "a frame too short",
            Fmt { block_align: Some(1), ..MONO }.file(&audio(5)),
            "1 bytes a frame",
            32,
        ),
        Refused(
            "a frame that channels do not divide",
            Fmt { block_align: Some(5), channels: 2, ..MONO }.file(&audio(5)),
            "5 bytes a frame",
            32,
        ),
    ];
    let mut failed = Vec::new();
    for Refused(name, file, message, offset) in &rows {
        match read_all(file, 3) {
            Ok(read) => failed.push(format!("{name}: used, {:?}", read.warnings)),
            Err(error) => {
                let place = matches!(error.kind(), ErrorKind::Wav { at, .. } if at == offset);
                if !error.to_string().contains(message) || !place || error.code() != 4 {
                    failed.push(format!("{name}: {error}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn the_number_of_chunks_is_bounded() {
    let endless = [b"RIFF\0\0\0\0WAVE".to_vec(), chunk(b"JUNK", b"").repeat(100_000)].concat();
    let error = read_all(&endless, 1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Limit { limit: 4096, .. }), "{error}");
    assert_eq!(error.code(), 5);

    let behind = [MONO.file(&audio(5)), chunk(b"JUNK", b"").repeat(100_000)].concat();
    assert_eq!(read_all(&behind, 8).unwrap().samples.len(), 5);
}

#[test]
fn a_reader_that_fails_is_an_error_with_its_cause() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let file = MONO.file(&audio(5));
    let mut reader = WavReader::new(file[..50].chain(Broken), "mic").unwrap();
    let error = reader.read(&mut [0.0; 8]).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.code()),
        ("mic: cannot be read: the cable is out", 4)
    );
}

#[test]
fn a_block_shorter_than_a_frame_is_the_callers_fault() {
    let file = Fmt { channels: 2, ..MONO }.file(&audio(6));
    let mut reader = WavReader::new(&file[..], "test.wav").unwrap();
    let error = reader.read(&mut [0.0]).unwrap_err();
    assert_eq!(error.code(), 6);
    assert_eq!(error.to_string(), "internal fault: a block holds 1 samples, expected at least 2");
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = WavReader::open(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("found a directory, expected a file"), "{error}");
    let error = WavReader::open(folder.path().join("no\nsuch.wav")).unwrap_err();
    assert!(error.to_string().contains("no\\nsuch.wav: cannot be read: "), "{error}");
    assert_eq!(error.code(), 4);
    let path = folder.path().join("right.wav");
    std::fs::write(&path, MONO.file(&audio(5))).unwrap();
    let mut reader = WavReader::open(&path).unwrap();
    assert_eq!(reader.format().declared_frames, Some(5));
    assert_eq!(reader.read(&mut [0.0; 8]).unwrap(), 5);
}
