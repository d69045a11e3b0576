//! `hilbert-export inspect BUNDLE`.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;

use super::open;
use super::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn inspect(arguments: &Inspect) -> Result<Box<dyn Display>> {
    Ok(arguments.output.of(hilbert_exporter::inspect(&open(&arguments.bundle)?)?))
}
