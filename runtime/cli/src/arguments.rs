//! What the command accepts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use hilbert_formats::wav::RawFormat;
use hilbert_runtime::{Engine, MAX_THREADS};

/// A recording of speech and its transcript become a class, offline.
#[derive(Debug, Parser)]
#[command(name = "hilbert", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Classify a recording, its transcript, or both.
    #[command(after_help = EXAMPLES)]
    Classify(Classify),
    /// Test a model on this machine with the inputs and values that it carries.
    Selftest(SelfTest),
    /// Show what a model's graphs are made of on this machine.
    Inspect(Inspect),
    /// Show what memory a model takes, without loading it.
    Plan(PlanOf),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").args(["recording", "transcript"]).required(true).multiple(true))]
pub(crate) struct Classify {
    /// The recording: WAV, 8 to 192 kHz, up to 64 channels; - is standard input. Without it the transcript alone is classified. Of
    /// several each is a document of its own, and as JSON a line of its own.
    #[arg(value_name = "REC.wav")]
    pub(crate) recording: Vec<PathBuf>,

    /// What was said: SubRip (.srt) or plain text.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) engine: EngineChoice,

    /// Read this channel of the recording alone, counted from 1. Without it all channels are mixed.
    #[arg(long, value_name = "N", requires = "recording", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) channel: Option<u16>,

    /// The recording has no header; its samples are these, as in `s16le:16000:1`: u8, s16le, s24le, s32le or f32le, frames a
    /// second, channels.
    #[arg(long, value_name = "FORMAT", requires = "recording")]
    pub(crate) raw: Option<RawFormat>,

    /// Print what the recording would be so far, every so much of it, one line of JSON each (schema `hilbert.estimate/1`), and the
    /// result as the last line.
    #[arg(long, value_name = "TIME", requires = "recording", value_parser = every)]
    pub(crate) every: Option<Duration>,

    /// Threads that encode the recording. The result is the same for any number.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub(crate) threads: usize,

    /// Recordings that are classified at the same time, where there are several. The results are the same, in the same order.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads, conflicts_with = "max_memory")]
    pub(crate) jobs: usize,

    /// Write what is encoded to this file as it comes, so that --resume goes on after a crash.
    #[arg(long, value_name = "FILE", requires = "recording")]
    pub(crate) journal: Option<PathBuf>,

    /// Go on with the journal if it is there: the result is the same as without a crash.
    #[arg(long, requires = "journal")]
    pub(crate) resume: bool,

    /// Heap that may be taken: keeps fewer rows where that makes it fit, or refuses. Bytes, or K, M, G of 1,024.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_memory: Option<u64>,

    /// A report for people, or JSON (schema `hilbert.result/1`) for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Add what was measured: times, real-time factor, peak memory. All else is the same from run to run.
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SelfTest {
    /// Test every layer, not the graphs' outputs alone.
    #[arg(long)]
    pub(crate) layers: bool,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) engine: EngineChoice,

    /// A table for people, or JSON (schema `hilbert.selftest/1`) for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Show every operation: what computes it, in int8 or in floats, and the bytes of its weights.
    #[arg(long)]
    pub(crate) kernels: bool,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    #[command(flatten)]
    pub(crate) engine: EngineChoice,

    /// A table for people, or JSON (schema `hilbert.kernels/1`) for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PlanOf {
    /// A recording, whose rate and channels count.
    #[arg(value_name = "REC.wav")]
    pub(crate) recording: Option<PathBuf>,

    /// Its transcript, which takes memory too.
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) model: ModelChoice,

    /// Threads that encode a recording.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub(crate) threads: usize,

    /// Heap that may be taken: plans fewer rows where that makes it fit, or refuses. Bytes, or K, M, G of 1,024.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_memory: Option<u64>,

    /// A table for people, or JSON (schema `hilbert.plan/1`) for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Bytes, with a unit of a power of 1,024 or without.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let parsed = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    parsed.ok_or_else(|| "expected bytes, as in 25165824 or 24M".to_owned())
}

fn threads(text: &str) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|threads| (1..=MAX_THREADS).contains(threads));
    parsed.ok_or_else(|| format!("expected 1 to {MAX_THREADS}"))
}

/// A length of time, at least a second.
fn every(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).ok().filter(|time| *time >= SHORTEST_EVERY);
    parsed.ok_or_else(|| "expected a length of at least 1 s, as in 30s or 2m".to_owned())
}

/// Estimates at shorter steps would tell nothing new: a segment lasts seconds.
const SHORTEST_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct ModelChoice {
    #[cfg_attr(
        feature = "default-bundle",
        doc = "Folder or archive of a bundle, in place of the built-in one."
    )]
    #[cfg_attr(not(feature = "default-bundle"), doc = "Folder or archive of a bundle.")]
    #[arg(long, value_name = "BUNDLE", required = !cfg!(feature = "default-bundle"))]
    pub(crate) model: Option<PathBuf>,

    /// Public key of minisign that must have signed the bundle, or the key's file; of several, one of them.
    #[arg(long, value_name = "FILE|BASE64", requires = "model")]
    pub(crate) trusted_key: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EngineChoice {
    /// What computes: `auto`, the fastest int8 kernels of this machine; `f32`, stock tract in floats; or the name of an
    /// instruction set.
    #[arg(long = "engine", value_name = "ENGINE", default_value = "auto")]
    pub(crate) engine: Engine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  A recording and its transcript:
    hilbert classify session.wav --transcript session.srt
  The recording alone, or the words alone:
    hilbert classify session.wav
    hilbert classify --transcript notes.txt
  The second channel of a stereo recording, as JSON:
    hilbert classify call.wav --channel 2 --format json
  From a microphone, with what it would be so far every half a minute; Ctrl-C ends with the result:
    arecord -q -f S16_LE -r 16000 | hilbert classify - --every 30s
  Several recordings, two at a time, one line of JSON each:
    hilbert classify *.wav --jobs 2 --format json
  A recording of a day, which may be interrupted and gone on with:
    hilbert classify day.wav --journal day.journal --resume
  In at most 24 MiB of heap:
    hilbert classify session.wav --max-memory 24M
  Another model:
    hilbert classify session.wav --model path/to/bundle
  Another model, if this key signed it:
    hilbert classify session.wav --model model.hilbert --trusted-key maker.pub

Results go to standard output, all else to standard error. Nothing is sent anywhere.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  of several recordings some could not be classified
  2  the command line is wrong
  3  the bundle is missing, corrupt, incompatible or not signed by a trusted key
  4  the input cannot be read or is not supported
  5  a limit of memory or time would be exceeded
  6  internal fault
  7  the result could not be written
  8  the self-test found a layer that this machine computes differently
  130, 143  interrupted (Ctrl-C, SIGTERM), the result so far is printed

HILBERT_LOG=info shows what is done, HILBERT_LOG=debug shows more.";
