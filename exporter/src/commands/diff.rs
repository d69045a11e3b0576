//! `hilbert-export diff OLD NEW`.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::diff::DocumentOptions;
use hilbert_exporter::export::GATE_DOCUMENTS;

use super::output::Output;
use super::progress::Bar;
use super::{cache_of, open};

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The bundle before
    old: PathBuf,
    /// The bundle after
    new: PathBuf,
    /// Recordings that both bundles decide: a list as train.py --data reads it
    #[arg(long, value_name = "LIST.jsonl")]
    calibration: Option<PathBuf>,
    /// Documents drawn of the list, where it gives as many
    #[arg(long, value_name = "N", default_value_t = GATE_DOCUMENTS, requires = "calibration")]
    documents: usize,
    /// Folder that keeps what the encoders made of each recording; NEW.cache without it
    #[arg(long, value_name = "FOLDER", requires = "calibration")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn diff(arguments: Diff) -> Result<Box<dyn Display>> {
    let (old, new) = (open(&arguments.old)?, open(&arguments.new)?);
    let (documents, cache) = (arguments.documents, arguments.cache);
    let cache = cache.unwrap_or_else(|| cache_of(&arguments.new));
    let options = arguments.calibration.map(|list| DocumentOptions { list, documents, cache });
    let bar = Bar::default();
    let found = hilbert_exporter::diff(&old, &new, options.as_ref(), &|step, done, of| {
        bar.show(step, done, of);
    })?;
    Ok(arguments.output.of(found))
}
