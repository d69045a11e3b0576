//! From bytes to text with `\n` line ends.

use std::borrow::Cow;

use crate::error::TranscriptProblem;
use crate::magic;
use crate::warning::{Place, Warnings};

/// Decodes UTF-8, drops a byte order mark, makes `\r\n` and `\r` line ends `\n`, as Python's text files do, and NUL
/// U+FFFD.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    warnings: &mut Warnings,
) -> Result<Cow<'a, str>, TranscriptProblem> {
    if let Some(found) = other_encoding(bytes) {
        return Err(TranscriptProblem::Encoding { found });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| match magic::describe(bytes) {
        Some(found) => TranscriptProblem::Format { found },
        None => TranscriptProblem::NotUtf8 { at: error.valid_up_to() as u64 },
    })?;
    // Files of other kinds may well be valid text.
    if let Some(found) = magic::describe(bytes).filter(|_| is_text_of_another_kind(text)) {
        return Err(TranscriptProblem::Format { found });
    }
    let mut text = Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text));
    if text.contains('\r') {
        text = text.replace("\r\n", "\n").replace('\r', "\n").into();
    }
    if let Some(at) = text.find('\0') {
        let line = 1 + text[..at].bytes().filter(|&b| b == b'\n').count() as u64;
        let count = text.bytes().filter(|&b| b == 0).count();
        let message = format!("found {count} NUL characters; they were read as U+FFFD");
        warnings.add("nul_characters", Place::Line(line), message);
        text = text.replace('\0', "\u{fffd}").into();
    }
    Ok(text)
}

fn is_text_of_another_kind(text: &str) -> bool {
    ["%PDF", "{\\rtf", "version https://git-lfs", "<"].iter().any(|start| text.starts_with(start))
        || text.starts_with("PK\x03\x04")
}

/// Names an encoding of two or four bytes a unit by its byte order mark, or by the zeros that ASCII text has in it.
fn other_encoding(bytes: &[u8]) -> Option<&'static str> {
    let zeros_at = |parity: usize| bytes.iter().take(64).skip(parity).step_by(2).all(|&b| b == 0);
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] => Some("UTF-16 (little-endian)"),
        [0xfe, 0xff, ..] => Some("UTF-16 (big-endian)"),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 && zeros_at(1) => {
            Some("UTF-16 (little-endian, without a byte order mark)")
        }
        [0, first, 0, second, ..] if *first != 0 && *second != 0 && zeros_at(0) => {
            Some("UTF-16 (big-endian, without a byte order mark)")
        }
        _ => None,
    }
}
