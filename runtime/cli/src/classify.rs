//! `hilbert classify`: from arguments to the text of the result.

use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_runtime::{Classifier, Model, Options};

use crate::arguments::{Classify, Format};
use crate::failure::Failure;
use crate::printing::escape_json;
use crate::report::Report;

pub(crate) fn classify(arguments: &Classify) -> Result<String, Failure> {
    let mut options = Options::default();
    options.channel = arguments.channel;
    options.stats = arguments.stats;
    let model = Model::from_bundle(&open_bundle(arguments.model.as_deref())?)?;
    let classification = Classifier::new(model)?.classify_file(
        arguments.recording.as_deref(),
        arguments.transcript.as_deref(),
        &options,
    )?;
    match arguments.format {
        Format::Text => Ok(Report(&classification).to_string()),
        Format::Json => match serde_json::to_string_pretty(&classification) {
            Ok(json) => Ok(escape_json(&json) + "\n"),
            Err(error) => Err(Failure::Internal(format!("result: {error}"))),
        },
    }
}

/// The bundle in the folder, or the one that is built in.
pub(crate) fn open_bundle(folder: Option<&Path>) -> hilbert_runtime::Result<Bundle> {
    if let Some(folder) = folder {
        return Ok(Bundle::open(folder)?);
    }
    #[cfg(feature = "default-bundle")]
    let files = hilbert_models::default_bundle();
    #[cfg(not(feature = "default-bundle"))] // then the arguments require a folder
    let files = &[];
    Ok(Bundle::from_files(files)?)
}
