//! Why the command failed, and with which exit code.

use std::fmt::{self, Display, Formatter};
use std::io;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The bundle, the input or the runtime.
    Runtime(hilbert_runtime::Error),
    /// Standard output does not take the result.
    Output(io::Error),
    /// A fault of this program.
    Internal(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Runtime(error) => error.code(),
            Self::Internal(_) => 6,
            Self::Output(_) => 7,
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
            Self::Internal(reason) => write!(f, "internal fault: {reason}"),
        }
    }
}
