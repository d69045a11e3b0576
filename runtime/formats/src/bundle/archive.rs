//! A bundle as one file: an uncompressed tar archive of the format USTAR (POSIX.1-1988), read in place.
//!
//! Only what a bundle needs is taken: regular files with plain names, `manifest.json` first, and nothing beyond the two blocks
//! of zeros at the end. What another reader might understand differently is refused.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str;
use std::sync::{Mutex, PoisonError};

use super::content::Origin;
use super::read_at_most;
use crate::bundle::MANIFEST;
use crate::error::{ErrorKind, FileProblem, Result, file_name};
use crate::magic;
use crate::manifest::MAX_FILES;

/// Headers and contents begin at multiples of so many bytes.
const BLOCK: usize = 512;
/// The manifest, its signature, and what the manifest lists.
const MAX_ENTRIES: usize = MAX_FILES + 2;

/// An archive that was indexed: its headers were read and checked, of its files nothing was read.
pub(super) struct Archive {
    entries: Vec<Entry>,
    content: Content,
}

enum Content {
    File(PathBuf, Mutex<File>),
    Memory(Cow<'static, [u8]>),
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    /// Where its content begins, bytes from the start of the archive.
    at: u64,
    /// Size of its content.
    bytes: u64,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let error = |problem| ErrorKind::Bundle { file: file_name(path), problem };
        let mut file = File::open(path).map_err(|cause| error(FileProblem::Io { cause }))?;
        let entries = index(&mut file).map_err(error)?;
        Ok(Self { entries, content: Content::File(path.to_owned(), Mutex::new(file)) })
    }

    pub(super) fn in_memory(bytes: Cow<'static, [u8]>) -> Result<Self> {
        let entries = index(&mut Cursor::new(&*bytes))
            .map_err(|problem| ErrorKind::Bundle { file: "archive".to_owned(), problem })?;
        Ok(Self { entries, content: Content::Memory(bytes) })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::File(path, _) => Some(path),
            Content::Memory(_) => None,
        }
    }

    pub(super) const fn is_borrowed(&self) -> bool {
        matches!(self.content, Content::Memory(Cow::Borrowed(_)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.entry(name).map(|entry| entry.bytes)
    }

    /// Reads at most one byte more than `limit`, and tells where it can be read again; nothing where there is no such file.
    pub(super) fn read(
        &self,
        name: &str,
        limit: u64,
    ) -> io::Result<(Cow<'static, [u8]>, Option<Origin>)> {
        let Some(entry) = self.entry(name) else { return Ok((Cow::default(), None)) };
        match &self.content {
            Content::File(_, file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(entry.at))?;
                let bytes = read_at_most((&mut *file).take(entry.bytes), entry.bytes, limit)?;
                let origin = Origin { file: file.try_clone()?.into(), start: entry.at };
                Ok((bytes.into(), Some(origin)))
            }
            Content::Memory(Cow::Borrowed(bytes)) => Ok((entry.of(bytes).into(), None)),
            Content::Memory(Cow::Owned(bytes)) => Ok((entry.of(bytes).to_vec().into(), None)),
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    /// Its content; the index has made sure that it is there.
    fn of<'a>(&self, archive: &'a [u8]) -> &'a [u8] {
        let range = usize::try_from(self.at).ok().zip(usize::try_from(self.at + self.bytes).ok());
        range.and_then(|(start, end)| archive.get(start..end)).unwrap_or_default()
    }
}

/// Where each file of an archive is. Reads the headers alone.
fn index(archive: &mut (impl Read + Seek)) -> std::result::Result<Vec<Entry>, FileProblem> {
    let io = |cause| FileProblem::Io { cause };
    let length = archive.seek(SeekFrom::End(0)).map_err(io)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = 0;
    loop {
        let block = read_block(archive, at)?;
        if block == [0; BLOCK] {
            break;
        }
        let (name, bytes) = header(&block).map_err(|wrong| wrong.at(at))?;
        if entries.is_empty() && name != MANIFEST {
            return Err(wrong(format!("the file {name}"), "manifest.json as the first").at(at));
        }
        if entries.iter().any(|entry| entry.name == name) {
            return Err(wrong(format!("a second file {name}"), "one of this name").at(at));
        }
        if entries.len() == MAX_ENTRIES {
            return Err(wrong("one more file", &format!("at most {MAX_ENTRIES} files")).at(at));
        }
        let start = at + BLOCK as u64;
        let there = length.saturating_sub(start);
        if there < bytes {
            return Err(wrong(format!("{there} bytes of {name}"), &bytes.to_string()).at(start));
        }
        entries.push(Entry { name: name.to_owned(), at: start, bytes });
        at = start + bytes.next_multiple_of(BLOCK as u64);
    }
    at += BLOCK as u64;
    if read_block(archive, at)? != [0; BLOCK] {
        return Err(wrong("one block of zeros", "two at the end").at(at));
    }
    at += BLOCK as u64;
    match length.saturating_sub(at) {
        0 if entries.is_empty() => Err(wrong("no file", "manifest.json as the first").at(0)),
        0 => Ok(entries),
        more => Err(wrong(format!("{more} bytes after the end"), "none").at(at)),
    }
}

fn read_block(
    archive: &mut (impl Read + Seek),
    at: u64,
) -> std::result::Result<[u8; BLOCK], FileProblem> {
    let io = |cause| FileProblem::Io { cause };
    archive.seek(SeekFrom::Start(at)).map_err(io)?;
    let bytes = read_at_most(archive.take(BLOCK as u64), BLOCK as u64, BLOCK as u64).map_err(io)?;
    let found = bytes.len();
    <[u8; BLOCK]>::try_from(bytes).map_err(|bytes| match magic::describe(&bytes) {
        Some(found) if at == 0 => wrong(found, EXPECTED).at(0),
        _ => wrong(format!("{found} bytes"), "a block of 512").at(at),
    })
}

const EXPECTED: &str = "a bundle's folder or its archive, a tar file of the format USTAR";

/// Name and size of a file by its header.
///
/// The fields that are read: name (0 to 100), size (124 to 136), checksum (148 to 156), type (156), magic and version (257 to
/// 265), prefix of the name (345 to 500). Owner, mode and time mean nothing to a bundle.
fn header(block: &[u8; BLOCK]) -> std::result::Result<(&str, u64), Wrong> {
    let field = |start: usize, end: usize| block.get(start..end).unwrap_or_default();
    match field(257, 265) {
        b"ustar\x0000" => {}
        b"ustar  \0" => return Err(wrong("a tar file in GNU's format", EXPECTED)),
        _ => {
            let found = magic::describe(block).unwrap_or("no header of a tar file");
            return Err(wrong(found, EXPECTED));
        }
    }
    let stated = field(148, 156);
    let around = field(0, 148).iter().chain(field(156, BLOCK));
    let sum = around.map(|&byte| u64::from(byte)).sum::<u64>() + 8 * u64::from(b' ');
    if octal(stated) != Some(sum) {
        let found = format!("a checksum of {}", digits(stated).escape_ascii());
        return Err(wrong(found, &format!("the header's, {sum:o} in octal")));
    }
    let found = match field(156, 157) {
        b"0" => None,
        b"1" => Some("a hard link"),
        b"2" => Some("a symbolic link"),
        b"3" | b"4" => Some("a device"),
        b"5" => Some("a folder"),
        b"6" => Some("a pipe"),
        b"x" | b"g" => Some("an extended header (pax)"),
        b"L" | b"K" => Some("a long name of GNU's format"),
        _ => Some("an entry of another type"),
    };
    if let Some(found) = found {
        return Err(wrong(found, "a regular file"));
    }
    let name = field(0, 100);
    let name = name.split(|&byte| byte == 0).next().and_then(|name| str::from_utf8(name).ok());
    let name = name.filter(|name| !name.is_empty() && !name.contains('/'));
    let (Some(name), Some(0)) = (name, field(345, 346).first()) else {
        return Err(wrong("another name", "a name without folders, at most 100 bytes of UTF-8"));
    };
    let size = field(124, 136);
    let no_number = || {
        let found = format!("a size of {}", digits(size).escape_ascii());
        wrong(found, "a number of bytes in octal")
    };
    Ok((name, octal(size).ok_or_else(no_number)?))
}

/// A number in octal.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = digits(field);
    let octal = !digits.is_empty() && digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    if octal { u64::from_str_radix(str::from_utf8(digits).ok()?, 8).ok() } else { None }
}

/// A number without the spaces and zeros that writers put around it.
fn digits(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or_default().trim_ascii()
}

/// What is wrong, and not yet where.
struct Wrong(String, String);

impl Wrong {
    fn at(self, at: u64) -> FileProblem {
        FileProblem::Archive { at, found: self.0, expected: self.1 }
    }
}

fn wrong(found: impl Into<String>, expected: &str) -> Wrong {
    Wrong(found.into(), expected.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read, Seek, SeekFrom};

    use super::{BLOCK, index};

    /// Counts the bytes that are read.
    struct Counting(Cursor<Vec<u8>>, usize);

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn the_index_reads_one_block_a_file_and_the_two_at_the_end() {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in [("manifest.json", 700), ("large.onnx", 5 << 20), ("empty", 0)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes as u64);
            header.set_path(name).unwrap();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            builder.append(&header, &*vec![1; bytes]).unwrap();
        }
        let mut archive = Counting(Cursor::new(builder.into_inner().unwrap()), 0);
        let entries = index(&mut archive).unwrap();
        let places: Vec<_> = entries.iter().map(|entry| (entry.at, entry.bytes)).collect();
        assert_eq!(places, [(512, 700), (2048, 5 << 20), (2560 + (5 << 20), 0)]);
        assert_eq!(archive.1, 5 * BLOCK);
    }
}
