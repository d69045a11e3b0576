//! A bundle from one form into the other: a folder, or one archive.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use hilbert_formats::Bundle;
use hilbert_formats::bundle::MANIFEST;
use hilbert_formats::signature::SIGNATURE;

use crate::error::{ErrorKind, Result};
use crate::staged::{BundleFile, Form, Staged};

/// A bundle that was written. Its `Display` is the output of `hilbert-export pack` and `unpack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Name of the bundle.
    pub name: String,
    /// Where it is.
    pub target: PathBuf,
    /// Number of its files, manifest and signature included.
    pub files: usize,
    /// Whether it carries a signature, which is not looked at.
    pub signed: bool,
}

/// Writes `bundle` to `target` in the form `form`; each file's size and SHA-256 are checked on the way.
///
/// # Errors
/// As [`Staged::new`]; [`ErrorKind::Runtime`] for a file that is not what the manifest says.
pub fn pack(bundle: &Bundle, form: Form, target: &Path, force: bool) -> Result<Packed> {
    let signature = bundle.read_signature().map_err(ErrorKind::reading)?;
    let (signed, mut files) = (signature.is_some(), 0);
    let counted = self::files(bundle, signature).inspect(|_| files += 1);
    let staged = Staged::new(counted, form, target, force)?;
    Bundle::open(staged.path()).map_err(ErrorKind::reading)?;
    staged.commit()?;
    Ok(Packed { name: bundle.manifest().name.clone(), target: target.into(), files, signed })
}

/// Every file of `bundle` with this signature, in the order of an archive: manifest, signature, what the manifest lists.
pub(crate) fn files<'a>(
    bundle: &'a Bundle,
    signature: Option<Cow<'a, [u8]>>,
) -> impl Iterator<Item = Result<BundleFile<'a>>> {
    let manifest = bundle.read_manifest().map_err(|error| ErrorKind::reading(error).into());
    let manifest = [manifest.map(|bytes| (MANIFEST.to_owned(), bytes))];
    let signature = signature.map(|bytes| Ok((SIGNATURE.to_owned(), bytes)));
    manifest.into_iter().chain(signature).chain(listed(bundle))
}

/// Every file that the manifest lists and that is there, in its order; size and SHA-256 of each are checked.
pub(crate) fn listed<'a>(bundle: &'a Bundle) -> impl Iterator<Item = Result<BundleFile<'a>>> {
    let files = bundle.manifest().files.iter();
    let files = files.filter(|file| bundle.has(&file.path) || !file.optional);
    files.map(|file| {
        let bytes = bundle.read(&file.path).map_err(ErrorKind::reading)?;
        Ok((file.path.clone(), bytes))
    })
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, target, files, signed } = self;
        let signed = if *signed { ", its signature among them" } else { "" };
        writeln!(
            f,
            "{name}: {files} files{signed}, all as the manifest says, in {}",
            target.display()
        )
    }
}
