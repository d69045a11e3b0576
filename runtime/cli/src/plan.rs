//! `hilbert plan`: the memory that a model takes, before it is loaded.

use std::fmt::{self, Display, Formatter};

use hilbert_formats::Transcript;
use hilbert_formats::escape::Escaped;
use hilbert_runtime::{Capacities, Component, Plan};

use crate::arguments::{Format, PlanOf};
use crate::classify::{open_bundle, planned};
use crate::failure::Failure;
use crate::printing;
use crate::recording;
use crate::stop::Stop;

pub(crate) fn plan(arguments: &PlanOf) -> Result<String, Failure> {
    let bundle = open_bundle(&arguments.model)?;
    let mut capacities = Capacities::of(bundle.manifest());
    capacities.threads = arguments.threads;
    if let Some(path) = &arguments.transcript {
        let transcript = Transcript::open(path).map_err(hilbert_runtime::Error::from)?;
        capacities = capacities.with_transcript(Some(&transcript));
    }
    let recording = arguments.recording.as_deref();
    let recording = recording.map(|path| recording::open(path, None, &Stop::default()));
    let format = recording.transpose()?.as_ref().map(recording::format);
    let (plan, _) = planned(&bundle, capacities, format, arguments.max_memory)?;
    match arguments.format {
        Format::Text => Ok(Report(&plan).to_string()),
        Format::Json => printing::json(&plan),
    }
}

/// Displays as a table, the last line ended. Names are escaped.
struct Report<'a>(&'a Plan);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { bundle, n_max, total, loading, components, .. } = self.0;
        writeln!(f, "model {}, at most {n_max} rows of each modality", Escaped(bundle))?;
        writeln!(f, "  {:<22} {:>12}", "heap", "bytes")?;
        for Component { name, bytes } in components {
            writeln!(f, "  {name:<22} {bytes:>12}")?;
        }
        writeln!(f, "  {:<22} {loading:>12}", "while it is loaded")?;
        writeln!(
            f,
            "  {:<22} {total:>12}  {:.1} MiB",
            "at most",
            *total as f64 / f64::from(1 << 20)
        )
    }
}
