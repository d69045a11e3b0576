//! `hilbert-export verify BUNDLE`.

use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::verify::{Golden, Verified, verify_bundle};

use super::open;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The bundle
    bundle: PathBuf,
    /// Golden file of the checkpoint that the bundle was exported from: compared with
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
}

pub(crate) fn verify(arguments: &Verify) -> Result<Verified> {
    let golden = arguments.golden.as_deref().map(Golden::open).transpose()?;
    verify_bundle(&open(&arguments.bundle)?, golden.as_ref())
}
