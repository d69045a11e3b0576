//! The exporter's errors. [`Error::code`] is the command's exit code.

use std::io;
use std::path::PathBuf;

/// Result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, on the heap so that `Result` stays small.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

impl Error {
    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// Exit code: 3 bundle, 4 checkpoint, golden file or key, 6 internal fault, 7 output not written, 8 parity failed.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.kind() {
            ErrorKind::Runtime { source, .. } => source.code(),
            ErrorKind::TrustedKey(error) => error.code(),
            ErrorKind::Read { .. }
            | ErrorKind::Json { .. }
            | ErrorKind::Schema { .. }
            | ErrorKind::SafeTensors { .. }
            | ErrorKind::NotSafetensors { .. }
            | ErrorKind::Checkpoint { .. }
            | ErrorKind::Recipe { .. }
            | ErrorKind::Calibration { .. }
            | ErrorKind::Flac { .. }
            | ErrorKind::Certificate { .. }
            | ErrorKind::GoldenTensor { .. }
            | ErrorKind::GoldenRecipe { .. }
            | ErrorKind::SecretKey { .. }
            | ErrorKind::Password { .. }
            | ErrorKind::Comment { .. }
            | ErrorKind::Manifest { .. } => 4,
            ErrorKind::NoTensor { .. }
            | ErrorKind::NoGraph { .. }
            | ErrorKind::WeightShape { .. }
            | ErrorKind::Evaluate { .. }
            | ErrorKind::Minisign { .. }
            | ErrorKind::Meter { .. } => 6,
            ErrorKind::Write { .. }
            | ErrorKind::KeyExists { .. }
            | ErrorKind::TargetExists { .. }
            | ErrorKind::TargetNotBundle { .. } => 7,
            ErrorKind::Parity(_) | ErrorKind::SelfTest { .. } | ErrorKind::Gate { .. } => 8,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

impl ErrorKind {
    /// A file of a bundle that exists cannot be used.
    pub(crate) fn reading(source: hilbert_formats::Error) -> Self {
        Self::Runtime { stage: "reading it".into(), source: source.into() }
    }
}

/// Every way an export fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file of the checkpoint, or the golden file, cannot be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A JSON file is not what this exporter reads.
    #[error("{path}: not {what}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file was written by another version of the reference.
    #[error("{path}: found schema {found:?}, expected {expected:?}; run {command} again", path = path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Schema it states.
        found: String,
        /// Schema this exporter reads.
        expected: &'static str,
        /// Command that writes the file.
        command: &'static str,
    },
    /// A file is not safetensors.
    #[error("{path}: not a safetensors file", path = path.display())]
    SafeTensors {
        /// The file.
        path: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// Where a safetensors file should stand is something else, which is known.
    #[error("{path}: found {found}, expected a safetensors file; {advice}", path = path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What stands there or beside it.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// The parts of a checkpoint do not fit together; everything that was found stands in the message, a line each.
    #[error("{path}: {count} problems:\n  {list}", path = path.display(), count = problems.len(), list = problems.join("\n  "))]
    Checkpoint {
        /// Folder of the checkpoint.
        path: PathBuf,
        /// One line each.
        problems: Vec<String>,
    },
    /// A recipe does not fit the checkpoint.
    #[error("{}", problems.join("\n  "))]
    Recipe {
        /// One line each.
        problems: Vec<String>,
    },
    /// A calibration list or what it names cannot be used; a line each.
    #[error("{path}: {count} problems:\n  {list}", path = path.display(), count = problems.len(), list = problems.join("\n  "))]
    Calibration {
        /// The list.
        path: PathBuf,
        /// One line each.
        problems: Vec<String>,
    },
    /// A certificate is not of the graphs that are exported, or contradicts itself.
    #[error("{path}: found {found}, expected {expected}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// The golden file was written with another recipe than the bundle.
    #[error(
        "golden file: found floats in its int8 set for {found:?}, expected {expected:?}; run models/reference/golden.py --recipe"
    )]
    GoldenRecipe {
        /// Tensors that are floats in the golden file's set int8.
        found: Vec<String>,
        /// Tensors that are floats in the bundle.
        expected: Vec<String>,
    },
    /// A layer of a bundle is computed otherwise than its graph means.
    #[error(
        "self-test: layer {layer}: found a signal-to-noise ratio of {found:.1} dB, expected at least {expected}"
    )]
    SelfTest {
        /// The first such layer.
        layer: String,
        /// Its signal-to-noise ratio, dB.
        found: f64,
        /// The threshold, dB.
        expected: f64,
    },
    /// The form that would ship decides otherwise than the floats.
    #[error("the gate was missed:\n  {}\n--allow-miss writes the bundle all the same, and marks it", misses.join("\n  "))]
    Gate {
        /// What is beyond the limits, a line each.
        misses: Vec<String>,
    },
    /// A recording is no FLAC file that can be read.
    #[error("{path}: not a FLAC file", path = path.display())]
    Flac {
        /// The file.
        path: PathBuf,
        /// Why.
        source: claxon::Error,
    },
    /// The golden file lacks a tensor or holds it in another shape or type.
    #[error("{path}: tensor {name:?}: found {found}, expected {expected}; run models/reference/golden.py again", path = path.display())]
    GoldenTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// What is there.
        found: String,
        /// What the comparison needs.
        expected: String,
    },
    /// The checkpoint's facts do not make a valid manifest.
    #[error("the checkpoint's facts do not make a valid manifest")]
    Manifest {
        /// Which one and why.
        source: hilbert_formats::error::Error,
    },
    /// A graph asks for a tensor that the checkpoint's check does not list.
    #[error("internal: tensor {name:?} is not among those that the checkpoint's check lists")]
    NoTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A bundle that was just written lacks a graph, or the graph an output.
    #[error("internal: the bundle has no graph {name:?} of the expected outputs")]
    NoGraph {
        /// Name of the graph.
        name: String,
    },
    /// A graph asks for a tensor in another rank than it has.
    #[error("internal: tensor {name:?}: found shape {found:?}, expected {expected}")]
    WeightShape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What the graph needs.
        expected: &'static str,
    },
    /// The bundle cannot be written.
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target exists.
    #[error("{path}: found a bundle, expected nothing there; --force replaces it", path = path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The target is something that this command did not write and does not replace.
    #[error("{path}: found {found}, expected nothing there or, with --force, a bundle", path = path.display())]
    TargetNotBundle {
        /// The target.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// A key stands where one is to be written.
    #[error("{path}: found a file, expected nothing there, for keys are never overwritten", path = path.display())]
    KeyExists {
        /// The file.
        path: PathBuf,
    },
    /// A key to trust cannot be read or is none.
    #[error(transparent)]
    TrustedKey(hilbert_formats::Error),
    /// A file is no secret key.
    #[error("{path}: found {found}, expected a secret key of minisign", path = path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A password cannot be used.
    #[error("password: found {found}, expected {expected}")]
    Password {
        /// What was given.
        found: &'static str,
        /// What may be given.
        expected: &'static str,
    },
    /// The comment of a signature cannot be used.
    #[error(
        "comment: found {found}, expected one line of 1 to {} bytes without control characters",
        crate::signing::MAX_COMMENT_BYTES
    )]
    Comment {
        /// What it is.
        found: &'static str,
    },
    /// A key or a signature cannot be made, for which there is no reason but the system's random numbers.
    #[error("internal fault: making {what}: {reason}")]
    Minisign {
        /// What was being made.
        what: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The runtime refuses the bundle that was written.
    #[error("the runtime refuses the bundle at {stage}")]
    Runtime {
        /// What was being done.
        stage: String,
        /// Why.
        source: hilbert_runtime::Error,
    },
    /// A graph of the exporter's own cannot be evaluated: a fault of the exporter.
    #[error("internal fault: evaluating {graph}: {reason}")]
    Evaluate {
        /// The graph.
        graph: String,
        /// What was found.
        reason: String,
    },
    /// The command that measures graphs cannot be run, or does not measure.
    #[error("{meter}: cannot measure the bundle: {reason}", meter = meter.display())]
    Meter {
        /// The command.
        meter: PathBuf,
        /// Why.
        reason: String,
    },
    /// The bundle computes something else than the reference.
    #[error(transparent)]
    Parity(#[from] crate::verify::Mismatch),
}
