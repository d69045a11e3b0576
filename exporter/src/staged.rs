//! Puts a bundle at its place: whole or not at all, and never over anything but a bundle.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hilbert_formats::bundle::{Bundle, MANIFEST};
use hilbert_formats::manifest::Manifest;
use hilbert_formats::signature::SIGNATURE;
use tar::{Builder, EntryType, Header};

use crate::error::{ErrorKind, Result};

/// A bundle that is written but not yet at its place. Dropped without [`Staged::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    target: PathBuf,
    /// Where the bundle that stands at the target is put meanwhile; a file is replaced by renaming alone.
    replaced: Option<PathBuf>,
}

/// What a bundle is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A folder with its files.
    Folder,
    /// One uncompressed tar file of the format USTAR, a function of the bundle's files to the byte.
    Archive,
}

/// A file of a bundle: its name and what it holds.
pub type BundleFile<'a> = (String, Cow<'a, [u8]>);

impl Staged {
    /// Writes `files` beside `target`, in their order; one is in memory at a time if the iterator has it so.
    ///
    /// # Errors
    /// [`ErrorKind::TargetExists`] for a bundle without `force`; [`ErrorKind::TargetNotBundle`] for anything else that
    /// exists, and for a bundle's folder with files that its manifest does not list; [`ErrorKind::Write`]; those of `files`.
    pub fn new<'a>(
        files: impl IntoIterator<Item = Result<BundleFile<'a>>>,
        form: Form,
        target: &Path,
        force: bool,
    ) -> Result<Self> {
        let replaces = replaceable(target, force)?;
        let no_name =
            || ErrorKind::TargetNotBundle { path: target.into(), found: "no file's name".into() };
        let name = target.file_name().ok_or_else(no_name)?.to_string_lossy();
        let beside =
            |end: &str| target.with_file_name(format!(".{name}.{}.{end}", std::process::id()));
        let moved = replaces.is_some_and(|there| (there, form) != (Form::Archive, Form::Archive));
        let replaced = moved.then(|| beside("replaced"));
        if let Some(parent) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(write_error(parent))?;
        }
        let path = beside("partial");
        let archive = match form {
            Form::Folder => fs::create_dir(&path).map(|()| None),
            Form::Archive => File::create_new(&path).map(Some),
        };
        let archive = archive.map_err(write_error(&path))?;
        let staged = Self { path, target: target.to_path_buf(), replaced };
        match archive {
            None => write_folder(files, &staged.path)?,
            Some(file) => write_archive(files, file, &staged.path)?,
        }
        Ok(staged)
    }

    /// Where the bundle is now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the bundle at its target by renaming; a folder that stands there is removed after it.
    ///
    /// # Errors
    /// [`ErrorKind::Write`]; a bundle that stood at the target is then back at its place.
    pub fn commit(self) -> Result<()> {
        if let Some(replaced) = &self.replaced {
            fs::rename(&self.target, replaced).map_err(write_error(&self.target))?;
        }
        let renamed = fs::rename(&self.path, &self.target).map_err(write_error(&self.target));
        if let Some(replaced) = &self.replaced {
            if renamed.is_err() {
                fs::rename(replaced, &self.target).map_err(write_error(&self.target))?;
            } else {
                remove(replaced).map_err(write_error(replaced))?;
            }
        }
        Ok(renamed?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.path.exists() {
            // What cannot be removed stays: the error that led here says more than this one would.
            drop(remove(&self.path));
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn write_folder<'a>(
    files: impl IntoIterator<Item = Result<BundleFile<'a>>>,
    folder: &Path,
) -> Result<()> {
    for file in files {
        let (name, bytes) = file?;
        write(&folder.join(name), &bytes)?;
    }
    Ok(())
}

/// Names and contents alone: no owner, no time, the same mode for all.
fn write_archive<'a>(
    files: impl IntoIterator<Item = Result<BundleFile<'a>>>,
    archive: File,
    path: &Path,
) -> Result<()> {
    let error = write_error(path);
    let mut archive = Builder::new(archive);
    for file in files {
        let (name, bytes) = file?;
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(&error)?;
        header.set_size(bytes.len() as u64);
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive.append(&header, &*bytes).map_err(&error)?;
    }
    archive.into_inner().and_then(|file| file.sync_all()).map_err(&error)?;
    Ok(())
}

/// The form of the bundle that stands at `target` and may be replaced; anything else there is an error.
fn replaceable(target: &Path, force: bool) -> Result<Option<Form>> {
    if fs::symlink_metadata(target).is_err() {
        return Ok(None);
    }
    let other =
        |found: &str| ErrorKind::TargetNotBundle { path: target.into(), found: found.into() };
    let form = if let Ok(entries) = fs::read_dir(target) {
        let manifest =
            fs::read(target.join(MANIFEST)).map_err(|_| other("a folder without manifest.json"))?;
        let manifest = Manifest::parse(&manifest)
            .map_err(|e| other(&format!("a folder whose manifest is not valid ({e})")))?;
        let mut known: BTreeSet<_> = manifest.files.iter().map(|f| f.path.as_str()).collect();
        known.extend([MANIFEST, SIGNATURE]);
        for entry in entries {
            let name = entry.map_err(write_error(target))?.file_name();
            if !name.to_str().is_some_and(|n| known.contains(n)) {
                let found = format!(
                    "a bundle's folder with {}, which its manifest does not list",
                    name.display()
                );
                return Err(other(&found).into());
            }
        }
        Form::Folder
    } else {
        Bundle::open(target).map_err(|e| other(&format!("a file that is no bundle ({e})")))?;
        Form::Archive
    };
    if force { Ok(Some(form)) } else { Err(ErrorKind::TargetExists { path: target.into() }.into()) }
}

/// Writes a new file, to the disk.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    Ok(written.map_err(write_error(path))?)
}

/// Writes a file, or what one holds, in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let replaced = write(&partial, bytes)
        .and_then(|()| Ok(fs::rename(&partial, path).map_err(write_error(path))?));
    if replaced.is_err() {
        drop(fs::remove_file(&partial));
    }
    replaced
}

pub(crate) fn write_error(path: &Path) -> impl Fn(io::Error) -> ErrorKind {
    move |source| ErrorKind::Write { path: path.into(), source }
}
