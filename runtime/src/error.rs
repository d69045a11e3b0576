//! The error of the runtime: one type, stable codes, found and expected in the message.

use std::fmt;
use std::path::Path;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the runtime. One word wide; match on [`Error::kind`], print it for a person, exit with [`Error::code`].
pub struct Error(Box<ErrorKind>);

/// What went wrong. `Display` is one line, lower case, with what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or is not what it should be: WAV, transcript, manifest or bundle.
    #[error(transparent)]
    Formats(hilbert_formats::Error),
    /// A graph of the bundle could not be loaded.
    #[error("graph {graph}: {stage} failed: {message}")]
    GraphLoad {
        /// Name in the manifest.
        graph: String,
        /// What the engine was doing.
        stage: &'static str,
        /// The engine's own words.
        message: String,
    },
    /// A graph's inputs or outputs are not those that the manifest states.
    #[error("graph {graph}: {port}: found {found}, expected {expected}")]
    GraphSignature {
        /// Name in the manifest.
        graph: String,
        /// Which input or output.
        port: String,
        /// In the ONNX file.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// A bundle lacks something, holds something that this runtime cannot use, or contradicts itself.
    #[error("bundle: {what}: found {found}, expected {expected}")]
    Bundle {
        /// The part of the bundle.
        what: String,
        /// What it holds.
        found: String,
        /// What it must hold.
        expected: String,
    },
    /// A constant of the manifest does not fit the others or this runtime's limits.
    #[error("manifest.json: {name}: found {found}, expected {expected}")]
    Setting {
        /// The constant, as in `segmentation.search_s`.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The recording's sample rate cannot be resampled.
    #[error("audio: found {found} Hz, expected {least} to {most} Hz")]
    SampleRate {
        /// Hz.
        found: u32,
        /// Hz.
        least: u32,
        /// Hz.
        most: u32,
    },
    /// The recording has no channel, or too many.
    #[error("audio: found {found} channels, expected 1 to {most}")]
    Channels {
        /// Channels of the recording.
        found: u16,
        /// Most that are read.
        most: u16,
    },
    /// The channel asked for does not exist.
    #[error("audio: found channels 1 to {channels}, expected a channel {found}")]
    Channel {
        /// The channel asked for, counted from 1.
        found: u16,
        /// Channels of the recording.
        channels: u16,
    },
    /// The recording holds a sample that is no number, or far too large to be sound.
    #[error(
        "audio: found the sample {found} in frame {frame}, expected at most {} in magnitude",
        hilbert_formats::wav::LARGEST_SAMPLE
    )]
    NotFinite {
        /// The sample.
        found: f32,
        /// Frame of the recording, counted from 0.
        frame: u64,
    },
    /// A file was read and does not serve: one of the kinds of code 4, with the name of the file before it.
    #[error("{}: {kind}", hilbert_formats::escape::Escaped(file))]
    InFile {
        /// Path of the file.
        file: String,
        /// What is wrong with what it holds.
        kind: Box<Self>,
    },
    /// A journal is of another document, or something else.
    #[error(
        "journal {}: found {found}, expected {expected}",
        hilbert_formats::escape::Escaped(file)
    )]
    Journal {
        /// Path of the journal.
        file: String,
        /// What it is or holds.
        found: String,
        /// What it must be or hold.
        expected: String,
    },
    /// A journal cannot be read or written.
    #[error("journal {}: cannot be written: {cause}", hilbert_formats::escape::Escaped(file))]
    JournalWrite {
        /// Path of the journal.
        file: String,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Neither speech nor words were found.
    #[error("nothing to classify: found {found}, expected speech or words")]
    Nothing {
        /// What was given, in words.
        found: &'static str,
    },
    /// A session is asked to hold more or less than it can.
    #[error("capacity {name}: found {found}, expected {least} to {most}")]
    Capacity {
        /// Which one, as in `n_max`.
        name: &'static str,
        /// What was asked for.
        found: usize,
        /// The least that may be.
        least: usize,
        /// The most that may be.
        most: usize,
    },
    /// Memory that was granted does not suffice.
    #[error("memory: found {found} {what}, expected at most {most}")]
    Budget {
        /// What there is too much of.
        what: &'static str,
        /// How much there would be.
        found: u64,
        /// How much there may be.
        most: u64,
    },
    /// A graph failed while running, which a bundle that opened does not do.
    #[error("graph {graph}: run failed: {message}")]
    GraphRun {
        /// Name in the manifest.
        graph: String,
        /// The engine's own words.
        message: String,
    },
    /// A segment is longer than the encoder's input.
    #[error("segment: found {found} samples, expected at most {most}")]
    SegmentLength {
        /// Samples of the segment.
        found: usize,
        /// Samples of the encoder's input.
        most: usize,
    },
    /// A stage broke its own rules.
    #[error("internal fault: {what}: {reason}")]
    Internal {
        /// The stage.
        what: &'static str,
        /// What happened.
        reason: String,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// The same error with the file that was read, where its kind does not name one already.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Self {
        match *self.0 {
            kind @ (ErrorKind::SampleRate { .. }
            | ErrorKind::Channels { .. }
            | ErrorKind::Channel { .. }
            | ErrorKind::NotFinite { .. }
            | ErrorKind::Nothing { .. }) => {
                let file = file.to_string_lossy().into_owned();
                ErrorKind::InFile { file, kind: Box::new(kind) }.into()
            }
            _ => self,
        }
    }

    /// Stable code, also the command's exit code: 3 bundle, 4 input, 5 budget, 6 internal, 7 a journal that cannot be written.
    #[must_use]
    pub fn code(&self) -> u8 {
        match &*self.0 {
            ErrorKind::Formats(error) => error.code(),
            ErrorKind::GraphLoad { .. }
            | ErrorKind::GraphSignature { .. }
            | ErrorKind::Bundle { .. }
            | ErrorKind::Setting { .. } => 3,
            ErrorKind::SampleRate { .. }
            | ErrorKind::Channels { .. }
            | ErrorKind::Channel { .. }
            | ErrorKind::NotFinite { .. }
            | ErrorKind::InFile { .. }
            | ErrorKind::Journal { .. }
            | ErrorKind::Nothing { .. } => 4,
            ErrorKind::JournalWrite { .. } => 7,
            ErrorKind::Capacity { .. } | ErrorKind::Budget { .. } => 5,
            ErrorKind::GraphRun { .. }
            | ErrorKind::SegmentLength { .. }
            | ErrorKind::Internal { .. } => 6,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<hilbert_formats::Error> for Error {
    fn from(error: hilbert_formats::Error) -> Self {
        ErrorKind::Formats(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}
