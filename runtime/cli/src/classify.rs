//! `hilbert classify`: from arguments to the text of the result.

use hilbert_formats::{Bundle, PublicKey};
use hilbert_runtime::{Classifier, Model, Options};

use crate::arguments::{Classify, Format, ModelChoice};
use crate::failure::Failure;
use crate::printing::escape_json;
use crate::report::Report;

pub(crate) fn classify(arguments: &Classify) -> Result<String, Failure> {
    let mut options = Options::default();
    options.channel = arguments.channel;
    options.stats = arguments.stats;
    let model = Model::from_bundle_on(arguments.engine.engine, &open_bundle(&arguments.model)?)?;
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

/// The bundle that was chosen, or the one that is built in.
pub(crate) fn open_bundle(choice: &ModelChoice) -> hilbert_runtime::Result<Bundle> {
    let ModelChoice { model, trusted_key } = choice;
    if let Some(path) = model {
        let keys = trusted_key.iter().map(|key| PublicKey::from_argument(key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        return Ok(match keys.is_empty() {
            true => Bundle::open(path)?,
            false => Bundle::open_trusted(path, &keys)?,
        });
    }
    #[cfg(feature = "default-bundle")]
    let files = hilbert_models::default_bundle();
    #[cfg(not(feature = "default-bundle"))] // then the arguments require a bundle
    let files = &[];
    Ok(Bundle::from_files(files)?)
}
