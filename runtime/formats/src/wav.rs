//! Recordings: RIFF/WAVE, RF64, BW64, and samples without a header, in blocks of bounded memory from any [`Read`].
//!
//! A walker of our own finds the format and the audio: it never seeks, so that pipes work, and no size that a file
//! states allocates or ends anything by itself. hound decodes the samples.
//!
//! What is accepted and what is refused, row by row: `tests/wav_accepted.rs` and `tests/wav_refused.rs`.

mod chunks;
mod decode;
mod format;
mod raw;
mod source;

use std::fmt::{self, Debug, Formatter};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use self::chunks::Header;
use self::decode::Decoder;
pub use self::raw::{RawEncoding, RawFormat, UnknownRawFormat};
use self::source::Source;
use crate::error::{ErrorKind, Result};
use crate::input;
use crate::warning::{Place, Warning, Warnings};

/// Most channels of a recording.
pub const MAX_CHANNELS: u16 = 64;
/// Lowest sample rate of a recording, Hz.
pub const MIN_SAMPLE_RATE: u32 = 8_000;
/// Highest sample rate of a recording, Hz.
pub const MAX_SAMPLE_RATE: u32 = 192_000;
/// Most chunks before the audio, and after it.
pub const MAX_CHUNKS: u64 = 4096;
/// Most bytes before the audio, and most of chunks that are looked through after it.
pub const MAX_SKIPPED_BYTES: u64 = 1 << 30;
/// Largest magnitude of a float sample; what is larger is no audio and is read as 0.
pub const LARGEST_SAMPLE: f32 = 65_536.0;

/// Reads a recording in blocks.
///
/// Memory is one buffer of [`BUFFER_BYTES`] whatever the recording's length. Its warnings are complete after the read
/// that returns 0.
///
/// ```
/// # fn main() -> hilbert_formats::Result<()> {
/// use hilbert_formats::wav::WavReader;
///
/// let file = b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x04\0\0\0\0\x40\0\xc0";
/// let mut reader = WavReader::new(&file[..], "two samples")?;
/// let mut block = [0.0; 256];
/// assert_eq!(reader.format().sample_rate, 16_000);
/// assert_eq!(reader.read(&mut block)?, 2);
/// assert_eq!(block[..2], [0.5, -0.5]);
/// assert_eq!(reader.read(&mut block)?, 0);
/// assert!(reader.warnings().is_empty());
/// # Ok(())
/// # }
/// ```
pub struct WavReader<R: Read> {
    source: Source<R>,
    header: Header,
    decoder: Decoder,
    /// Encoded frames; those from `decoded` to `buffered` are still to be decoded.
    buffer: Vec<u8>,
    decoded: usize,
    buffered: usize,
    frame_bytes: usize,
    /// Offset of the first byte of audio.
    data_start: u64,
    /// Bytes of audio taken from the source.
    taken: u64,
    frames_read: u64,
    /// Whether the audio has ended.
    ended: bool,
    warnings: Warnings,
}

/// What a recording's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WavFormat {
    /// Frames a second, [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`].
    pub sample_rate: u32,
    /// Samples of one frame, 1 to [`MAX_CHANNELS`].
    pub channels: u16,
    /// Bits that one sample takes in the file: 8, 16, 24 or 32.
    pub bits: u16,
    /// Bits of these that hold the sample.
    pub valid_bits: u16,
    /// Integers or floats.
    pub encoding: Encoding,
    /// Frames that the header states; `None` where it holds a placeholder. The file may hold fewer.
    pub declared_frames: Option<u64>,
}

/// What kind of number a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two's complement; 8 bits are unsigned with 128 as zero.
    Integer,
    /// IEEE 754.
    Float,
}

impl WavReader<BufReader<File>> {
    /// Opens a recording.
    ///
    /// # Errors
    /// As [`WavReader::new`], and [`ErrorKind::Io`] or [`ErrorKind::Directory`] if there is no file to read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (file, name) = input::open(path.as_ref())?;
        Self::new(BufReader::new(file), &name)
    }
}

impl<R: Read> WavReader<R> {
    /// Reads the header of a recording; errors call it `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Wav`] if it is no recording or of an unsupported format, [`ErrorKind::Limit`] if there is more than
    /// [`MAX_CHUNKS`] or [`MAX_SKIPPED_BYTES`] before the audio, [`ErrorKind::Io`] if reading fails.
    pub fn new(reader: R, name: &str) -> Result<Self> {
        let mut source = Source::new(reader, name.to_owned());
        let mut warnings = Warnings::default();
        let header = chunks::read_header(&mut source, &mut warnings)?;
        Ok(Self::behind(header, source, warnings))
    }

    /// Reads samples that no header stands before, to the end of the input; errors call it `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Wav`] for a rate or a number of channels outside of what is read.
    pub fn raw(reader: R, name: &str, format: RawFormat) -> Result<Self> {
        let source = Source::new(reader, name.to_owned());
        let header = format.header().map_err(|problem| source.error(0, problem))?;
        Ok(Self::behind(header, source, Warnings::default()))
    }

    /// Reads the samples behind a header.
    fn behind(header: Header, source: Source<R>, warnings: Warnings) -> Self {
        let format = &header.format;
        let decoder =
            Decoder::new(header.layout, format.channels, format.sample_rate, format.valid_bits);
        let frame_bytes = header.layout.bytes() * usize::from(format.channels);
        Self {
            data_start: source.position(),
            source,
            decoder,
            buffer: vec![0; BUFFER_BYTES / frame_bytes * frame_bytes],
            decoded: 0,
            buffered: 0,
            frame_bytes,
            taken: 0,
            frames_read: 0,
            ended: false,
            warnings,
            header,
        }
    }

    /// What the header says.
    pub fn format(&self) -> &WavFormat {
        &self.header.format
    }

    /// Frames read so far.
    pub fn frames_read(&self) -> u64 {
        self.frames_read
    }

    /// What was irregular so far, each kind once; complete after the read that returned 0.
    ///
    /// Codes: `ambisonic`, `byte_rate`, `data_size_unknown`, `ds64_in_riff`, `fmt_size`, `invalid_samples`,
    /// `late_fmt_chunk`, `low_aligned`, `no_audio`, `odd_chunk_unpadded`, `padded_bits`, `partial_frame`, `riff_size`,
    /// `second_data_chunk`, `second_file`, `second_fmt_chunk`, `trailing_bytes`, `truncated`, `unused_bits`.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// Fills `block` with interleaved samples, as many whole frames as it holds; returns the number of samples, fewer
    /// than that only at the end of the recording and 0 after it.
    ///
    /// Integers are divided by 2^(bits - 1), so that they lie in [-1, 1). Floats are as they are stored; what is not
    /// finite or exceeds [`LARGEST_SAMPLE`] becomes 0 and is counted in a warning.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if reading fails, [`ErrorKind::Internal`] if `block` is shorter than one frame.
    pub fn read(&mut self, block: &mut [f32]) -> Result<usize> {
        let channels = usize::from(self.header.format.channels);
        if block.len() < channels {
            let what =
                format!("a block holds {} samples, expected at least {channels}", block.len());
            return Err(ErrorKind::Internal { what }.into());
        }
        let mut filled = 0;
        while block.len() - filled >= channels {
            if self.decoded == self.buffered {
                self.refill()?;
                if self.buffered == 0 {
                    break;
                }
            }
            let room = (block.len() - filled) / channels;
            let frames = room.min((self.buffered - self.decoded) / self.frame_bytes);
            let bytes = self.decoded..self.decoded + frames * self.frame_bytes;
            self.decoder.decode(
                &self.buffer[bytes.clone()],
                &mut block[filled..filled + frames * channels],
            )?;
            self.decoded = bytes.end;
            filled += frames * channels;
            self.frames_read += frames as u64;
        }
        Ok(filled)
    }

    /// Reads the next frames into the buffer; none at the end of the audio.
    fn refill(&mut self) -> Result<()> {
        self.decoded = 0;
        self.buffered = 0;
        if self.ended {
            self.conclude();
            return Ok(());
        }
        let left = self.header.data_bytes.map_or(u64::MAX, |stated| stated - self.taken);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        let read = self.source.fill(&mut self.buffer[..wanted])?;
        self.taken += read as u64;
        self.buffered = read / self.frame_bytes * self.frame_bytes;
        if self.decoder.settle(&self.buffer[..self.buffered]) {
            let message =
                "found 24-bit samples low in their 4 bytes, expected high; read as low".to_owned();
            self.warnings.add("low_aligned", Place::Offset(self.data_start), message);
        }
        let complete = self.header.data_bytes == Some(self.taken);
        if self.buffered < read {
            let (bytes, frame) = (read - self.buffered, self.frame_bytes);
            let at = self.data_start + self.taken - bytes as u64;
            let message =
                format!("found {bytes} bytes of a last frame of {frame}; they were dropped");
            self.warnings.add("partial_frame", Place::Offset(at), message);
        }
        if let Some(stated) = self.header.data_bytes.filter(|_| read < wanted) {
            let message = format!(
                "found {} bytes of audio before the file ended, expected {stated}",
                self.taken
            );
            self.warnings.add("truncated", Place::Offset(self.data_start + self.taken), message);
        }
        if complete || read < wanted {
            self.ended = true;
            if complete {
                chunks::read_tail(&mut self.source, &self.header, &mut self.warnings)?;
            }
            if self.buffered == 0 {
                self.conclude();
            }
        }
        Ok(())
    }

    /// Adds the warnings that need every sample.
    fn conclude(&mut self) {
        let place = |sample| Place::Offset(self.data_start + self.decoder.offset(sample));
        if self.frames_read == 0 {
            self.warnings.add("no_audio", place(0), "found a recording without audio".to_owned());
        }
        let invalid = self.decoder.invalid;
        if invalid.count > 0 {
            let message = format!(
                "found {} samples not finite or beyond {LARGEST_SAMPLE}; they were read as 0",
                invalid.count
            );
            self.warnings.add("invalid_samples", place(invalid.first), message);
        }
        let unused = self.decoder.unused_bits;
        if unused.count > 0 {
            let valid = self.header.format.valid_bits;
            let message = format!(
                "found {} samples with bits below the {valid} valid ones; they were kept",
                unused.count
            );
            self.warnings.add("unused_bits", place(unused.first), message);
        }
    }
}

impl<R: Read> Debug for WavReader<R> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WavReader");
        shown
            .field("format", &self.header.format)
            .field("frames_read", &self.frames_read)
            .finish_non_exhaustive()
    }
}

/// Bytes of the buffer between file and samples.
pub const BUFFER_BYTES: usize = 1 << 16;
