//! What one file of a bundle holds, and parts of it that stay where they are.

use std::borrow::Cow;
use std::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use crate::error::{ErrorKind, FileProblem, Result};

/// A file of a bundle in memory, checked against the manifest.
#[derive(Debug)]
pub struct Content {
    /// Path or name, by which errors call it.
    pub(super) name: String,
    pub(super) bytes: Cow<'static, [u8]>,
    /// Where the bytes were read from, and can be again.
    pub(super) origin: Option<Origin>,
}

/// A file, or an archive that holds it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) file: Arc<File>,
    /// Where the content begins, bytes.
    pub(super) start: u64,
}

impl Content {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, borrowed if they are part of the program.
    #[must_use]
    pub fn into_bytes(self) -> Cow<'static, [u8]> {
        self.bytes
    }

    /// The bytes in `range`: where they lie if the content is part of the program, else copied. Of a range beyond the end there are
    /// none.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Cow<'static, [u8]> {
        match &self.bytes {
            Cow::Borrowed(all) => all.get(range).unwrap_or_default().into(),
            Cow::Owned(all) => all.get(range).unwrap_or_default().to_vec().into(),
        }
    }

    /// The records of `length` bytes each that lie in `range`, to be read later: where the program holds them, or in the file.
    /// They are copied only where neither is possible. A range beyond the end, or of no whole number of records, holds fewer.
    #[must_use]
    pub fn records(&self, range: Range<usize>, length: usize) -> Records {
        let length = length.max(1);
        let bytes = self.bytes.get(range.clone()).unwrap_or_default();
        let place = match (&self.bytes, &self.origin) {
            (Cow::Borrowed(all), _) => Place::Program(all.get(range).unwrap_or_default()),
            (Cow::Owned(_), Some(origin)) if CAN_READ_AT => {
                let seed = RandomState::new();
                let sums = bytes.chunks_exact(length).map(|record| seed.hash_one(record)).collect();
                let start = origin.start + range.start as u64;
                let (file, name) = (Arc::clone(&origin.file), self.name.clone());
                Place::File { file, start, sums, seed, name }
            }
            (Cow::Owned(_), _) => Place::Memory(bytes.into()),
        };
        Records { length, count: bytes.len() / length, place }
    }
}

/// Records of one length, in order.
///
/// What is read from a file is held against a sum that was taken when the file was checked, with a seed that nobody else knows:
/// a bundle that is changed while it is in use is an error, and never other weights.
pub struct Records {
    length: usize,
    count: usize,
    place: Place,
}

enum Place {
    Program(&'static [u8]),
    Memory(Box<[u8]>),
    File { file: Arc<File>, start: u64, sums: Box<[u64]>, seed: RandomState, name: String },
}

impl Records {
    /// Records that are in memory.
    #[must_use]
    pub fn in_memory(bytes: &[u8], length: usize) -> Self {
        let length = length.max(1);
        Self { length, count: bytes.len() / length, place: Place::Memory(bytes.into()) }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of one.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Bytes of heap that they take.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.place {
            Place::Program(_) => 0,
            Place::Memory(bytes) => bytes.len(),
            Place::File { sums, name, .. } => size_of_val(&**sums) + name.len(),
        }
    }

    /// Record `i`, which is there; read into `buffer` of one record's length where it is not in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] if the file cannot be read or was changed; [`ErrorKind::Internal`] for a record that is not there and a
    /// buffer of another length.
    pub fn read<'a>(&'a self, i: usize, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
        let within = (i < self.count && buffer.len() == self.length).then_some(i * self.length);
        let start = within.ok_or_else(|| ErrorKind::Internal {
            what: format!(
                "found record {i} for {} bytes, expected one of {} of {} bytes",
                buffer.len(),
                self.count,
                self.length
            ),
        })?;
        match &self.place {
            Place::Program(bytes) => Ok(&bytes[start..start + self.length]),
            Place::Memory(bytes) => Ok(&bytes[start..start + self.length]),
            Place::File { file, start: first, sums, seed, name } => {
                let error = |problem| ErrorKind::Bundle { file: name.clone(), problem };
                read_at(file, first + start as u64, buffer)
                    .map_err(|cause| error(FileProblem::Io { cause }))?;
                if seed.hash_one(&*buffer) != sums[i] {
                    return Err(error(FileProblem::Changed).into());
                }
                Ok(buffer)
            }
        }
    }
}

impl Debug for Records {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Program(_) => "program",
            Place::Memory(_) => "memory",
            Place::File { .. } => "file",
        };
        f.debug_struct("Records")
            .field("count", &self.count)
            .field("length", &self.length)
            .field("place", &place)
            .finish_non_exhaustive()
    }
}

/// Whether files can be read without moving their position, which other threads would notice.
const CAN_READ_AT: bool = cfg!(unix);

#[cfg(unix)]
fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(not(unix))]
fn read_at(_: &File, _: u64, _: &mut [u8]) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
