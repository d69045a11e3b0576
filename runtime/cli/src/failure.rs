//! Why the command failed, and with which exit code.

use std::fmt::{self, Display, Formatter};
use std::io;

use hilbert_formats::escape::Escaped;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The bundle, the input or the runtime.
    Runtime(hilbert_runtime::Error),
    /// Standard output does not take the result.
    Output(io::Error),
    /// This machine computes a layer differently.
    SelfTest {
        /// The first such layer.
        layer: String,
        /// Its signal-to-noise ratio, dB.
        found: f64,
        /// What it must be at least, dB.
        expected: f64,
    },
    /// Options that do not go together.
    Usage(String),
    /// A fault of this program.
    Internal(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Runtime(error) => error.code(),
            Self::Usage(_) => 2,
            Self::Internal(_) => 6,
            Self::Output(_) => 7,
            Self::SelfTest { .. } => 8,
        }
    }
}

impl From<hilbert_runtime::Error> for Failure {
    fn from(error: hilbert_runtime::Error) -> Self {
        Self::Runtime(error)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => error.fmt(f),
            Self::Output(error) => write!(f, "standard output: cannot be written: {error}"),
            Self::SelfTest { layer, found, expected } => {
                let layer = Escaped(layer);
                write!(
                    f,
                    "self-test: layer {layer}: found {found:.1} dB, expected at least {expected} dB"
                )
            }
            Self::Usage(reason) => write!(f, "{reason}; see --help"),
            Self::Internal(reason) => write!(f, "internal fault: {reason}"),
        }
    }
}
