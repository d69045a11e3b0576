//! The whole export: checkpoint in, verified bundle out.

use std::fmt;
use std::path::{Path, PathBuf};

use hilbert_formats::manifest::Weights;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::ledger::{Ledger, Measurement};
use crate::package::Package;
use crate::recipe::Recipe;
use crate::verify::{self, Comparison, Golden};

/// What an export may choose.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// How weights are stored. Default: all that are large enough as int8.
    pub recipe: Recipe,
    /// Golden file to compare with. Default: none, and nothing is compared.
    pub golden: Option<PathBuf>,
    /// Name of the bundle. Default: the checkpoint's.
    pub name: Option<String>,
    /// Version of the bundle's content. Default: 1.
    pub bundle_version: u32,
    /// Folder to write `ledger.json` and `ledger.html` to. Default: none.
    pub ledger: Option<PathBuf>,
    /// Whether a bundle at the target is replaced. Default: no.
    pub force: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recipe: Recipe::uniform(Weights::Int8),
            golden: None,
            name: None,
            bundle_version: 1,
            ledger: None,
            force: false,
        }
    }
}

/// What was exported. Its `Display` is the command's output.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Name of the bundle.
    pub name: String,
    /// How its weights are stored.
    pub weights: Weights,
    /// The golden set compared with: another than `weights` where the recipe mixes both.
    pub compared: Weights,
    /// Every file beside the manifest and its size in bytes.
    pub files: Vec<(String, u64)>,
    /// Every stage compared; empty without a golden file.
    pub comparisons: Vec<Comparison>,
    /// The parity ledger, where it was asked for.
    pub ledger: Option<Ledger>,
}

/// Exports the checkpoint in the folder `checkpoint` to the folder `target`.
///
/// The bundle is written beside the target, opened with the runtime, compared with the golden file if there is one, and
/// only then put in its place: a bundle that fails leaves nothing behind.
///
/// # Errors
/// See [`crate::ErrorKind`]; [`crate::Error::code`] is the command's exit code.
pub fn export(checkpoint: &Path, target: &Path, options: &Options) -> Result<Report> {
    let checkpoint = Checkpoint::open(checkpoint)?;
    let golden = options.golden.as_deref().map(Golden::open).transpose()?;
    let name = options.name.as_deref().unwrap_or(&checkpoint.config().name);
    let package = Package::new(&checkpoint, &options.recipe, name, options.bundle_version)?;
    let floats = Recipe::uniform(Weights::F32);
    let floats = Package::new(&checkpoint, &floats, name, options.bundle_version)?;
    let measurement = Measurement::new(&package, &floats)?;
    let ledger =
        options.ledger.as_deref().map(|_| measurement.ledger(golden.as_ref())).transpose()?;
    let taps = measurement.taps()?;
    drop(measurement);
    let package = package.with_taps(taps)?;
    let staged = package.stage(target, options.force)?;
    let model = verify::open(staged.folder())?;
    // The reference knows two forms; graphs that mix them are proven as floats.
    let compared = options.recipe.uniformly(&checkpoint.quantisable()).unwrap_or(Weights::F32);
    let comparisons = match &golden {
        Some(golden) if compared == package.manifest().weights => {
            verify::verify(&model, golden, compared)?
        }
        Some(golden) => verify::verify(&verify::load(&floats.bundle()?)?, golden, compared)?,
        None => Vec::new(),
    };
    drop(model);
    staged.commit()?;
    if let (Some(folder), Some(ledger)) = (&options.ledger, &ledger) {
        ledger.write(folder)?;
    }
    let files = package.manifest().files.iter().map(|f| (f.path.clone(), f.bytes)).collect();
    let weights = package.manifest().weights;
    Ok(Report { name: name.into(), weights, compared, files, comparisons, ledger })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |weights| match weights {
            Weights::F32 => "f32",
            Weights::Int8 => "int8",
        };
        let weights = name(self.weights);
        let total: u64 = self.files.iter().map(|(_, bytes)| bytes).sum();
        writeln!(f, "{}: {weights} weights, {} files, {total} bytes", self.name, self.files.len())?;
        for (path, bytes) in &self.files {
            writeln!(f, "  {path:32} {bytes:>10}")?;
        }
        if self.comparisons.is_empty() {
            writeln!(f, "opened with the runtime; not compared: no golden file was given")?;
            return self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.fmt(f));
        }
        let compared = name(self.compared);
        let form = if compared == weights { "" } else { " in its f32 form" };
        writeln!(
            f,
            "opened with the runtime and{form} compared with the {compared} golden set; largest differences:"
        )?;
        for c in &self.comparisons {
            writeln!(
                f,
                "  {:32} {:>10.2e} of at most {:.0e}, {} values",
                c.stage, c.largest, c.tolerance, c.values
            )?;
        }
        self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.fmt(f))
    }
}
