//! `hilbert selftest`: the bundle's graphs on this machine against what the bundle carries.

use std::fmt::{self, Display, Formatter};

use hilbert_formats::escape::Escaped;
use hilbert_runtime::selftest::{Agreement, Depth, SelfTest, selftest as run};

use crate::arguments::{Format, SelfTest as Arguments};
use crate::classify::open_bundle;
use crate::failure::Failure;
use crate::printing;

/// The result as text, and the first layer that is under the threshold.
pub(crate) fn selftest(arguments: &Arguments) -> Result<(String, Option<Failure>), Failure> {
    let depth = if arguments.layers { Depth::Layers } else { Depth::Outputs };
    let test = run(&open_bundle(&arguments.model)?, depth, arguments.engine.engine)?;
    let text = match arguments.format {
        Format::Text => Report(&test).to_string(),
        Format::Json => printing::json(&test)?,
    };
    let failure = test.first_failed().map(|layer| Failure::SelfTest {
        layer: layer.name.clone(),
        found: layer.engine.snr_db,
        expected: test.threshold_db,
    });
    Ok((text, failure))
}

/// Displays as a table, the last line ended. Names are escaped.
struct Report<'a>(&'a SelfTest);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let SelfTest { bundle, engine, threshold_db, layers, .. } = self.0;
        writeln!(
            f,
            "model {}: this machine ({engine}) against what its graphs mean",
            Escaped(bundle)
        )?;
        let names: Vec<_> = layers.iter().map(|layer| Escaped(&layer.name).to_string()).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "  {:width$}  values  noise dB    cosine  largest difference  against floats dB",
            "layer"
        )?;
        for (layer, name) in layers.iter().zip(&names) {
            let Agreement { snr_db, cosine, largest } = layer.engine;
            let (values, float) = (layer.values, layer.float.snr_db);
            let mark = if self.0.passes(layer) { "" } else { "  under the threshold" };
            writeln!(
                f,
                "  {name:width$}  {values:>6}  {snr_db:>8.1}  {cosine:>8.6}  {largest:>18.1e}  {float:>17.1}{mark}"
            )?;
        }
        let under = layers.iter().filter(|layer| !self.0.passes(layer)).count();
        writeln!(f, "{} layers, {under} under {threshold_db} dB", layers.len())
    }
}
