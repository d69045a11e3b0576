//! What was encoded of a recording, in a file: a program that was killed goes on from there, to the same result.
//!
//! The recording is read and cut anew, which costs little, and each segment's row is taken from the file in place of the encoder's, if
//! the file has it and the samples are the same. The last segments are encoded all the same, for the alignment holds their
//! posteriors. Records are written one at a time, each with its checksum: of one that was cut off, nothing is taken.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use hilbert_formats::Cue;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::segment::Segment;

/// First bytes of a journal.
const MAGIC: &[u8; 16] = b"hilbert.journal1";
/// Bytes of a checksum: the first of a SHA-256.
const SUM: usize = 8;
/// Bytes of a record before its row: start, end, sum of the samples, number of fits.
const HEAD: usize = 8 + 8 + SUM + 4;
/// Bytes of the fit of a cue: its number, the fit.
const FIT: usize = 4 + 8;

/// The file, and what of it is still to be taken.
#[derive(Debug)]
pub(crate) struct Journal {
    name: String,
    file: File,
    /// Records that are taken in place of the encoder, and among them how many are encoded all the same, the last ones.
    replay: Option<Replay>,
    record: Vec<u8>,
    row_bytes: usize,
}

#[derive(Debug)]
struct Replay {
    reader: BufReader<File>,
    /// Records that are left, and those of them that are encoded all the same.
    left: usize,
    encoded: usize,
}

/// What a journal knows of a segment.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Whether its row stands for the encoder's.
    pub(crate) is_enough: bool,
    /// The fits of the cues that ended within it, by their numbers.
    pub(crate) fits: Vec<(usize, f64)>,
}

/// What a journal is of: other values would give another result.
#[derive(Debug)]
pub(crate) struct Identity(Vec<(&'static str, String)>);

impl Identity {
    pub(crate) fn new(values: Vec<(&'static str, String)>) -> Self {
        Self(values)
    }

    fn bytes(&self) -> Vec<u8> {
        let lines: String =
            self.0.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        lines.into_bytes()
    }
}

impl Journal {
    /// A journal of a document of this identity, whose rows have `width` values.
    ///
    /// With `resume` it goes on with the file if there is one, else there must be none. Of the records that are there the last ones
    /// that hold `kept` samples are encoded all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] for a file that is there, or of another document; [`ErrorKind::JournalWrite`] if it cannot be written.
    pub(crate) fn open(
        path: &Path,
        resume: bool,
        identity: &Identity,
        width: usize,
        kept: u64,
    ) -> Result<Self> {
        let name = path.to_string_lossy().into_owned();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match resume {
            true => options.create(true).truncate(false).open(path),
            false => options.create_new(true).open(path),
        };
        let file = file.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => {
                problem(&name, "a file", "none; --resume goes on with a journal".to_owned())
            }
            _ => failed(&name, cause),
        })?;
        let row_bytes = width * size_of::<f32>();
        let mut journal = Self { name, file, replay: None, record: Vec::new(), row_bytes };
        let header = [MAGIC, &*sealed(&identity.bytes())].concat();
        if journal.begins(&header, identity)? {
            journal.find_records(header.len() as u64, kept)?;
        } else {
            journal.rewrite(&header)?;
        }
        Ok(journal)
    }

    /// Whether the file begins as it should; one that is empty or was cut off in its header does not.
    fn begins(&mut self, header: &[u8], identity: &Identity) -> Result<bool> {
        let mut found = Vec::new();
        let limit = header.len() as u64 + 4096;
        let file = &mut self.file;
        file.take(limit).read_to_end(&mut found).map_err(|cause| failed(&self.name, cause))?;
        if found.starts_with(header) {
            return Ok(true);
        }
        if header.starts_with(&found) {
            return Ok(false);
        }
        let Some(body) = found.strip_prefix(MAGIC).and_then(|rest| unsealed(rest)) else {
            return Err(problem(&self.name, "a file of another kind", "a journal".to_owned()));
        };
        let body = String::from_utf8_lossy(body);
        for (line, (name, expected)) in body.lines().zip(&identity.0) {
            let found = line.strip_prefix(name).map_or(line, str::trim_start);
            if found != expected {
                let found = format!("a journal with {name} {found}");
                return Err(problem(&self.name, &found, format!("{name} {expected}")));
            }
        }
        Err(problem(&self.name, "a journal of another version", "one of this program".to_owned()))
    }

    fn rewrite(&mut self, header: &[u8]) -> Result<()> {
        let file = &mut self.file;
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(header));
        written.map_err(|cause| failed(&self.name, cause))
    }

    /// Finds the records behind the header, and drops what is behind the last whole one.
    fn find_records(&mut self, start: u64, kept: u64) -> Result<()> {
        let failed = |cause| failed(&self.name, cause);
        let mut reader = BufReader::new(self.file.try_clone().map_err(failed)?);
        reader.seek(SeekFrom::Start(start)).map_err(failed)?;
        let (mut count, mut end) = (0, start);
        // Samples of the last records that hold enough, the oldest first.
        let (mut last, mut samples) = (VecDeque::new(), 0);
        while let Some(record) = read_record(&mut reader, self.row_bytes).map_err(failed)? {
            (count, end) = (count + 1, end + record.len() as u64);
            let length = u64_at(&record, 8).saturating_sub(u64_at(&record, 0));
            last.push_back(length);
            samples += length;
            while last.front().is_some_and(|first| samples - first > kept) {
                samples -= last.pop_front().unwrap_or(0);
            }
        }
        self.file.set_len(end).map_err(failed)?;
        self.file.seek(SeekFrom::Start(end)).map_err(failed)?;
        // A position of its own: the file's is where records are appended.
        let file = File::open(&self.name).map_err(failed)?;
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(start)).map_err(failed)?;
        self.replay = (count > 0).then_some(Replay {
            reader,
            left: count,
            encoded: if kept > 0 { last.len() } else { 0 },
        });
        Ok(())
    }

    /// Takes the next record, which must be of this segment, and its row; `None` behind the last.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] for a segment other than the one that was recorded.
    pub(crate) fn take(
        &mut self,
        segment: Segment<'_>,
        row: &mut [f32],
    ) -> Result<Option<Recorded>> {
        let Some(replay) = &mut self.replay else { return Ok(None) };
        let record = read_record(&mut replay.reader, self.row_bytes)
            .map_err(|cause| failed(&self.name, cause))?
            .ok_or_else(|| problem(&self.name, "fewer records than before", "all".to_owned()))?;
        let is_same = u64_at(&record, 0) == segment.start
            && u64_at(&record, 8) == segment.end
            && record[16..16 + SUM] == sum_of_samples(segment.samples);
        if !is_same {
            let found = format!("other audio from sample {}", segment.start);
            let expected = format!("what was recorded from sample {}", u64_at(&record, 0));
            return Err(problem(&self.name, &found, expected));
        }
        let (values, fits) = record[HEAD..record.len() - SUM].split_at(self.row_bytes);
        for (value, bytes) in row.iter_mut().zip(values.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        let fits = fits.as_chunks::<FIT>().0.iter().map(|fit| {
            let [a, b, c, d, fit @ ..] = *fit;
            (u32::from_le_bytes([a, b, c, d]) as usize, f64::from_le_bytes(fit))
        });
        let recorded = Recorded { is_enough: replay.left > replay.encoded, fits: fits.collect() };
        replay.left -= 1;
        if replay.left == 0 {
            self.replay = None;
        }
        Ok(Some(recorded))
    }

    /// Writes what was made of a segment.
    ///
    /// # Errors
    /// [`ErrorKind::JournalWrite`] if it cannot be written.
    pub(crate) fn append(
        &mut self,
        segment: Segment<'_>,
        row: &[f32],
        fits: &[(usize, f64)],
    ) -> Result<()> {
        let record = &mut self.record;
        record.clear();
        record.extend(segment.start.to_le_bytes());
        record.extend(segment.end.to_le_bytes());
        record.extend(sum_of_samples(segment.samples));
        record.extend(u32::try_from(fits.len()).unwrap_or(u32::MAX).to_le_bytes());
        row.iter().for_each(|value| record.extend(value.to_le_bytes()));
        for (cue, fit) in fits {
            record.extend(u32::try_from(*cue).unwrap_or(u32::MAX).to_le_bytes());
            record.extend(fit.to_le_bytes());
        }
        let sum = sum(&[record]);
        record.extend(sum);
        self.file.write_all(record).map_err(|cause| failed(&self.name, cause))
    }

    /// Whether every record was taken.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] if the recording ended before them.
    pub(crate) fn check_taken(&self) -> Result<()> {
        match &self.replay {
            None => Ok(()),
            Some(Replay { left, .. }) => {
                let found = format!("the end of the recording before {left} recorded segments");
                Err(problem(&self.name, &found, "the recording that was journaled".to_owned()))
            }
        }
    }
}

/// A record with its sum; `None` at the end, or for one that is not whole.
fn read_record(reader: &mut impl Read, row_bytes: usize) -> io::Result<Option<Vec<u8>>> {
    let mut record = vec![0; HEAD];
    if !read_whole(reader, &mut record)? {
        return Ok(None);
    }
    let fits = u32::from_le_bytes([record[24], record[25], record[26], record[27]]) as usize;
    // A damaged number must not ask for more memory than a document has cues.
    if fits > hilbert_formats::transcript::MAX_CUES {
        return Ok(None);
    }
    record.resize(HEAD + row_bytes + fits * FIT + SUM, 0);
    if !read_whole(reader, &mut record[HEAD..])? {
        return Ok(None);
    }
    let (body, found) = record.split_at(record.len() - SUM);
    Ok((found == sum(&[body])).then_some(record))
}

/// Whether the buffer could be filled.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes behind their number, with their sum.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length, bytes, &sum(&[bytes])].concat()
}

/// The bytes that were sealed, if they are whole.
fn unsealed(sealed: &[u8]) -> Option<&[u8]> {
    let (length, rest) = sealed.split_first_chunk()?;
    let (bytes, rest) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    rest.starts_with(&sum(&[bytes])).then_some(bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What a transcript says, as a sum in hexadecimal.
pub(super) fn sum_of_cues(cues: &[Cue]) -> String {
    let mut sum = Sha256::new();
    for Cue { text, times, line } in cues {
        let times = times.map_or([f64::NAN; 2], |times| [times.start_s, times.end_s]);
        times.iter().for_each(|time| sum.update(time.to_le_bytes()));
        sum.update(line.to_le_bytes());
        sum.update((text.len() as u64).to_le_bytes());
        sum.update(text);
    }
    shortened(sum).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sum_of_samples(samples: &[f32]) -> [u8; SUM] {
    let mut sum = Sha256::new();
    for samples in samples.chunks(256) {
        let mut bytes = [0; 1024];
        for (place, sample) in bytes.as_chunks_mut().0.iter_mut().zip(samples) {
            *place = sample.to_le_bytes();
        }
        sum.update(&bytes[..size_of_val(samples)]);
    }
    shortened(sum)
}

fn sum(parts: &[&[u8]]) -> [u8; SUM] {
    let mut sum = Sha256::new();
    parts.iter().for_each(|part| sum.update(part));
    shortened(sum)
}

fn shortened(sum: Sha256) -> [u8; SUM] {
    let sum = sum.finalize();
    std::array::from_fn(|i| sum[i])
}

fn problem(file: &str, found: &str, expected: String) -> Error {
    ErrorKind::Journal { file: file.to_owned(), found: found.to_owned(), expected }.into()
}

fn failed(file: &str, cause: io::Error) -> Error {
    ErrorKind::JournalWrite { file: file.to_owned(), cause }.into()
}
