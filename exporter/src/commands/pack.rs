//! `hilbert-export pack BUNDLE OUT.hilbert` and `hilbert-export unpack BUNDLE.hilbert OUT`.

use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::packing::{Packed, pack};
use hilbert_exporter::staged::Form;

use super::open;

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// The bundle, a folder or an archive; its signature, if it has one, goes along
    bundle: PathBuf,
    /// Where to write it
    out: PathBuf,
    /// Replace the bundle that stands at OUT
    #[arg(long)]
    force: bool,
}

impl Pack {
    pub(crate) fn run(&self, form: Form) -> Result<Packed> {
        pack(&open(&self.bundle)?, form, &self.out, self.force)
    }
}
