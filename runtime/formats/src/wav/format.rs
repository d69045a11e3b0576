//! The `fmt ` chunk: what one sample is.
//!
//! Source: Microsoft, `mmreg.h` and "Extensible Wave-Format Descriptors".

use super::{Encoding, MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, WavFormat};
use crate::error::WavProblem;
use crate::warning::{Place, Warnings};

/// How the bytes of one sample are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A float that fills its container.
    Float,
    /// An integer whose most significant bit is that of its container, which is 1 to 4 bytes wide.
    Integer {
        /// Bytes of the container.
        bytes: u16,
    },
    /// A 24-bit integer in the low bytes of 4, as ALSA's `S24_LE` and hound write it.
    Low24,
    /// 24 bits in 4 bytes behind an extensible header: high by the standard, low as some programs write it.
    High24OrLow24,
}

impl Layout {
    /// Bytes of one sample.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Integer { bytes } => usize::from(bytes),
            Self::Float | Self::Low24 | Self::High24OrLow24 => 4,
        }
    }
}

/// Bytes of the chunk that are looked at.
pub(super) const LENGTH: usize = 40;

/// A chunk of another size is no `fmt ` chunk at all, and none of it is read.
pub(super) fn check_size(size: u32) -> Result<(), WavProblem> {
    // The base structure; with the longest extension that its 16-bit size can state.
    if (16..=18 + u32::from(u16::MAX)).contains(&size) {
        Ok(())
    } else {
        Err(WavProblem::FmtSize { found: size, expected: "16 to 65553" })
    }
}

/// Reads the chunk's first bytes, `size` being the size that it states and `at` the offset of its content.
///
/// `Err` holds the offset of what is wrong.
pub(super) fn parse(
    content: &[u8; LENGTH],
    size: u32,
    at: u64,
    warnings: &mut Warnings,
) -> Result<(WavFormat, Layout), (u64, WavProblem)> {
    let u16_at = |i: usize| u16::from_le_bytes([content[i], content[i + 1]]);
    let u32_at =
        |i: usize| u32::from_le_bytes([content[i], content[i + 1], content[i + 2], content[i + 3]]);
    let (tag, channels, sample_rate, byte_rate) = (u16_at(0), u16_at(2), u32_at(4), u32_at(8));
    let (block_align, bits) = (u16_at(12), u16_at(14));

    let extensible = tag == EXTENSIBLE;
    let mut valid_bits = bits;
    let encoding = if extensible {
        if size < 40 {
            return Err((
                at,
                WavProblem::FmtSize {
                    found: size,
                    expected: "at least 40 for an extensible header",
                },
            ));
        }
        if u16_at(16) < 22 {
            return Err((at + 16, WavProblem::ExtensionSize { found: u16_at(16) }));
        }
        if u16_at(18) > bits {
            return Err((at + 18, WavProblem::ValidBits { found: u16_at(18), bits }));
        }
        if u16_at(18) > 0 {
            valid_bits = u16_at(18);
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&content[24..40]);
        let (encoding, ambisonic) = encoding_of_guid(guid).map_err(|problem| (at + 24, problem))?;
        if ambisonic {
            let message =
                "found an Ambisonic sub-format; its channels are read as they are".to_owned();
            warnings.add("ambisonic", Place::Offset(at + 24), message);
        }
        encoding
    } else {
        if !matches!(size, 16 | 18 | 40) {
            let message = format!(
                "found a 'fmt ' chunk of {size} bytes, expected 16 or 18; the rest was ignored"
            );
            warnings.add("fmt_size", Place::Offset(at), message);
        }
        encoding_of_tag(tag).map_err(|problem| (at, problem))?
    };

    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err((at + 2, WavProblem::Channels { found: channels }));
    }
    if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        return Err((at + 4, WavProblem::SampleRate { found: sample_rate }));
    }
    let layout = layout(encoding, channels, block_align, bits, (extensible, valid_bits))
        .map_err(|(offset, problem)| (at + offset, problem))?;
    if u64::from(byte_rate) != u64::from(sample_rate) * u64::from(block_align) {
        let expected = u64::from(sample_rate) * u64::from(block_align);
        let message = format!(
            "found {byte_rate} bytes a second in the header, expected {expected}; it was ignored"
        );
        warnings.add("byte_rate", Place::Offset(at + 8), message);
    }
    if encoding == Encoding::Integer && !bits.is_multiple_of(8) {
        let message = format!(
            "found {bits}-bit samples; they were read from the top of {} bytes",
            layout.bytes()
        );
        warnings.add("padded_bits", Place::Offset(at + 14), message);
    }
    let container = if let Layout::Integer { bytes } = layout { 8 * bytes } else { 32 };
    let format = WavFormat {
        sample_rate,
        channels,
        bits: container,
        valid_bits,
        encoding,
        declared_frames: None,
    };
    Ok((format, layout))
}

fn layout(
    encoding: Encoding,
    channels: u16,
    block_align: u16,
    bits: u16,
    (extensible, valid_bits): (bool, u16),
) -> Result<Layout, (u64, WavProblem)> {
    let expected = match encoding {
        Encoding::Integer if !(8..=32).contains(&bits) => Some(("integer", "8, 16, 24 or 32")),
        Encoding::Float if bits != 32 => Some(("float", "32")),
        Encoding::Integer | Encoding::Float => None,
    };
    if let Some((encoding, expected)) = expected {
        return Err((14, WavProblem::Bits { found: bits, encoding, expected }));
    }
    let wrong = Err((12, WavProblem::BlockAlign { found: block_align, channels, bits }));
    if !block_align.is_multiple_of(channels) {
        return wrong;
    }
    let bytes = block_align / channels;
    match (encoding, bytes) {
        (Encoding::Float, 4) => Ok(Layout::Float),
        (Encoding::Integer, 4) if bits == 24 => Ok(Layout::Low24),
        (Encoding::Integer, 4) if extensible && bits == 32 && valid_bits == 24 => {
            Ok(Layout::High24OrLow24)
        }
        (Encoding::Integer, 1..=4) if bits.div_ceil(8) == bytes => Ok(Layout::Integer { bytes }),
        _ => wrong,
    }
}

fn encoding_of_tag(tag: u16) -> Result<Encoding, WavProblem> {
    match tag {
        1 => Ok(Encoding::Integer),
        3 => Ok(Encoding::Float),
        _ => Err(WavProblem::Codec { tag, name: codec_name(tag) }),
    }
}

/// Returns the encoding, and whether the channels are Ambisonic.
fn encoding_of_guid(guid: [u8; 16]) -> Result<(Encoding, bool), WavProblem> {
    let ambisonic = guid[2..] == AMBISONIC_TAIL;
    if ambisonic || guid[2..] == PLAIN_TAIL {
        Ok((encoding_of_tag(u16::from_le_bytes([guid[0], guid[1]]))?, ambisonic))
    } else {
        Err(WavProblem::SubFormat { guid })
    }
}

fn codec_name(tag: u16) -> &'static str {
    match tag {
        0x0002 => "Microsoft ADPCM",
        0x0006 => "A-law",
        0x0007 => "mu-law",
        0x0011 => "IMA ADPCM",
        0x0014 | 0x0040 | 0x0045 | 0x0064 => "G.72x ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0050 => "MPEG",
        0x0055 => "MP3",
        0x00ff | 0x1600 | 0x1610 => "AAC",
        0x0160..=0x0163 => "WMA",
        0x2000 => "AC-3",
        0x674f..=0x6771 => "Vorbis",
        0xa109 => "Speex",
        0xf1ac => "FLAC",
        _ => "unknown",
    }
}

const EXTENSIBLE: u16 = 0xfffe;
/// `KSDATAFORMAT_SUBTYPE_*` after the format tag.
const PLAIN_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
/// `SUBTYPE_AMBISONIC_B_FORMAT_*` after the format tag.
const AMBISONIC_TAIL: [u8; 14] =
    [0, 0, 0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];
