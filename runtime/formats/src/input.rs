//! Opening the files that a user names.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{ErrorKind, Result, file_name};

/// Opens a file and gives the name by which errors call it.
///
/// # Errors
/// [`ErrorKind::Directory`] for a folder, [`ErrorKind::Io`] if there is no file to read.
pub fn open(path: &Path) -> Result<(File, String)> {
    let name = file_name(path);
    let io = |cause| ErrorKind::Io { file: name.clone(), cause };
    if fs::metadata(path).map_err(io)?.is_dir() {
        return Err(ErrorKind::Directory { file: name }.into());
    }
    let file = File::open(path).map_err(io)?;
    Ok((file, name))
}
