//! `hilbert-export CHECKPOINT OUT`.

use std::env;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use hilbert_exporter::export::GATE_DOCUMENTS;
use hilbert_exporter::{CalibrationOptions, GateOptions, Names, Options, Recipe, Report, Result};
use hilbert_formats::manifest::Weights;

use super::cache_of;
use super::progress::Bar;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Folder with config.json, model.safetensors and vocab.txt
    checkpoint: PathBuf,
    /// Folder to write the bundle to
    out: PathBuf,
    /// How weights are stored
    #[arg(long, value_enum, default_value = "int8")]
    weights: WeightsArgument,
    /// Recipe in place of --weights: which tensors are stored how
    #[arg(long, value_name = "FILE", conflicts_with = "weights")]
    recipe: Option<PathBuf>,
    /// File to write the recipe to that was exported, as the gate left it
    #[arg(long, value_name = "FILE")]
    write_recipe: Option<PathBuf>,
    /// JSON object from the exporter's tensor names to those in the checkpoint's files; `*` stands for any characters
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Golden file of the same checkpoint: compared with
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Folder to write the parity ledger to: ledger.json and ledger.html
    #[arg(long, value_name = "FOLDER")]
    ledger: Option<PathBuf>,
    /// Name of the bundle instead of the checkpoint's
    #[arg(long)]
    name: Option<String>,
    /// Version of the bundle's content
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    bundle_version: u32,
    /// Recordings whose decisions prove the bundle: a list as train.py --data reads it
    #[arg(long, value_name = "LIST.jsonl")]
    calibration: Option<PathBuf>,
    /// Documents drawn of the list
    #[arg(long, value_name = "N", default_value_t = GATE_DOCUMENTS, requires = "calibration")]
    documents: usize,
    /// Folder that keeps what the encoders made of each recording; OUT.cache without it
    #[arg(long, value_name = "FOLDER", requires = "calibration")]
    cache: Option<PathBuf>,
    /// Write a bundle that misses the gate, marked; without it tensors are left out of int8 until it passes
    #[arg(long, requires = "calibration")]
    allow_miss: bool,
    /// Certificate of an earlier export of the same graphs, carried along
    #[arg(long, value_name = "FILE", conflicts_with = "calibration")]
    certificate: Option<PathBuf>,
    /// Replace the bundle that stands at OUT
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WeightsArgument {
    /// 8-bit integers with one scale for each output channel
    Int8,
    /// 32-bit floats
    F32,
}

pub(crate) fn export(arguments: Export) -> Result<Report> {
    let mut options = Options::default();
    options.recipe = match (arguments.recipe, arguments.weights) {
        (Some(path), _) => Recipe::open(&path)?,
        (None, WeightsArgument::Int8) => Recipe::uniform(Weights::Int8),
        (None, WeightsArgument::F32) => Recipe::uniform(Weights::F32),
    };
    options.names =
        arguments.map.map_or_else(|| Ok(Names::default()), |path| Names::open(&path))?;
    options.golden = arguments.golden;
    options.recipe_out = arguments.write_recipe;
    options.ledger = arguments.ledger;
    options.name = arguments.name;
    options.bundle_version = arguments.bundle_version;
    options.force = arguments.force;
    options.meter = env::current_exe().ok();
    options.gate = match (arguments.calibration, arguments.certificate) {
        (Some(list), _) => GateOptions::Calibration(CalibrationOptions {
            list,
            documents: arguments.documents,
            cache: arguments.cache.unwrap_or_else(|| cache_of(&arguments.out)),
            allow_miss: arguments.allow_miss,
        }),
        (None, Some(certificate)) => GateOptions::Certificate(certificate),
        (None, None) => GateOptions::None,
    };
    let bar = Bar::default();
    hilbert_exporter::export(&arguments.checkpoint, &arguments.out, &options, &|step, done, of| {
        bar.show(step, done, of);
    })
}
