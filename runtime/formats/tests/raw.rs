//! Samples without a header.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use hilbert_formats::wav::{RawFormat, WavReader};

fn read(format: &str, bytes: &[u8]) -> (Vec<f32>, Vec<&'static str>) {
    let mut reader = WavReader::raw(bytes, "a pipe", format.parse().unwrap()).unwrap();
    let mut block = [0.0; 64];
    let count = reader.read(&mut block).unwrap();
    assert_eq!(reader.read(&mut [0.0; 64]).unwrap(), 0);
    let codes = reader.warnings().iter().map(|warning| warning.code).collect();
    (block[..count].to_vec(), codes)
}

#[test]
fn every_encoding_is_read_to_the_end_of_the_input() {
    let floats: Vec<u8> = [0.5_f32, -0.25].iter().flat_map(|x| x.to_le_bytes()).collect();
    let rows: [(&str, &[u8]); 5] = [
        ("u8:16000:1", &[192, 96]),
        ("s16le:16000:2", &[0, 0x40, 0, 0xe0]),
        ("s24le:48000:1", &[0, 0, 0x40, 0, 0, 0xe0]),
        ("s32le:8000:1", &[0, 0, 0, 0x40, 0, 0, 0, 0xe0]),
        ("f32le:44100:1", &floats),
    ];
    for (format, bytes) in rows {
        assert_eq!(read(format, bytes), (vec![0.5, -0.25], vec![]), "{format}");
        let parsed: RawFormat = format.parse().unwrap();
        assert_eq!(parsed.to_string(), format);
    }
}

#[test]
fn a_last_frame_that_is_not_whole_is_dropped_with_a_warning() {
    assert_eq!(
        read("s16le:16000:2", &[0, 0x40, 0, 0xe0, 1, 2]),
        (vec![0.5, -0.25], vec!["partial_frame"])
    );
    assert_eq!(read("s16le:16000:1", &[]), (vec![], vec!["no_audio"]));
}

#[test]
fn what_describes_no_samples_is_refused() {
    for text in [
        "",
        "s16le",
        "s16le:16000",
        "s16be:16000:1",
        "s16le:x:1",
        "s16le:16000:1:2",
        "s16le:16000:-1",
    ] {
        let error = text.parse::<RawFormat>().unwrap_err();
        assert!(error.to_string().contains(&format!("found '{text}', expected u8")), "{error}");
    }
    for (format, message) in [
        (
            "s16le:7999:1",
            "a pipe: found a sample rate of 7999 Hz, expected 8000 to 192000 Hz (at byte 0)",
        ),
        ("s16le:16000:65", "a pipe: found 65 channels, expected 1 to 64 (at byte 0)"),
    ] {
        let error = WavReader::raw(&[][..], "a pipe", format.parse().unwrap()).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (4, message));
    }
}
