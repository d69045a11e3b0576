//! From bytes to samples: hound decodes blocks of whole frames behind a canonical header, all but plain 16 bits.

use std::io::Read;

use super::format::Layout;
use crate::error::{Error, ErrorKind, Result};

/// Decodes blocks of one recording.
pub(super) struct Decoder {
    header: [u8; HEADER],
    layout: Layout,
    sample_bytes: usize,
    /// Bits of a sample below its valid ones, for integers.
    unused: i32,
    /// Samples decoded so far.
    decoded: u64,
    /// Floats that were no samples.
    pub(super) invalid: Oddity,
    /// Integers with bits set below the valid ones.
    pub(super) unused_bits: Oddity,
}

/// Samples of one kind.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Oddity {
    /// How many there are.
    pub(super) count: u64,
    /// Which is the first, counted in samples from 0.
    pub(super) first: u64,
}

impl Oddity {
    fn note(&mut self, at: u64) {
        if self.count == 0 {
            self.first = at;
        }
        self.count += 1;
    }
}

impl Decoder {
    pub(super) fn new(layout: Layout, channels: u16, sample_rate: u32, valid_bits: u16) -> Self {
        let unused = match layout {
            Layout::Integer { bytes } => (1i64 << (8 * bytes).saturating_sub(valid_bits)) - 1,
            Layout::High24OrLow24 => 0xff,
            Layout::Float | Layout::Low24 => 0,
        };
        Self {
            header: canonical_header(layout, channels, sample_rate),
            layout,
            sample_bytes: layout.bytes(),
            unused: i32::try_from(unused).unwrap_or(i32::MAX),
            decoded: 0,
            invalid: Oddity::default(),
            unused_bits: Oddity::default(),
        }
    }

    /// Settles where 24 bits lie in 4 bytes, as soon as `bytes`, the next of the recording, tell. Returns whether they
    /// lie low, against the standard.
    ///
    /// High samples have zeros in their lowest byte. Low ones do not, and their highest byte holds nothing but the
    /// sign, if that. Silence is the same either way.
    pub(super) fn settle(&mut self, bytes: &[u8]) -> bool {
        if self.layout != Layout::High24OrLow24 || bytes.iter().all(|&b| b == 0) {
            return false;
        }
        let mut samples = bytes.as_chunks::<4>().0.iter();
        let low = bytes.as_chunks::<4>().0.iter().any(|s| s[0] != 0)
            && samples.all(|s| s[3] == 0 || (s[3] == 0xff && s[2] >= 0x80));
        self.layout = if low { Layout::Low24 } else { Layout::Integer { bytes: 4 } };
        let bits: u16 = if low { 24 } else { 32 };
        self.header[34..36].copy_from_slice(&bits.to_le_bytes());
        if low {
            self.unused = 0;
        }
        low
    }

    /// Decodes `bytes`, whole frames, into `samples`, one for each sample.
    pub(super) fn decode(&mut self, bytes: &[u8], samples: &mut [f32]) -> Result<()> {
        let scale = 1.0 / (1u64 << (self.bits() - 1)) as f32;
        if self.layout == (Layout::Integer { bytes: 2 }) {
            // What most recordings are; hound decodes it byte by byte.
            for (out, sample) in samples.iter_mut().zip(bytes.as_chunks().0) {
                *out = self.integer(i16::from_le_bytes(*sample).into(), scale);
            }
            return Ok(());
        }
        let size =
            u32::try_from(bytes.len()).map_err(|_| internal("a block is larger than 4 GiB"))?;
        self.header[40..].copy_from_slice(&size.to_le_bytes());
        self.header[4..8].copy_from_slice(&size.saturating_add(36).to_le_bytes());
        let header = self.header;
        let mut reader = hound::WavReader::new(header.as_slice().chain(bytes)).map_err(internal)?;
        if self.layout == Layout::Float {
            for (out, sample) in samples.iter_mut().zip(reader.samples::<f32>()) {
                let sample = sample.map_err(internal)?;
                *out = if sample.abs() <= super::LARGEST_SAMPLE {
                    sample
                } else {
                    self.invalid.note(self.decoded); // a NaN compares false
                    0.0
                };
                self.decoded += 1;
            }
        } else {
            for (out, sample) in samples.iter_mut().zip(reader.samples::<i32>()) {
                *out = self.integer(sample.map_err(internal)?, scale);
            }
        }
        Ok(())
    }

    /// The next sample, an integer of which 1 is worth `scale`.
    fn integer(&mut self, sample: i32, scale: f32) -> f32 {
        if sample & self.unused != 0 {
            self.unused_bits.note(self.decoded);
        }
        self.decoded += 1;
        sample as f32 * scale
    }

    /// Offset of a sample from the first byte of audio.
    pub(super) fn offset(&self, sample: u64) -> u64 {
        sample * self.sample_bytes as u64
    }

    fn bits(&self) -> u16 {
        u16::from_le_bytes([self.header[34], self.header[35]])
    }
}

const HEADER: usize = 44;

fn canonical_header(layout: Layout, channels: u16, sample_rate: u32) -> [u8; HEADER] {
    let (tag, container, bits): (u16, u16, u16) = match layout {
        Layout::Float => (3, 4, 32),
        Layout::Integer { bytes } => (1, bytes, 8 * bytes),
        Layout::Low24 => (1, 4, 24),
        Layout::High24OrLow24 => (1, 4, 32),
    };
    let block_align = channels * container;
    let byte_rate = sample_rate * u32::from(block_align);
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"RIFF");
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    header[20..22].copy_from_slice(&tag.to_le_bytes());
    header[22..24].copy_from_slice(&channels.to_le_bytes());
    header[24..28].copy_from_slice(&sample_rate.to_le_bytes());
    header[28..32].copy_from_slice(&byte_rate.to_le_bytes());
    header[32..34].copy_from_slice(&block_align.to_le_bytes());
    header[34..36].copy_from_slice(&bits.to_le_bytes());
    header[36..40].copy_from_slice(b"data");
    header
}

fn internal(what: impl ToString) -> Error {
    ErrorKind::Internal {
        what: format!("hound cannot decode a canonical block: {}", what.to_string()),
    }
    .into()
}
