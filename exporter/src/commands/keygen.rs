//! `hilbert-export keygen OUT`.

use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::signing::{self, Keys};

use super::password;

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Where to write the keys, with .pub and .key behind it; keys are never overwritten
    out: PathBuf,
    /// Write the secret key as it is. Without it a password that protects it is asked for on the terminal, or is the first
    /// line of what is piped in
    #[arg(long)]
    no_password: bool,
}

pub(crate) fn keygen(arguments: &Keygen) -> Result<Keys> {
    let password = if arguments.no_password { None } else { Some(password::choose()?) };
    signing::keygen(&arguments.out, password)
}
