//! Samples that no header stands before, as a recorder writes them into a pipe.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::chunks::Header;
use super::format::Layout;
use super::{Encoding, MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, WavFormat};
use crate::error::WavProblem;

/// What samples without a header are. Written `s16le:16000:1`: encoding, frames a second, channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFormat {
    /// What one sample is.
    pub encoding: RawEncoding,
    /// Frames a second, [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`].
    pub sample_rate: u32,
    /// Samples of one frame, 1 to [`MAX_CHANNELS`].
    pub channels: u16,
}

/// Encodings by the names that ffmpeg has for them, least significant byte first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawEncoding {
    /// `u8`: 8 bits, of which 128 are zero.
    U8,
    /// `s16le`
    S16,
    /// `s24le`
    S24,
    /// `s32le`
    S32,
    /// `f32le`: floats in [-1, 1].
    F32,
}

const NAMES: [(&str, RawEncoding); 5] = [
    ("u8", RawEncoding::U8),
    ("s16le", RawEncoding::S16),
    ("s24le", RawEncoding::S24),
    ("s32le", RawEncoding::S32),
    ("f32le", RawEncoding::F32),
];

/// Text that describes no samples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "found '{found}', expected u8, s16le, s24le, s32le or f32le, a rate and channels, as in s16le:16000:1"
)]
pub struct UnknownRawFormat {
    found: String,
}

impl FromStr for RawFormat {
    type Err = UnknownRawFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (name, rest) = text.split_once(':')?;
            let (rate, channels) = rest.split_once(':')?;
            let (_, encoding) = NAMES.into_iter().find(|(known, _)| *known == name)?;
            let (sample_rate, channels) = (rate.parse().ok()?, channels.parse().ok()?);
            Some(Self { encoding, sample_rate, channels })
        };
        parsed().ok_or_else(|| UnknownRawFormat { found: text.escape_debug().to_string() })
    }
}

impl Display for RawFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, encoding)| *encoding == self.encoding);
        let name = name.map_or("", |(name, _)| name);
        write!(f, "{name}:{}:{}", self.sample_rate, self.channels)
    }
}

impl RawFormat {
    /// The header that is missing.
    pub(super) fn header(self) -> Result<Header, WavProblem> {
        let Self { encoding, sample_rate, channels } = self;
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
            return Err(WavProblem::SampleRate { found: sample_rate });
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(WavProblem::Channels { found: channels });
        }
        let (layout, encoding) = match encoding {
            RawEncoding::U8 => (Layout::Integer { bytes: 1 }, Encoding::Integer),
            RawEncoding::S16 => (Layout::Integer { bytes: 2 }, Encoding::Integer),
            RawEncoding::S24 => (Layout::Integer { bytes: 3 }, Encoding::Integer),
            RawEncoding::S32 => (Layout::Integer { bytes: 4 }, Encoding::Integer),
            RawEncoding::F32 => (Layout::Float, Encoding::Float),
        };
        let bits = match layout {
            Layout::Integer { bytes } => 8 * bytes,
            _ => 32,
        };
        let format = WavFormat {
            sample_rate,
            channels,
            bits,
            valid_bits: bits,
            encoding,
            declared_frames: None,
        };
        Ok(Header { format, layout, data_bytes: None, padded: false, riff_bytes: None })
    }
}
