//! HILBERT on a device: a recording of a person speaking and its transcript become a class with a calibrated probability,
//! offline, in bounded memory.
//!
//! # The way through
//! ```text
//! wav, PCM ──> audio ──> segment ──> log-mel ──> speech encoder ──> project ─┐
//!                                                                            ├─> cross, pool, join ─> experts ─> decision
//! srt, text ─> transcript ─────────> tokens ───> text encoder ────> project ─┘
//!    bounded blocks        one segment or cue at a time        one row each            once a document
//! ```
//! A recording is cut at its pauses, a transcript comes in cues; neither needs the other, and their numbers differ. Each segment
//! and each cue becomes one row, the rows of both modalities attend to each other, and what they pool to is classified by a
//! mixture of experts. Where the bundle has an alignment head, the text of each cue is also held against the audio under it.
//!
//! # Example
//! ```no_run
//! use std::path::Path;
//!
//! use hilbert_runtime::{Classifier, Model, Options};
//!
//! # fn main() -> hilbert_runtime::Result<()> {
//! let model = Model::open("models/spoken-english/bundle")?;
//! let mut classifier = Classifier::new(model)?;
//! let (wav, srt) = (Path::new("session.wav"), Path::new("session.srt"));
//! let classification = classifier.classify_file(Some(wav), Some(srt), &Options::default())?;
//! for task in &classification.tasks {
//!     println!("{}: {}", task.name, task.label);
//! }
//! # Ok(())
//! # }
//! ```
//! [`Classification`] serialises to the JSON of `hilbert classify`. A [`Session`] takes audio and text as they come, and tells what
//! it would decide so far. The stages
//! stand open for those who need one alone: [`AudioStream`], [`Segmenter`], [`LogMel`], [`TokenRows`], [`SpeechEncoder`],
//! [`TextEncoder`], [`Alignment`], [`Fusion`], [`MixtureOfExperts`], [`decide`]; a [`Graph`] is one ONNX file.
//!
//! # Models
//! A [`Model`] is one bundle, as `hilbert-export` writes it and `docs/bundle-format.md` describes it: `manifest.json`, ONNX graphs
//! of fixed shapes, a vocabulary, in a folder, in one archive or embedded in the program. A bundle from elsewhere should be signed:
//! [`Bundle::open_trusted`](hilbert_formats::Bundle::open_trusted) verifies before it parses. Everything is checked when it is opened: sizes and SHA-256 of the files, the manifest against
//! itself, the graphs against the manifest. Weights that are stored as 8-bit integers are multiplied as such
//! ([`Engine`]); `docs/kernels.md` says what that rounds.
//!
//! [`selftest`] runs a bundle's graphs on inputs that it carries and compares them with what it carries.
//!
//! # Limits
//! Recordings of 8 to 192 kHz with up to 64 channels and of any length; transcripts of up to 16 MiB and 100,000 cues. Up to
//! `fusion.n_max` rows a modality take part in cross-attention one by one; beyond that the most similar neighbours merge,
//! and the result says how many rows each one holds. A cue of more than [`KEPT_S`] of speech has no integrity score, and a
//! warning says so. Nothing is cut short in silence.
//!
//! # Errors
//! One [`Error`] with a stable [code](Error::code): 3 for a bundle, 4 for an input, 5 for a limit, 6 for a fault of this crate, 7 for
//! a journal that cannot be written. The
//! message says what was found and what was expected. No input makes this crate panic; where the engine does, the panic becomes
//! an error, provided that the program unwinds.
//!
//! # Memory
//! A [`Plan`] says what a model and a session take, by component and at most, before any graph is loaded; [`Plan::within`] keeps as
//! many rows as fit. Everything that depends on the bundle is allocated when it is loaded and when a [`Session`] is made, among it
//! `n_max` rows a modality, which are written at once. The engine allocates while a graph runs, within a bound that the graph's fixed
//! shapes set, and keeps nothing. What a document adds is its transcript and its result, of at most `n_max` rows a modality: a day
//! takes no more than minutes do. `docs/memory.md` has the numbers.
//!
//! # Logging
//! The `log` facade: one line at level info for a bundle that is loaded, one at debug for a document. Never audio, text, or
//! what a file holds.

#![forbid(unsafe_code)]

mod alignment;
mod audio;
mod classifier;
mod decision;
mod encoder;
mod engine;
mod error;
mod features;
mod fusion;
mod limits;
mod moe;
mod plan;
mod segment;
pub mod selftest;
mod session;

pub use alignment::{AlignedCue, Alignment, AlignmentHead, DocumentAlignment, KEPT_S, NotAligned};
pub use audio::{AudioStream, ChannelChoice, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Pcm, PcmFormat};
pub use classifier::{Classifier, Options};
pub use decision::{Decision, LabelSet, decide};
pub use encoder::{SpeechEncoder, TextEncoder};
pub use engine::{Arithmetic, Engine, Graph, Input, Operation, Port, UnknownEngine};
pub use error::{Error, ErrorKind, Result};
pub use features::{LogMel, Spectrogram, TokenRow, TokenRows};
pub use fusion::{
    DocumentRows, Fused, Fusion, Modalities, Modality, Pooling, PositionEncoding, Row, RowStore,
    TimeSpan,
};
pub use hilbert_kernels::Isa;
pub use moe::{MixtureOfExperts, TaskOutput};
pub use plan::{Component, Plan};
pub use segment::{MAX_SEGMENT_S, Segment, Segmenter, Span};
pub use session::{
    BundleId, Capacities, Classification, CueResult, CueScore, Estimate, ExpertGate, InputSummary,
    IntegrityResult, JournalFile, LabelProbability, MAX_ROWS, MAX_THREADS, MIN_ROWS, Model, Run,
    SegmentResult, Session, SetResult, TaskResult, Tool, Warning,
};
