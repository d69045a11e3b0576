//! `hilbert-export verify BUNDLE`.

use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::verify::{Golden, Verified, verify_bundle};

use super::open_trusted;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The bundle, a folder or an archive
    bundle: PathBuf,
    /// Golden file of the checkpoint that the bundle was exported from: compared with
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Public key of minisign that must have signed it, or the key's file; of several, one of them
    #[arg(long, value_name = "FILE|BASE64")]
    trusted_key: Vec<String>,
}

pub(crate) fn verify(arguments: &Verify) -> Result<Verified> {
    let golden = arguments.golden.as_deref().map(Golden::open).transpose()?;
    verify_bundle(&open_trusted(&arguments.bundle, &arguments.trusted_key)?, golden.as_ref())
}
