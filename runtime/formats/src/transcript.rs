//! Transcripts: SubRip (SRT), read tolerantly, and plain text, cut into sentences.

mod plain;
mod srt;
mod text;

use std::io::Read;
use std::path::Path;

use crate::error::{ErrorKind, Result, TranscriptProblem};
use crate::input;
use crate::warning::{Warning, Warnings};

/// Most bytes of a transcript.
pub const MAX_BYTES: u64 = 16 << 20;
/// Most cues of a transcript.
pub const MAX_CUES: usize = 100_000;

/// What was said, in parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The format it was read as.
    pub format: TranscriptFormat,
    /// Its parts: cues by ascending start, or sentences in their order. None is empty; there may be none at all.
    pub cues: Vec<Cue>,
    /// What was irregular, each kind once.
    ///
    /// Codes: `bad_time`, `cues_out_of_order`, `cues_overlap`, `index_missing`, `irregular_arrow`,
    /// `missing_blank_line`, `nul_characters`, `text_outside_cues`.
    pub warnings: Vec<Warning>,
}

/// One part of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Cue {
    /// Its text without markup; it may span lines.
    pub text: String,
    /// When it was said, where the transcript tells.
    pub times: Option<CueTimes>,
    /// Line it starts on, counted from 1: of an SRT cue the line with its times.
    pub line: u64,
}

/// When a cue was said, seconds from the start of the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CueTimes {
    /// Start, at least 0.
    pub start_s: f64,
    /// End, at least the start.
    pub end_s: f64,
}

/// Formats of transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranscriptFormat {
    /// SubRip.
    Srt,
    /// Plain text; its cues are untimed sentences.
    Text,
}

impl TranscriptFormat {
    /// `srt` or `text`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Srt => "srt",
            Self::Text => "text",
        }
    }
}

impl Transcript {
    /// Reads a transcript: as SRT if its name ends so, else by what it holds.
    ///
    /// # Errors
    /// As [`Transcript::parse`], and [`ErrorKind::Io`] or [`ErrorKind::Directory`] if there is no file to read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, name) = input::open(path)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|cause| ErrorKind::Io { file: name.clone(), cause })?;
        let srt = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("srt"));
        Self::parse(&bytes, &name, srt.then_some(TranscriptFormat::Srt))
    }

    /// Reads a transcript from memory; errors call it `name`. Without a format it is SRT if a line with times stands
    /// among its first three lines that are not blank.
    ///
    /// An SRT cue whose times are wrong is left out with a warning; so is text outside of cues. Plain text is cut into
    /// sentences as `split_sentences` of `models/reference/word_pieces.py` does it.
    ///
    /// # Errors
    /// [`ErrorKind::Transcript`] if it is not UTF-8 or known to be of another format, [`ErrorKind::Limit`] beyond
    /// [`MAX_BYTES`] or [`MAX_CUES`].
    pub fn parse(bytes: &[u8], name: &str, format: Option<TranscriptFormat>) -> Result<Self> {
        let limit = |what, limit| ErrorKind::Limit { file: name.to_owned(), what, limit };
        let problem = |problem| ErrorKind::Transcript { file: name.to_owned(), problem };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(limit("bytes", MAX_BYTES).into());
        }
        let mut warnings = Warnings::default();
        let text = text::decode(bytes, &mut warnings).map_err(problem)?;
        if text.lines().next().is_some_and(|line| line == "WEBVTT" || line.starts_with("WEBVTT ")) {
            return Err(problem(TranscriptProblem::Format { found: "a WebVTT transcript" }).into());
        }
        let format = format.unwrap_or_else(|| {
            let mut head = text.lines().filter(|line| !line.trim().is_empty()).take(3);
            if head.any(srt::is_time_line) { TranscriptFormat::Srt } else { TranscriptFormat::Text }
        });
        let cues = match format {
            TranscriptFormat::Srt => srt::parse(&text, &mut warnings),
            TranscriptFormat::Text => plain::parse(&text),
        };
        let cues = cues.ok_or_else(|| limit("cues", MAX_CUES as u64))?;
        Ok(Self { format, cues, warnings: warnings.into_vec() })
    }
}
