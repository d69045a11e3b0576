//! Everything HILBERT reads from outside: recordings, transcripts, manifests and bundles.
//!
//! Nothing here trusts a size, a name or a number that a file states: memory is bounded by constants of this crate, time
//! by the length of the input, and what cannot be used is an [`Error`] that says what was found and what was expected.
//! What can be used although it is irregular comes with a [`Warning`].
//!
//! No network, no logging, no inference: the crate compiles in seconds, so that it can be fuzzed.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod error;
pub mod escape;
pub mod input;
mod magic;
pub mod manifest;
pub mod onnx;
pub mod panels;
pub mod signature;
pub mod taps;
pub mod transcript;
pub mod warning;
pub mod wav;

pub use bundle::Bundle;
pub use error::{Error, ErrorKind, Result};
pub use manifest::Manifest;
pub use signature::{KeyId, PublicKey};
pub use taps::Taps;
pub use transcript::{Cue, CueTimes, Transcript, TranscriptFormat};
pub use warning::{Place, Warning};
pub use wav::{Encoding, WavFormat, WavReader};
