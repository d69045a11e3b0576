//! `hilbert-export sign BUNDLE --key SECRET`.

use std::path::PathBuf;

use clap::Args;

use hilbert_exporter::Result;
use hilbert_exporter::signing::{self, SecretKey, SignedBundle};

use super::password;

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The bundle, a folder or an archive
    bundle: PathBuf,
    /// The secret key; its password is asked for on the terminal, or is the first line of what is piped in
    #[arg(long, value_name = "SECRET.key")]
    key: PathBuf,
    /// Comment that is signed too [default: the bundle's name and version]
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

pub(crate) fn sign(arguments: &Sign) -> Result<SignedBundle> {
    let key = SecretKey::open(&arguments.key, || password::ask("Password of the key: "))?;
    signing::sign(&arguments.bundle, &key, arguments.comment.as_deref())
}
