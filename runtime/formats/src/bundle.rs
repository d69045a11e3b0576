//! A bundle: `manifest.json` and the files that it lists, in a folder, in an archive or embedded in the program.

mod archive;
mod content;
mod store;

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use self::archive::Archive;
pub use self::content::{Content, Records};
use self::store::Store;
use crate::error::{Error, ErrorKind, FileProblem, Result};
use crate::manifest::{FileEntry, MAX_MANIFEST_BYTES, Manifest};
use crate::signature::{self, MAX_SIGNATURE_BYTES, PublicKey, SIGNATURE, Signed};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// A bundle whose manifest was checked, and whose files are checked as they are read.
pub struct Bundle {
    manifest: Manifest,
    manifest_sha256: String,
    signed: Option<Signed>,
    store: Store,
    /// Whether files are hashed when they are read.
    is_hashed: bool,
}

impl Bundle {
    /// Opens the bundle at `path`, a folder or an archive: reads and checks the manifest, and looks at the size of every file.
    ///
    /// Of an archive the headers are read now, and each file where it lies when it is asked for. Files that the manifest does
    /// not list are ignored in a folder and refused in an archive. A signature is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if the manifest or a file that is not optional is missing, a file has another size than
    /// the manifest states, or an archive is not of its form; [`ErrorKind::Manifest`], [`ErrorKind::ManifestSchema`] or
    /// [`ErrorKind::ManifestSyntax`] if the manifest is wrong.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(Store::open(path)?, None)
    }

    /// Opens the bundle at `path` if one of the keys `trusted` signed it. Nothing of it is parsed before that is proven, but
    /// the headers of an archive.
    ///
    /// # Errors
    /// As [`Bundle::open`], and [`ErrorKind::Bundle`] with [`FileProblem::Unsigned`], [`FileProblem::SignedBy`],
    /// [`FileProblem::Forged`] or [`FileProblem::Content`] for a signature that is missing, another's, of something else or
    /// none. Without a key no bundle is trusted.
    pub fn open_trusted(path: &Path, trusted: &[PublicKey]) -> Result<Self> {
        Self::new(Store::open(path)?, Some(trusted))
    }

    /// A bundle in an archive in memory, such as flash that can be addressed. [`Bundle::read`] borrows from bytes that are
    /// borrowed, and copies a file from bytes that are owned.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn from_archive(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        Self::new(Store::Archive(Archive::in_memory(bytes.into())?), None)
    }

    /// A bundle in an archive in memory, if one of the keys `trusted` signed it.
    ///
    /// # Errors
    /// As [`Bundle::open_trusted`].
    pub fn from_archive_trusted(
        bytes: impl Into<Cow<'static, [u8]>>,
        trusted: &[PublicKey],
    ) -> Result<Self> {
        Self::new(Store::Archive(Archive::in_memory(bytes.into())?), Some(trusted))
    }

    /// A bundle whose files are embedded, named as in the manifest; one of them is [`MANIFEST`].
    ///
    /// # Errors
    /// As [`Bundle::open`], and [`FileProblem::Duplicate`] for a name that stands twice.
    pub fn from_files(files: &[(&str, &'static [u8])]) -> Result<Self> {
        let file = |&(name, bytes): &(&str, &'static [u8])| (name.to_owned(), bytes.into());
        Self::new(Store::in_memory(files.iter().map(file).collect())?, None)
    }

    /// A bundle that is part of the program, whose author has held it against its manifest: as [`Bundle::from_files`], but files are not
    /// hashed when they are read. A program whose data was changed has been changed itself, and what is not read, such as most
    /// rows of a table, takes no memory.
    ///
    /// # Errors
    /// As [`Bundle::from_files`].
    pub fn from_program(files: &[(&str, &'static [u8])]) -> Result<Self> {
        Ok(Self { is_hashed: false, ..Self::from_files(files)? })
    }

    /// A bundle whose files are in memory, named as in the manifest; one of them is [`MANIFEST`].
    ///
    /// # Errors
    /// As [`Bundle::from_files`].
    pub fn from_owned(files: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let files = files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        Self::new(Store::in_memory(files)?, None)
    }

    fn new(store: Store, trusted: Option<&[PublicKey]>) -> Result<Self> {
        let error = |name: &str, problem| bundle_error(store.shown(name), problem);
        let manifest =
            store.read(MANIFEST, MAX_MANIFEST_BYTES).map_err(|problem| error(MANIFEST, problem))?;
        let signed = match trusted {
            Some(trusted) => {
                let signed = match store.read(SIGNATURE, MAX_SIGNATURE_BYTES) {
                    Ok(signature) => signature::verify(&manifest, &signature, trusted),
                    Err(FileProblem::Missing) => {
                        Err(FileProblem::Unsigned { expected: signature::names(trusted) })
                    }
                    Err(problem) => Err(problem),
                };
                Some(signed.map_err(|problem| error(SIGNATURE, problem))?)
            }
            None => None,
        };
        let manifest_sha256 = sha256(&manifest);
        let manifest = Manifest::parse(&manifest)?;
        let bundle = Self { manifest, manifest_sha256, signed, store, is_hashed: true };
        bundle.check_files()?;
        Ok(bundle)
    }

    fn check_files(&self) -> Result<()> {
        let known = |name: &str| matches!(name, MANIFEST | SIGNATURE) || self.entry(name).is_some();
        if let Some(name) = self.store.unlisted(known) {
            return Err(self.error(name, FileProblem::NotListed));
        }
        for entry in &self.manifest.files {
            match self.store.size(&entry.path) {
                Ok(found) if found == entry.bytes => {}
                Ok(found) => return Err(self.wrong_size(entry, found)),
                Err(FileProblem::Missing) if entry.optional => {}
                Err(problem) => return Err(self.error(&entry.path, problem)),
            }
        }
        Ok(())
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of `manifest.json`, 64 lower-case hexadecimal digits. It identifies the bundle: the manifest holds the
    /// SHA-256 of every other file.
    #[must_use]
    pub fn manifest_sha256(&self) -> &str {
        &self.manifest_sha256
    }

    /// Who signed the bundle; nobody that is known of where it was opened without a key.
    #[must_use]
    pub fn signed(&self) -> Option<&Signed> {
        self.signed.as_ref()
    }

    /// Whether its files are part of the program, or of memory that lasts as long, such as flash that can be addressed: what is read
    /// of them is then not copied.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.store.is_borrowed()
    }

    /// Whether the file `name` is listed and there; one that is not optional always is, unless it was removed since.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some() && self.store.size(name).is_ok()
    }

    /// Reads the file `name`, and checks its size and SHA-256 each time, its size alone where it is part of the program
    /// ([`Bundle::from_program`]).
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if it is not listed or missing, cannot be read, or is not what the manifest says.
    pub fn read(&self, name: &str) -> Result<Cow<'static, [u8]>> {
        self.read_content(name).map(Content::into_bytes)
    }

    /// Reads the file `name` as [`Bundle::read`] does; parts of it can be read again without holding it all.
    ///
    /// # Errors
    /// As [`Bundle::read`].
    pub fn read_content(&self, name: &str) -> Result<Content> {
        let error = |problem| self.error(name, problem);
        let entry = self.entry(name).ok_or_else(|| error(FileProblem::NotListed))?;
        let found = self.store.size(name).map_err(error)?;
        if found != entry.bytes {
            return Err(self.wrong_size(entry, found));
        }
        let (bytes, origin) = self.store.read_with_origin(name, entry.bytes).map_err(error)?;
        // It may have changed since its size was asked for.
        if bytes.len() as u64 != entry.bytes {
            return Err(self.wrong_size(entry, bytes.len() as u64));
        }
        let bytes = match self.is_hashed {
            true => self.with_sha256(name, bytes, &entry.sha256)?,
            false => bytes,
        };
        Ok(Content { name: self.store.shown(name), bytes, origin })
    }

    /// Reads `manifest.json` as it is stored, which is what a signature is of.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if it cannot be read, or is no longer what was opened.
    pub fn read_manifest(&self) -> Result<Cow<'static, [u8]>> {
        let bytes = self.store.read(MANIFEST, MAX_MANIFEST_BYTES);
        let bytes = bytes.map_err(|problem| self.error(MANIFEST, problem))?;
        self.with_sha256(MANIFEST, bytes, &self.manifest_sha256)
    }

    /// Reads the signature, if there is one. It proves nothing before it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if it is there and cannot be read, or is too large.
    pub fn read_signature(&self) -> Result<Option<Cow<'static, [u8]>>> {
        match self.store.read(SIGNATURE, MAX_SIGNATURE_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FileProblem::Missing) => Ok(None),
            Err(problem) => Err(self.error(SIGNATURE, problem)),
        }
    }

    fn entry(&self, name: &str) -> Option<&FileEntry> {
        self.manifest.files.iter().find(|entry| entry.path == name)
    }

    fn with_sha256(
        &self,
        name: &str,
        bytes: Cow<'static, [u8]>,
        expected: &str,
    ) -> Result<Cow<'static, [u8]>> {
        let found = sha256(&bytes);
        if found == expected {
            Ok(bytes)
        } else {
            let expected = expected.to_owned();
            Err(self.error(name, FileProblem::Sha256 { found, expected }))
        }
    }

    fn wrong_size(&self, entry: &FileEntry, found: u64) -> Error {
        self.error(&entry.path, FileProblem::Size { found, expected: entry.bytes })
    }

    fn error(&self, name: &str, problem: FileProblem) -> Error {
        bundle_error(self.store.shown(name), problem)
    }
}

impl Debug for Bundle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("name", &self.manifest.name)
            .field("store", &self.store.description())
            .finish_non_exhaustive()
    }
}

/// Lower-case hexadecimal SHA-256, as manifests state it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .flat_map(|&b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

fn bundle_error(file: String, problem: FileProblem) -> Error {
    ErrorKind::Bundle { file, problem }.into()
}

/// Reads at most one byte more than `limit`, into a buffer for `expected` bytes.
fn read_at_most(file: impl Read, expected: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(expected.min(limit)).unwrap_or(usize::MAX))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
