//! What the command accepts: an export, or what is done with bundles that exist.

mod export;
mod progress;
mod verify;

use std::fmt::Display;
use std::path::Path;

use clap::{Parser, Subcommand};

use hilbert_exporter::{ErrorKind, Result};
use hilbert_formats::Bundle;

use self::export::Export;
use self::verify::Verify;

/// Exports a trained HILBERT checkpoint to a bundle for the device.
///
/// The bundle is opened with the runtime and, with --golden, compared with the reference before it takes its place.
///
/// Exit codes: 0 ok, 2 usage, 3 the runtime refuses the bundle, 4 checkpoint or golden file unreadable or inconsistent,
/// 6 internal fault, 7 output could not be written, 8 the bundle computes something else than the reference.
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
}

impl Arguments {
    /// Does it; what it returns is for standard output.
    pub(crate) fn run(self) -> Result<Box<dyn Display>> {
        match (self.command, self.export) {
            (Some(Command::Verify(arguments)), _) => Ok(Box::new(verify::verify(&arguments)?)),
            (None, Some(arguments)) => Ok(Box::new(export::export(arguments)?)),
            // clap asks for CHECKPOINT and OUT before it comes to this.
            (None, None) => Ok(Box::new("")),
        }
    }
}

/// Opens a bundle that is given as an argument.
fn open(path: &Path) -> Result<Bundle> {
    let refused = |error: hilbert_formats::Error| ErrorKind::Runtime {
        stage: "opening it".into(),
        source: error.into(),
    };
    Ok(Bundle::open(path).map_err(refused)?)
}
