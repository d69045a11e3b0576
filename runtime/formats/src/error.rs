//! The error of this crate.

mod problems;

use std::io;
use std::path::Path;

pub use self::problems::{FileProblem, TranscriptProblem, WavProblem};
use crate::escape::Escaped;

/// What went wrong while something was read from outside.
///
/// It displays as one line that says what was found and what was expected, with the file and the place.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Box<ErrorKind>);

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What went wrong, with its numbers.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// Stable exit code: 3 bundle missing, corrupt or incompatible, 4 input unreadable or unsupported, 5 a limit would
    /// be exceeded, 6 internal fault.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.kind() {
            ErrorKind::Bundle { .. }
            | ErrorKind::ManifestSyntax { .. }
            | ErrorKind::ManifestSchema { .. }
            | ErrorKind::Manifest { .. } => 3,
            ErrorKind::Io { .. }
            | ErrorKind::Directory { .. }
            | ErrorKind::Wav { .. }
            | ErrorKind::Transcript { .. }
            | ErrorKind::PublicKey { .. } => 4,
            ErrorKind::Limit { .. } => 5,
            ErrorKind::Internal { .. } => 6,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system could not read an input.
    #[error("{}: cannot be read: {cause}", Escaped(file))]
    Io {
        /// Path or name of the input.
        file: String,
        /// What the operating system said.
        cause: io::Error,
    },
    /// An input is a directory.
    #[error("{}: found a directory, expected a file", Escaped(file))]
    Directory {
        /// Path of the input.
        file: String,
    },
    /// A recording cannot be used.
    #[error("{}: {problem} (at byte {at})", Escaped(file))]
    Wav {
        /// Path or name of the recording.
        file: String,
        /// Offset of what is wrong, bytes from the start of the file.
        at: u64,
        /// What is wrong.
        problem: WavProblem,
    },
    /// A transcript cannot be used.
    #[error("{}: {problem}", Escaped(file))]
    Transcript {
        /// Path or name of the transcript.
        file: String,
        /// What is wrong.
        problem: TranscriptProblem,
    },
    /// An input is larger than what this crate reads.
    #[error("{}: found more than {limit} {what}, expected at most {limit}", Escaped(file))]
    Limit {
        /// Path or name of the input.
        file: String,
        /// What there is too much of, in the plural.
        what: &'static str,
        /// How much is read at most.
        limit: u64,
    },
    /// A key to trust is none.
    #[error("{}: found {found}, expected a public key of minisign", Escaped(file))]
    PublicKey {
        /// Path of the key, or the key itself as it was given.
        file: String,
        /// What it is.
        found: &'static str,
    },
    /// A file of a bundle is not what the manifest says.
    #[error("bundle file {}: {problem}", Escaped(file))]
    Bundle {
        /// Path or name of the file.
        file: String,
        /// What is wrong.
        problem: FileProblem,
    },
    /// The manifest is not JSON of the manifest's form.
    #[error("manifest.json: {}: {} (line {line}, column {column})", Escaped(at), Escaped(message))]
    ManifestSyntax {
        /// JSON path of the value, as far as it is known; `.` is the whole.
        at: String,
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
        /// What was found and expected.
        message: String,
    },
    /// The manifest is of another schema than this version reads.
    #[error("manifest.json: schema: found \"{}\", expected \"{expected}\"", Escaped(found))]
    ManifestSchema {
        /// What the manifest says.
        found: String,
        /// [`crate::manifest::SCHEMA`].
        expected: &'static str,
    },
    /// A value of the manifest contradicts the format or another value.
    #[error(
        "manifest.json: {}: found {}, expected {}",
        Escaped(at),
        Escaped(found),
        Escaped(expected)
    )]
    Manifest {
        /// JSON path of the value, as in `graphs.join.inputs[2].shape`.
        at: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// The caller or this crate broke its own rules.
    #[error("internal fault: {what}")]
    Internal {
        /// Which rule.
        what: String,
    },
}

/// The name by which errors call a path; they escape it when they are displayed.
pub(crate) fn file_name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, WavProblem};

    #[test]
    fn a_path_cannot_write_to_the_terminal() {
        let file = "a\u{1b}[2J\n.wav".to_owned();
        let error = Error::from(ErrorKind::Wav { file, at: 0, problem: WavProblem::Empty });
        assert_eq!(
            error.to_string(),
            "a\\u{1b}[2J\\n.wav: found an empty file, expected a RIFF/WAVE recording (at byte 0)"
        );
        assert_eq!(error.code(), 4);
    }
}
