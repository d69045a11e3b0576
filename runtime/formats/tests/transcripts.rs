//! SRT as it is found, plain text as the reference splits it.

use std::fmt::Write as _;

use hilbert_formats::{ErrorKind, Place, Transcript, TranscriptFormat};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

fn parse(bytes: &[u8], format: Option<TranscriptFormat>) -> hilbert_formats::Result<Transcript> {
    Transcript::parse(bytes, "test.srt", format)
}

/// `start-end text@line` of each cue, and `code@line` of each warning.
fn shown(transcript: &Transcript) -> (Vec<String>, Vec<String>) {
    let cue = |cue: &hilbert_formats::Cue| match cue.times {
        Some(times) => format!("{}-{} {}@{}", times.start_s, times.end_s, cue.text, cue.line),
        None => format!("{}@{}", cue.text, cue.line),
    };
    let warning = |warning: &hilbert_formats::Warning| match warning.place {
        Some(Place::Line(line)) => format!("{}@{line}", warning.code),
        place => format!("{}@{place:?}", warning.code),
    };
    (transcript.cues.iter().map(cue).collect(), transcript.warnings.iter().map(warning).collect())
}

/// Name, file, cues and warnings as [`shown`] shows them.
type Row<'a> = (&'a str, &'a [u8], &'a [&'a str], &'a [&'a str]);

#[test]
fn srt_is_read_as_it_is_found() {
    let rows: [Row<'_>; 36] = [
        ("empty", b"", &[], &[]),
        ("a byte order mark alone", b"\xef\xbb\xbf", &[], &[]),
        ("white space", b" \r\n\t\n", &[], &[]),
        ("as it should be", b"1\n00:00:01,000 --> 00:00:02,500\nHello\nworld\n\n2\n01:00:03,000 --> 01:00:04,000\nBye\n", &["1-2.5 Hello\nworld@2", "3603-3604 Bye@7"], &[]),
        ("a byte order mark", b"\xef\xbb\xbf1\n00:00:01,000 --> 00:00:02,000\nA\n", &["1-2 A@2"], &[]),
        ("CRLF", b"1\r\n00:00:01,000 --> 00:00:02,000\r\nA\r\nB\r\n\r\n", &["1-2 A\nB@2"], &[]),
        ("CR", b"1\r00:00:01,000 --> 00:00:02,000\rA\r\r2\r00:00:03,000 --> 00:00:04,000\rB", &["1-2 A@2", "3-4 B@6"], &[]),
        ("no line end at the end", b"1\n00:00:01,000 --> 00:00:02,000\nA", &["1-2 A@2"], &[]),
        ("no index", b"00:00:01,000 --> 00:00:02,000\nA\n\n00:00:03,000 --> 00:00:04,000\nB\n", &["1-2 A@1", "3-4 B@4"], &["index_missing@1"]),
        ("any index", b"99999999999999999999\n00:00:01,000 --> 00:00:02,000\nA\n\n7\n00:00:03,000 --> 00:00:04,000\nB\n", &["1-2 A@2", "3-4 B@6"], &[]),
        ("no blank line", b"1\n00:00:01,000 --> 00:00:02,000\nA\n2\n00:00:03,000 --> 00:00:04,000\nB\n", &["1-2 A@2", "3-4 B@5"], &["missing_blank_line@5"]),
        ("neither index nor blank line", b"00:00:01,000 --> 00:00:02,000\nA\n00:00:03,000 --> 00:00:04,000\nB\n", &["1-2 A@1", "3-4 B@3"], &["index_missing@1", "missing_blank_line@3"]),
        ("a number as text", b"1\n00:00:01,000 --> 00:00:02,000\n42\n\n2\n00:00:03,000 --> 00:00:04,000\nB\n", &["1-2 42@2", "3-4 B@6"], &[]),
        ("a number as last text", b"1\n00:00:01,000 --> 00:00:02,000\n42", &["1-2 42@2"], &[]),
        ("cut after an index", b"1\n00:00:01,000 --> 00:00:02,000\nA\n\n2", &["1-2 A@2"], &[]),
        ("a blank line in the text", b"1\n00:00:01,000 --> 00:00:02,000\nA\n\nB\n", &["1-2 A\nB@2"], &[]),
        ("points and short fractions", b"1\n00:00:01.5 --> 00:00:02.25\nA\n", &["1.5-2.25 A@2"], &[]),
        ("no fraction", b"1\n00:00:01 --> 00:00:02\nA\n", &["1-2 A@2"], &[]),
        ("no hours", b"1\n01:05,000 --> 61:10,500\nA\n", &["65-3670.5 A@2"], &[]),
        ("hours beyond 99", b"1\n100:00:00,000 --> 100:00:01,000\nA\n", &["360000-360001 A@2"], &[]),
        ("a position", b"1\n00:00:01,000 --> 00:00:02,000 X1:40 X2:600 position:50%\nA\n", &["1-2 A@2"], &[]),
        ("no spaces", b"1\n00:00:01,000-->00:00:02,000\nA\n", &["1-2 A@2"], &[]),
        ("a short arrow", b"1\n00:00:01,000 -> 00:00:02,000\nA\n", &["1-2 A@2"], &["irregular_arrow@2"]),
        ("tags", b"1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>A</i> <font color=\"#fff\">B</font> 1 < 2 {c} <3\n", &["1-2 A B 1 < 2 {c} <3@2"], &[]),
        ("an unclosed tag", b"1\n00:00:01,000 --> 00:00:02,000\na <b c\nd> e\n", &["1-2 a <b c\nd> e@2"], &[]),
        ("empty cues", b"1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\n <i> </i>\n\n3\n00:00:05,000 --> 00:00:06,000\nC\n", &["5-6 C@9"], &[]),
        ("an arrow in the text", b"1\n00:00:01,000 --> 00:00:02,000\nA --> B\n2 -> 3\n", &["1-2 A --> B\n2 -> 3@2"], &[]),
        ("end before start", b"1\n00:00:02,000 --> 00:00:01,000\nA\n\n2\n00:00:03,000 --> 00:00:04,000\nB\n", &["3-4 B@6"], &["bad_time@2"]),
        ("end at start", b"1\n00:00:02,000 --> 00:00:02,000\nA\n", &["2-2 A@2"], &[]),
        ("negative times", b"1\n-00:00:02,000 --> 00:00:03,000\nA\n", &[], &["bad_time@2"]),
        ("garbage for times", b"1\nsoon --> later\nA\n\n2\n00:00:03,000 --> 00:00:04,000\nB\n", &["3-4 B@6"], &["bad_time@2"]),
        ("61 seconds", b"1\n00:00:61,000 --> 00:01:03,000\nA\n", &[], &["bad_time@2"]),
        ("out of order", b"1\n00:00:05,000 --> 00:00:06,000\nA\n\n2\n00:00:01,000 --> 00:00:02,000\nB\n\n3\n00:00:01,000 --> 00:00:02,000\nC\n", &["1-2 B@6", "1-2 C@10", "5-6 A@2"], &["cues_out_of_order@6", "cues_overlap@10"]),
        ("overlapping", b"1\n00:00:01,000 --> 00:00:03,000\nA\n\n2\n00:00:02,000 --> 00:00:04,000\nB\n", &["1-3 A@2", "2-4 B@6"], &["cues_overlap@6"]),
        ("text before the first cue", b"Subtitles by nobody\n\n1\n00:00:01,000 --> 00:00:02,000\nA\n", &["1-2 A@4"], &["text_outside_cues@1"]),
        ("NUL", b"1\n00:00:01,000 --> 00:00:02,000\nA\0B\n", &["1-2 A\u{fffd}B@2"], &["nul_characters@3"]),
    ];
    let mut failed = Vec::new();
    for (name, bytes, cues, warnings) in rows {
        let transcript = parse(bytes, Some(TranscriptFormat::Srt)).unwrap();
        let (found_cues, found_warnings) = shown(&transcript);
        if found_cues != cues
            || found_warnings != warnings
            || transcript.format != TranscriptFormat::Srt
        {
            failed.push(format!("{name}: {found_cues:?} {found_warnings:?}"));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn the_format_is_found_by_the_content() {
    let rows: [(&str, &[u8], TranscriptFormat); 5] = [
        ("a cue", b"1\n00:00:01,000 --> 00:00:02,000\nA\n", TranscriptFormat::Srt),
        (
            "a cue behind blank lines",
            b"\n\n\n\n1\n00:00:01,000 --> 00:00:02,000\nA\n",
            TranscriptFormat::Srt,
        ),
        ("text", b"Hello. World.", TranscriptFormat::Text),
        ("text with arrows", b"a --> b", TranscriptFormat::Text),
        ("nothing", b"", TranscriptFormat::Text),
    ];
    for (name, bytes, format) in rows {
        assert_eq!(parse(bytes, None).unwrap().format, format, "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, format) in [("a.SRT", "srt"), ("a.txt", "text"), ("a", "text")] {
        let path = folder.path().join(name);
        std::fs::write(&path, "Hello. World.").unwrap();
        assert_eq!(Transcript::open(&path).unwrap().format.as_str(), format, "{name}");
    }
    assert!(matches!(
        Transcript::open(folder.path()).unwrap_err().kind(),
        ErrorKind::Directory { .. }
    ));
    assert!(matches!(
        Transcript::open(folder.path().join("none")).unwrap_err().kind(),
        ErrorKind::Io { .. }
    ));
}

#[test]
fn what_is_no_transcript_is_named() {
    let rows: [(&str, &[u8], &str); 11] = [
        (
            "UTF-16",
            b"\xff\xfeH\0i\0",
            "found UTF-16 (little-endian) text, expected UTF-8 (at byte 0)",
        ),
        ("UTF-16 the other way", b"\xfe\xff\0H\0i", "UTF-16 (big-endian)"),
        (
            "UTF-16 without a mark",
            b"H\0e\0l\0l\0o\0",
            "UTF-16 (little-endian, without a byte order mark)",
        ),
        ("UTF-32", b"\xff\xfe\0\0H\0\0\0", "UTF-32"),
        ("Latin-1", b"na\xefve", "not UTF-8, expected UTF-8 text (at byte 2)"),
        ("overlong", b"a\xc0\xaf", "(at byte 1)"),
        ("a surrogate", b"abc\xed\xa0\x80", "(at byte 3)"),
        ("gzip", b"\x1f\x8b\x08\0", "a gzip file"),
        ("a document", b"PK\x03\x04\x14\0\x06\0", "a ZIP file"),
        ("HTML", b"<!DOCTYPE html><p>Hello.", "an HTML page"),
        ("WebVTT", b"WEBVTT\n\n00:01.000 --> 00:02.000\nA\n", "a WebVTT transcript"),
    ];
    let mut failed = Vec::new();
    for (name, bytes, part) in rows {
        match parse(bytes, None) {
            Ok(transcript) => failed.push(format!("{name}: {transcript:?}")),
            Err(error) if !error.to_string().contains(part) || error.code() != 4 => {
                failed.push(format!("{name}: {error}"));
            }
            Err(_) => {}
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn too_much_is_refused() {
    let large = vec![b'a'; (16 << 20) + 1];
    let mut srt = String::new();
    for i in 0..=100_000 {
        writeln!(srt, "{i}\n00:00:01,000 --> 00:00:02,000\nA\n").unwrap();
    }
    let sentences = "A. ".repeat(100_001);
    for (name, bytes) in
        [("bytes", large.as_slice()), ("cues", srt.as_bytes()), ("cues", sentences.as_bytes())]
    {
        let error = parse(bytes, None).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Limit { what, .. } if *what == name), "{error}");
        assert_eq!(error.code(), 5);
    }
    assert_eq!(parse(&sentences.as_bytes()[3..], None).unwrap().cues.len(), 100_000);
}

#[test]
fn sentences_are_those_of_the_reference() {
    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        sentences: Vec<String>,
    }
    // Written by data/sentences.py.
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/sentences.json")).unwrap();
    assert!(cases.len() > 400);
    let mut failed = Vec::new();
    for case in cases {
        // Hidden from the reference, which is given text that was already decoded.
        let text = case
            .text
            .strip_prefix('\u{feff}')
            .map_or(case.text.clone(), |rest| format!("\u{feff}\u{feff}{rest}"));
        let transcript = parse(text.as_bytes(), Some(TranscriptFormat::Text)).unwrap();
        let found: Vec<_> = transcript.cues.into_iter().map(|cue| cue.text).collect();
        if found != case.sentences {
            failed.push(format!("{:?}: found {found:?}, expected {:?}", case.text, case.sentences));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn sentences_know_their_lines() {
    let transcript = parse(b"One. Two\r\nstill two.\r\n\r\n  Three.\nFour", None).unwrap();
    assert_eq!(shown(&transcript).0, ["One.@1", "Two\nstill two.@1", "Three.@4", "Four@5"]);
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_cues(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, None);
        let _ = parse(&bytes, Some(TranscriptFormat::Srt));
    }

    #[test]
    fn mutated_srt_has_cues_in_order(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i> {\\an8}\n\n".repeat(4);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte & 0x7f;
        }
        let transcript = parse(&bytes, Some(TranscriptFormat::Srt));
        let Ok(transcript) = transcript else { return Ok(()) };
        for pair in transcript.cues.windows(2) {
            prop_assert!(pair[0].times.unwrap().start_s <= pair[1].times.unwrap().start_s);
        }
        for cue in &transcript.cues {
            let times = cue.times.unwrap();
            prop_assert!(times.start_s >= 0.0 && times.start_s <= times.end_s && times.end_s.is_finite());
            prop_assert!(!cue.text.trim().is_empty());
        }
    }

    #[test]
    fn sentences_hold_every_word(text in "[a-c.!?\u{1c}\u{a0} \n\t]{0,60}") {
        let words = |text: &str| text.split(|c: char| c.is_whitespace() || c == '\u{1c}').collect::<String>();
        let cues = parse(text.as_bytes(), Some(TranscriptFormat::Text)).unwrap().cues;
        let joined: Vec<_> = cues.iter().map(|cue| cue.text.as_str()).collect();
        prop_assert_eq!(words(&joined.join(" ")), words(&text));
    }
}
