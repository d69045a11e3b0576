//! The whole export: checkpoint in, verified bundle out.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use hilbert_formats::manifest::{GraphMemory, Manifest, Weights};
use hilbert_formats::taps;

use crate::calibration::evaluation::{Evaluation, bundle_of, list_sha256};
use crate::calibration::form::engine_name;
use crate::calibration::gate::{Limits, misses};
use crate::calibration::list::List;
use crate::calibration::sensitivity::{self, rank, search};
use crate::certificate::{CERTIFICATE, Certificate, Gate};
use crate::checkpoint::{Checkpoint, Names};
use crate::error::{ErrorKind, Result};
use crate::ledger::{Ledger, Measurement};
use crate::memory;
use crate::package::Package;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::verify::{self, Comparison, Comparisons, Golden};

/// What an export may choose.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// How weights are stored. Default: all that are large enough as int8.
    pub recipe: Recipe,
    /// What the checkpoint's files call its tensors. Default: as the exporter does.
    pub names: Names,
    /// Golden file to compare with. Default: none, and nothing is compared.
    pub golden: Option<PathBuf>,
    /// Name of the bundle. Default: the checkpoint's.
    pub name: Option<String>,
    /// Version of the bundle's content. Default: 1.
    pub bundle_version: u32,
    /// File to write the recipe to that was exported. Default: none.
    pub recipe_out: Option<PathBuf>,
    /// Folder to write `ledger.json` and `ledger.html` to. Default: none.
    pub ledger: Option<PathBuf>,
    /// Whether a bundle at the target is replaced. Default: no.
    pub force: bool,
    /// The command `hilbert-export`, which measures the heap of each graph. Default: none, and the manifest has no figures.
    pub meter: Option<PathBuf>,
    /// The gate. Default: none, and the certificate says that it was not evaluated.
    pub gate: GateOptions,
}

/// Whether and how the gate is evaluated.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum GateOptions {
    /// It is not.
    #[default]
    None,
    /// It was: the certificate of an earlier export of the same graphs is carried along.
    Certificate(PathBuf),
    /// It is, on documents of this list.
    Calibration(CalibrationOptions),
}

/// How the gate is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationOptions {
    /// The list, as `train.py --data` reads it.
    pub list: PathBuf,
    /// Documents drawn of it.
    pub documents: usize,
    /// Folder that keeps what the encoders made of each recording.
    pub cache: PathBuf,
    /// Whether a bundle that misses is written, marked. If not, tensors are left out until it passes.
    pub allow_miss: bool,
}

/// Documents of the gate where nothing else is asked for.
pub const GATE_DOCUMENTS: usize = 2000;

impl Default for Options {
    fn default() -> Self {
        Self {
            recipe: Recipe::uniform(Weights::Int8),
            names: Names::default(),
            golden: None,
            name: None,
            bundle_version: 1,
            recipe_out: None,
            ledger: None,
            force: false,
            meter: None,
            gate: GateOptions::None,
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
    /// The golden set compared with: another than `weights` where the golden file's set int8 is of another recipe.
    pub compared: Weights,
    /// Every file beside the manifest and its size in bytes.
    pub files: Vec<(String, u64)>,
    /// Every stage compared; empty without a golden file.
    pub comparisons: Vec<Comparison>,
    /// Heap that all graphs take once they are loaded, bytes, the same of a bundle that is part of a program, and the most that
    /// one takes while it runs above that; none where it was not measured.
    pub heap: Option<[u64; 3]>,
    /// What is known of the decisions.
    pub certificate: Certificate,
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
pub fn export(
    checkpoint: &Path,
    target: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report> {
    let checkpoint = Checkpoint::open_named(checkpoint, &options.names)?;
    let golden = options.golden.as_deref().map(Golden::open).transpose()?;
    let name = options.name.as_deref().unwrap_or(&checkpoint.config().name);
    let (recipe, gate) = match &options.gate {
        GateOptions::Calibration(calibration) => {
            let (recipe, gate) = gated(&checkpoint, &options.recipe, calibration, progress)?;
            (recipe, Some(gate))
        }
        _ => (options.recipe.clone(), None),
    };
    let package = Package::new(&checkpoint, &recipe, name, options.bundle_version)?;
    let floats = Recipe::uniform(Weights::F32);
    let floats = Package::new(&checkpoint, &floats, name, options.bundle_version)?;
    let measurement = Measurement::new(&package, &floats)?;
    let ledger =
        options.ledger.as_deref().map(|_| measurement.ledger(golden.as_ref())).transpose()?;
    let taps = measurement.taps()?;
    drop(measurement);
    let certificate = match &options.gate {
        GateOptions::Certificate(path) => Certificate::open(path, package.manifest())?,
        _ => Certificate::new(package.manifest(), recipe.floats(&checkpoint.quantisable()), gate),
    };
    let package = package.with_file(taps::FILE, taps)?;
    let package = package.with_file(CERTIFICATE, certificate.to_json().into())?;
    let package = with_memory(package, target, options)?;
    let staged = package.stage(target, options.force)?;
    let model = verify::open(staged.path())?;
    let weights = package.manifest().weights;
    let left_out = recipe.floats(&checkpoint.quantisable());
    // The golden file's set int8 is of one recipe; graphs of another are proven as floats.
    let (compared, comparisons) = match &golden {
        None => (weights, Vec::new()),
        Some(golden) if weights == Weights::F32 || golden.int8_floats() == left_out => {
            (weights, verify::verify(&model, golden, weights)?)
        }
        Some(golden) => {
            let model = verify::load(&floats.bundle()?)?;
            (Weights::F32, verify::verify(&model, golden, Weights::F32)?)
        }
    };
    drop(model);
    staged.commit()?;
    if let Some(path) = &options.recipe_out {
        let failed = |source| ErrorKind::Write { path: path.clone(), source };
        fs::write(path, recipe.to_json()).map_err(failed)?;
    }
    if let (Some(folder), Some(ledger)) = (&options.ledger, &ledger) {
        ledger.write(folder)?;
    }
    let files = package.manifest().files.iter().map(|f| (f.path.clone(), f.bytes)).collect();
    let heap = heap(package.manifest());
    let name = name.into();
    Ok(Report { name, weights, compared, files, heap, comparisons, certificate, ledger })
}

/// The package whose manifest states what each graph takes, measured on a copy beside the target.
fn with_memory(package: Package, target: &Path, options: &Options) -> Result<Package> {
    let Some(meter) = &options.meter else { return Ok(package) };
    let copy = package.stage(target, options.force)?;
    match memory::figures(meter, copy.path())? {
        Some(figures) => package.with_memory(&figures),
        None => Ok(package),
    }
}

/// What all graphs keep, from files and in place, and the most that one takes in a run above it; `None` without figures.
fn heap(manifest: &Manifest) -> Option<[u64; 3]> {
    let heap: Option<Vec<_>> = manifest.graphs.values().map(|graph| graph.memory).collect();
    let heap: Vec<_> = heap?.iter().map(GraphMemory::of_this_program).collect();
    let most = heap.iter().map(|heap| heap.run_peak).max()?;
    let [loaded, in_place] = [false, true]
        .map(|is_in_place| heap.iter().map(|heap| heap.load(is_in_place).resident).sum());
    Some([loaded, in_place, most])
}

/// The recipe that passes the gate, and how it does; with `allow_miss` the one that was given.
fn gated(
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    options: &CalibrationOptions,
    progress: Progress<'_>,
) -> Result<(Recipe, Gate)> {
    let CalibrationOptions { cache, documents, allow_miss, .. } = options;
    let list = List::open(&options.list)?;
    let limits = Limits::DEFAULT;
    let floats = Recipe::uniform(Weights::F32);
    let evaluation =
        Evaluation::new(&bundle_of(checkpoint, &floats)?, &list, *documents, cache, progress)?;
    let (mut recipe, mut ranking) = (recipe.clone(), Vec::new());
    let mut tasks = evaluation.measure(&bundle_of(checkpoint, &recipe)?)?;
    if !allow_miss && !misses(&tasks, &limits).is_empty() {
        let few = sensitivity::DOCUMENTS.min(*documents);
        ranking = rank(checkpoint, &list, few, &recipe, cache, progress)?;
        let found = search(&evaluation, checkpoint, &recipe, &ranking, &limits)?;
        (recipe, tasks) = (found.recipe, found.measures);
    }
    let misses = misses(&tasks, &limits);
    if !allow_miss && !misses.is_empty() {
        return Err(ErrorKind::Gate { misses }.into());
    }
    let (list_sha256, recordings) = (list_sha256(&list)?, list.entries().len());
    let documents = evaluation.documents().len();
    let engine = engine_name(bundle_of(checkpoint, &recipe)?.manifest().weights);
    let gate = Gate {
        list_sha256,
        engine,
        recordings,
        documents,
        limits,
        tasks,
        misses,
        sensitivity: ranking,
    };
    Ok((recipe, gate))
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
        match self.heap {
            Some([loaded, in_place, run]) => writeln!(
                f,
                "heap of the graphs: {loaded} bytes loaded, {in_place} in place, at most {run} more in a run"
            )?,
            None => writeln!(f, "heap of the graphs: not measured")?,
        }
        write!(f, "{}", self.certificate)?;
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
        write!(f, "{}", Comparisons(&self.comparisons))?;
        self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.fmt(f))
    }
}
