//! A bundle: `manifest.json` and the files that it lists, in a folder or embedded in the program.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, FileProblem, Result, file_name};
use crate::manifest::{FileEntry, MAX_MANIFEST_BYTES, Manifest};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";

/// A bundle whose manifest was checked, and whose files are checked as they are read.
pub struct Bundle {
    manifest: Manifest,
    manifest_sha256: String,
    store: Store,
}

enum Store {
    Folder(PathBuf),
    Memory(Vec<(String, Cow<'static, [u8]>)>),
}

impl Bundle {
    /// Opens the bundle in the folder `dir`: reads and checks the manifest, and looks at the size of every file.
    ///
    /// Files that the manifest does not list are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if the manifest or a file that is not optional is missing, or a file has another size than
    /// the manifest states; [`ErrorKind::Manifest`], [`ErrorKind::ManifestSchema`] or [`ErrorKind::ManifestSyntax`] if
    /// the manifest is wrong.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let size =
            regular_file_size(&path).map_err(|problem| bundle_error(file_name(&path), problem))?;
        let bytes = read_at_most(&path, size, MAX_MANIFEST_BYTES)
            .map_err(|cause| bundle_error(file_name(&path), FileProblem::Io { cause }))?;
        Self::new(&bytes, Store::Folder(dir.to_owned()))
    }

    /// A bundle whose files are embedded, named as in the manifest; one of them is [`MANIFEST`].
    ///
    /// # Errors
    /// As [`Bundle::open`], and [`FileProblem::Duplicate`] for a name that stands twice.
    pub fn from_files(files: &[(&str, &'static [u8])]) -> Result<Self> {
        let file = |&(name, bytes): &(&str, &'static [u8])| (name.to_owned(), bytes.into());
        Self::in_memory(files.iter().map(file).collect())
    }

    /// A bundle whose files are in memory, named as in the manifest; one of them is [`MANIFEST`].
    ///
    /// # Errors
    /// As [`Bundle::from_files`].
    pub fn from_owned(files: Vec<(String, Vec<u8>)>) -> Result<Self> {
        Self::in_memory(files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect())
    }

    fn in_memory(files: Vec<(String, Cow<'static, [u8]>)>) -> Result<Self> {
        for (i, (name, _)) in files.iter().enumerate() {
            if files[..i].iter().any(|(other, _)| other == name) {
                return Err(bundle_error(name.clone(), FileProblem::Duplicate));
            }
        }
        let Some((_, manifest)) = files.iter().find(|(name, _)| name == MANIFEST).cloned() else {
            return Err(bundle_error(MANIFEST.to_owned(), FileProblem::Missing));
        };
        Self::new(&manifest, Store::Memory(files))
    }

    fn new(manifest: &[u8], store: Store) -> Result<Self> {
        let bundle =
            Self { manifest: Manifest::parse(manifest)?, manifest_sha256: sha256(manifest), store };
        for entry in &bundle.manifest.files {
            match bundle.size(&entry.path) {
                Ok(found) if found == entry.bytes => {}
                Ok(found) => return Err(bundle.wrong_size(entry, found)),
                Err(FileProblem::Missing) if entry.optional => {}
                Err(problem) => return Err(bundle_error(bundle.shown(&entry.path), problem)),
            }
        }
        Ok(bundle)
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

    /// Whether the file `name` is listed and there; one that is not optional always is, unless it was removed since.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.manifest.files.iter().any(|entry| entry.path == name) && self.size(name).is_ok()
    }

    /// Reads the file `name`, and checks its size and SHA-256 each time.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if it is not listed or missing, cannot be read, or is not what the manifest says.
    pub fn read(&self, name: &str) -> Result<Cow<'static, [u8]>> {
        let error = |problem| bundle_error(self.shown(name), problem);
        let entry = self.manifest.files.iter().find(|entry| entry.path == name);
        let entry = entry.ok_or_else(|| error(FileProblem::NotListed))?;
        let found = self.size(name).map_err(error)?;
        if found != entry.bytes {
            return Err(self.wrong_size(entry, found));
        }
        let bytes: Cow<'static, [u8]> = match &self.store {
            Store::Folder(dir) => read_at_most(&dir.join(name), entry.bytes, entry.bytes)
                .map_err(|cause| error(FileProblem::Io { cause }))?
                .into(),
            Store::Memory(files) => files
                .iter()
                .find(|file| file.0 == name)
                .map(|file| file.1.clone())
                .unwrap_or_default(),
        };
        // It may have changed since its size was asked for.
        if bytes.len() as u64 != entry.bytes {
            return Err(self.wrong_size(entry, bytes.len() as u64));
        }
        let found = sha256(&bytes);
        if found != entry.sha256 {
            return Err(error(FileProblem::Sha256 { found, expected: entry.sha256.clone() }));
        }
        Ok(bytes)
    }

    fn size(&self, name: &str) -> std::result::Result<u64, FileProblem> {
        match &self.store {
            Store::Folder(dir) => regular_file_size(&dir.join(name)),
            Store::Memory(files) => {
                let file = files.iter().find(|file| file.0 == name);
                file.map(|file| file.1.len() as u64).ok_or(FileProblem::Missing)
            }
        }
    }

    /// The file's path, or its name where it is in memory.
    fn shown(&self, name: &str) -> String {
        match &self.store {
            Store::Folder(dir) => file_name(&dir.join(name)),
            Store::Memory(_) => name.to_owned(),
        }
    }

    fn wrong_size(&self, entry: &FileEntry, found: u64) -> Error {
        bundle_error(self.shown(&entry.path), FileProblem::Size { found, expected: entry.bytes })
    }
}

impl Debug for Bundle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let store = match &self.store {
            Store::Folder(dir) => format!("{}", dir.display()),
            Store::Memory(files) => format!("{} files in memory", files.len()),
        };
        f.debug_struct("Bundle")
            .field("name", &self.manifest.name)
            .field("store", &store)
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

/// Asked before a file is opened, because opening a pipe may wait for ever.
fn regular_file_size(path: &Path) -> std::result::Result<u64, FileProblem> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Err(FileProblem::NotAFile),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(FileProblem::Missing),
        Err(cause) => Err(FileProblem::Io { cause }),
    }
}

/// Reads at most one byte more than `limit`, into a buffer for `expected` bytes.
fn read_at_most(path: &Path, expected: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(expected.min(limit)).unwrap_or(usize::MAX))?;
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
