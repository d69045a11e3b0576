//! What the command accepts: an export, or what is done with bundles that exist.

mod diff;
mod export;
mod inspect;
mod keygen;
mod measure;
mod output;
mod pack;
mod password;
mod progress;
mod sign;
mod verify;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use hilbert_exporter::staged::Form;
use hilbert_exporter::{ErrorKind, Result};
use hilbert_formats::{Bundle, PublicKey};

use self::diff::Diff;
use self::export::Export;
use self::inspect::Inspect;
use self::keygen::Keygen;
use self::measure::Measure;
use self::pack::Pack;
use self::sign::Sign;
use self::verify::Verify;

/// Exports a trained HILBERT checkpoint to a bundle for the device.
///
/// The bundle is opened with the runtime and, with --golden, compared with the reference before it takes its place.
///
/// Exit codes: 0 ok, 2 usage, 3 the runtime refuses the bundle, 4 checkpoint, list, golden file or key unreadable or
/// inconsistent, 6 internal fault, 7 output could not be written, 8 the bundle computes something else than the reference.
#[derive(Debug, Parser)]
#[command(
    name = "hilbert-export",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    export: Option<Export>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks a bundle: hashes, graphs, certificate, every layer on this machine
    Verify(Verify),
    /// Tells what a bundle is: model, stages, tasks, and how each graph is stored
    Inspect(Inspect),
    /// Tells what changed from one bundle to another, and which documents change class
    ///
    /// Exit code 0 whether or not anything did.
    Diff(Diff),
    /// Writes a bundle as one archive
    Pack(Pack),
    /// Writes a bundle as a folder
    Unpack(Pack),
    /// Signs a bundle: a signature of its manifest, as minisign makes it
    Sign(Sign),
    /// Makes a key pair to sign bundles with, as minisign does
    Keygen(Keygen),
    /// Measures the heap that each graph of a bundle takes in this program on this machine, bytes
    Measure(Measure),
}

impl Arguments {
    /// Does it; what it returns is for standard output.
    pub(crate) fn run(self) -> Result<Box<dyn Display>> {
        match (self.command, self.export) {
            (Some(Command::Verify(arguments)), _) => Ok(Box::new(verify::verify(&arguments)?)),
            (Some(Command::Inspect(arguments)), _) => inspect::inspect(&arguments),
            (Some(Command::Diff(arguments)), _) => diff::diff(arguments),
            (Some(Command::Pack(arguments)), _) => Ok(Box::new(arguments.run(Form::Archive)?)),
            (Some(Command::Unpack(arguments)), _) => Ok(Box::new(arguments.run(Form::Folder)?)),
            (Some(Command::Sign(arguments)), _) => Ok(Box::new(sign::sign(&arguments)?)),
            (Some(Command::Keygen(arguments)), _) => Ok(Box::new(keygen::keygen(&arguments)?)),
            (Some(Command::Measure(arguments)), _) => measure::measure(&arguments),
            (None, Some(arguments)) => Ok(Box::new(export::export(arguments)?)),
            // clap asks for CHECKPOINT and OUT before it comes to this.
            (None, None) => Ok(Box::new("")),
        }
    }
}

/// The path of a bundle with `.cache` behind it: where what the encoders made of recordings is kept.
fn cache_of(bundle: &Path) -> PathBuf {
    let mut path = bundle.as_os_str().to_owned();
    path.push(".cache");
    path.into()
}

/// Opens a bundle that is given as an argument.
fn open(path: &Path) -> Result<Bundle> {
    open_trusted(path, &[])
}

/// Opens a bundle if one of the keys signed it; any bundle where no key is given.
fn open_trusted(path: &Path, keys: &[String]) -> Result<Bundle> {
    let refused = |error: hilbert_formats::Error| ErrorKind::Runtime {
        stage: format!("opening {}", path.display()),
        source: error.into(),
    };
    let key = |key: &String| Ok(PublicKey::from_argument(key).map_err(ErrorKind::TrustedKey)?);
    let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
    let opened =
        if keys.is_empty() { Bundle::open(path) } else { Bundle::open_trusted(path, &keys) };
    Ok(opened.map_err(refused)?)
}
