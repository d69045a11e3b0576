//! What the command accepts.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use hilbert_runtime::Engine;

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
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").args(["recording", "transcript"]).required(true).multiple(true))]
pub(crate) struct Classify {
    /// The recording: WAV, 8 to 192 kHz, any number of channels. Without it the transcript alone is classified.
    #[arg(value_name = "REC.wav")]
    pub(crate) recording: Option<PathBuf>,

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
  Another model:
    hilbert classify session.wav --model path/to/bundle
  Another model, if this key signed it:
    hilbert classify session.wav --model model.hilbert --trusted-key maker.pub

Results go to standard output, all else to standard error. Nothing is sent anywhere.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  2  the command line is wrong
  3  the bundle is missing, corrupt, incompatible or not signed by a trusted key
  4  the input cannot be read or is not supported
  5  a limit of memory or time would be exceeded
  6  internal fault
  7  the result could not be written
  8  the self-test found a layer that this machine computes differently

HILBERT_LOG=info shows what is done, HILBERT_LOG=debug shows more.";
