//! Where a bundle's files are.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::content::Origin;
use super::{bundle_error, read_at_most};
use crate::error::{FileProblem, Result, file_name};

pub(super) enum Store {
    Folder(PathBuf),
    Archive(Archive),
    Memory(Vec<(String, Cow<'static, [u8]>)>),
}

impl Store {
    /// A folder, or an archive where `path` is a file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Self::Archive(Archive::open(path)?)),
            Ok(metadata) if !metadata.is_dir() => {
                Err(bundle_error(file_name(path), FileProblem::NotAFile))
            }
            // Without a folder the manifest in it is missing.
            _ => Ok(Self::Folder(path.to_owned())),
        }
    }

    pub(super) fn in_memory(files: Vec<(String, Cow<'static, [u8]>)>) -> Result<Self> {
        for (i, (name, _)) in files.iter().enumerate() {
            if files[..i].iter().any(|(other, _)| other == name) {
                return Err(bundle_error(name.clone(), FileProblem::Duplicate));
            }
        }
        Ok(Self::Memory(files))
    }

    /// Whether every file is borrowed for as long as the program runs.
    pub(super) fn is_borrowed(&self) -> bool {
        match self {
            Self::Folder(_) => false,
            Self::Archive(archive) => archive.is_borrowed(),
            Self::Memory(files) => files.iter().all(|(_, bytes)| matches!(bytes, Cow::Borrowed(_))),
        }
    }

    /// The first file of an archive of which `listed` does not hold; other stores may hold what they will.
    pub(super) fn unlisted(&self, listed: impl Fn(&str) -> bool) -> Option<&str> {
        match self {
            Self::Archive(archive) => archive.names().find(|name| !listed(name)),
            Self::Folder(_) | Self::Memory(_) => None,
        }
    }

    pub(super) fn size(&self, name: &str) -> std::result::Result<u64, FileProblem> {
        match self {
            Self::Folder(dir) => regular_file_size(&dir.join(name)),
            Self::Archive(archive) => archive.size(name).ok_or(FileProblem::Missing),
            Self::Memory(files) => {
                let file = files.iter().find(|file| file.0 == name);
                file.map(|file| file.1.len() as u64).ok_or(FileProblem::Missing)
            }
        }
    }

    /// Reads a file of at most `limit` bytes.
    pub(super) fn read(
        &self,
        name: &str,
        limit: u64,
    ) -> std::result::Result<Cow<'static, [u8]>, FileProblem> {
        self.read_with_origin(name, limit).map(|(bytes, _)| bytes)
    }

    /// Reads a file of at most `limit` bytes, and tells where it can be read again.
    pub(super) fn read_with_origin(
        &self,
        name: &str,
        limit: u64,
    ) -> std::result::Result<(Cow<'static, [u8]>, Option<Origin>), FileProblem> {
        let io = |cause| FileProblem::Io { cause };
        let size = self.size(name)?;
        let (bytes, origin): (Cow<'_, _>, _) = match self {
            Self::Folder(dir) => {
                let file = File::open(dir.join(name)).map_err(io)?;
                let bytes = read_at_most(&file, size, limit).map_err(io)?;
                (bytes.into(), Some(Origin { file: file.into(), start: 0 }))
            }
            Self::Archive(archive) => archive.read(name, limit).map_err(io)?,
            Self::Memory(files) => {
                let file = files.iter().find(|file| file.0 == name);
                (file.map(|file| file.1.clone()).unwrap_or_default(), None)
            }
        };
        if bytes.len() as u64 > limit {
            return Err(FileProblem::TooLarge { limit });
        }
        Ok((bytes, origin))
    }

    /// The file's path, or its name where it is in memory.
    pub(super) fn shown(&self, name: &str) -> String {
        let of_bundle = match self {
            Self::Folder(dir) => Some(&**dir),
            Self::Archive(archive) => archive.path(),
            Self::Memory(_) => None,
        };
        of_bundle.map_or_else(|| name.to_owned(), |path| file_name(&path.join(name)))
    }

    /// What it is, for debugging.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(archive) => match archive.path() {
                Some(path) => path.display().to_string(),
                None => "an archive in memory".to_owned(),
            },
            Self::Memory(files) => format!("{} files in memory", files.len()),
        }
    }
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
