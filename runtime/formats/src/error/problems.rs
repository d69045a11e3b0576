//! What can be wrong with a recording, a transcript and a file of a bundle.

use std::io;

use crate::escape::{Escaped, FourCc};
use crate::signature::KeyId;
use crate::wav::{MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE};

/// Why a recording cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WavProblem {
    /// The file has no bytes.
    #[error("found an empty file, expected a RIFF/WAVE recording")]
    Empty,
    /// The file is of another kind.
    #[error("found {found}, expected a RIFF/WAVE recording")]
    NotWav {
        /// What it is, as far as its first bytes tell.
        found: &'static str,
    },
    /// A RIFF file that is no recording.
    #[error("found a RIFF file of form {}, expected 'WAVE'", FourCc(*found))]
    Form {
        /// The form type.
        found: [u8; 4],
    },
    /// The file ends inside what must be complete.
    #[error("found {found} bytes of the {part} before the file ended, expected {expected}")]
    Truncated {
        /// What is cut.
        part: &'static str,
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The file ends before a `fmt ` chunk.
    #[error("found the end of the file, expected a 'fmt ' chunk")]
    NoFmt,
    /// The file ends before a `data` chunk.
    #[error("found the end of the file, expected a 'data' chunk")]
    NoData,
    /// The samples come before their description.
    #[error("found a 'data' chunk, expected a 'fmt ' chunk before it")]
    DataBeforeFmt,
    /// Two descriptions that differ.
    #[error("found a second 'fmt ' chunk that differs from the first, expected one")]
    ConflictingFmt,
    /// The `fmt ` chunk cannot have this size.
    #[error("found a 'fmt ' chunk of {found} bytes, expected {expected}")]
    FmtSize {
        /// Its size in bytes.
        found: u32,
        /// What it may be.
        expected: &'static str,
    },
    /// The extensible header's extension is too short.
    #[error(
        "found an extension of {found} bytes in an extensible 'fmt ' chunk, expected at least 22"
    )]
    ExtensionSize {
        /// `cbSize`.
        found: u16,
    },
    /// The samples are compressed.
    #[error(
        "found codec 0x{tag:04x} ({name}), expected integer (0x0001) or float (0x0003) samples"
    )]
    Codec {
        /// Format tag.
        tag: u16,
        /// The codec's name.
        name: &'static str,
    },
    /// The extensible header names an unknown format.
    #[error("found the sub-format {guid:02x?}, expected integer or float samples")]
    SubFormat {
        /// The GUID as it is stored.
        guid: [u8; 16],
    },
    /// Channels out of range.
    #[error("found {found} channels, expected 1 to {}", MAX_CHANNELS)]
    Channels {
        /// Channels the header states.
        found: u16,
    },
    /// Sample rate out of range.
    #[error(
        "found a sample rate of {found} Hz, expected {} to {} Hz",
        MIN_SAMPLE_RATE,
        MAX_SAMPLE_RATE
    )]
    SampleRate {
        /// Hz the header states.
        found: u32,
    },
    /// Samples of a width that is not supported.
    #[error("found {found}-bit {encoding} samples, expected {expected}")]
    Bits {
        /// Bits the header states.
        found: u16,
        /// `integer` or `float`.
        encoding: &'static str,
        /// Supported widths.
        expected: &'static str,
    },
    /// The bytes of a frame do not fit channels and bits.
    #[error(
        "found {found} bytes a frame, expected {channels} channels of at least {bits} bits in 1 to 4 bytes each"
    )]
    BlockAlign {
        /// Bytes a frame the header states.
        found: u16,
        /// Channels the header states.
        channels: u16,
        /// Bits a sample the header states.
        bits: u16,
    },
    /// More valid bits than bits.
    #[error("found {found} valid bits, expected at most {bits}")]
    ValidBits {
        /// Valid bits the header states.
        found: u16,
        /// Bits a sample the header states.
        bits: u16,
    },
}

/// Why a transcript cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptProblem {
    /// Bytes that are not UTF-8.
    #[error("found bytes that are not UTF-8, expected UTF-8 text (at byte {at})")]
    NotUtf8 {
        /// Offset of the first of them.
        at: u64,
    },
    /// Text in another encoding.
    #[error("found {found} text, expected UTF-8 (at byte 0)")]
    Encoding {
        /// Its name.
        found: &'static str,
    },
    /// Not a transcript of a supported format.
    #[error("found {found}, expected a SubRip (.srt) or plain text transcript (at byte 0)")]
    Format {
        /// What it is.
        found: &'static str,
    },
}

/// Why a file of a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It is not there.
    #[error("found no such file, expected one")]
    Missing,
    /// It is a directory, a pipe or a device.
    #[error("found a directory, pipe or device, expected a regular file")]
    NotAFile,
    /// The manifest does not list it.
    #[error("found no entry in the manifest, expected one")]
    NotListed,
    /// Two embedded files, or two files of an archive, have the same name.
    #[error("found two files of this name, expected one")]
    Duplicate,
    /// It has another size.
    #[error("found {found} bytes, expected {expected}")]
    Size {
        /// Bytes there are.
        found: u64,
        /// Bytes the manifest states.
        expected: u64,
    },
    /// It is larger than any file of its kind may be.
    #[error("found more than {limit} bytes, expected at most {limit}")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// It has another content.
    #[error("found SHA-256 {found}, expected {expected}")]
    Sha256 {
        /// Of the content, hexadecimal.
        found: String,
        /// Of the manifest, hexadecimal.
        expected: String,
    },
    /// It is no longer what it was when it was checked.
    #[error("found other bytes than when the bundle was opened, expected the same")]
    Changed,
    /// Its content is not what its format says.
    #[error("{}: found {}, expected {}", Escaped(at), Escaped(found), Escaped(expected))]
    Content {
        /// The part of the file.
        at: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// An archive is not of the form that a bundle's has.
    #[error("found {}, expected {} (at byte {at})", Escaped(found), Escaped(expected))]
    Archive {
        /// Offset of what is wrong, bytes from the start of the archive.
        at: u64,
        /// What is there.
        found: String,
        /// What may be there.
        expected: String,
    },
    /// The bundle is not signed.
    #[error("found no signature, expected one by key {expected}")]
    Unsigned {
        /// The trusted keys.
        expected: String,
    },
    /// The signature is by a key that is not trusted.
    #[error("found a signature by key {found}, expected one by key {expected}")]
    SignedBy {
        /// The key that the signature names.
        found: KeyId,
        /// The trusted keys.
        expected: String,
    },
    /// The signature names a trusted key, and that key did not sign this manifest, or not with this comment.
    #[error(
        "found a signature that key {key} did not give to this manifest and comment, expected one that it did"
    )]
    Forged {
        /// The key that the signature names.
        key: KeyId,
    },
    /// The operating system could not read it.
    #[error("cannot be read: {cause}")]
    Io {
        /// What the operating system said.
        cause: io::Error,
    },
}
