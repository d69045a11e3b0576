//! How a value of the manifest is held against what it must be.

use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;

use crate::error::{Error, ErrorKind, Result};

pub(super) fn mismatch(at: &str, found: impl Display, expected: impl Display) -> Error {
    let (found, expected) = (found.to_string(), expected.to_string());
    ErrorKind::Manifest { at: at.to_owned(), found, expected }.into()
}

pub(super) fn require(
    holds: bool,
    at: &str,
    found: impl Display,
    expected: impl Display,
) -> Result<()> {
    if holds { Ok(()) } else { Err(mismatch(at, found, expected)) }
}

/// Refuses what is outside of `range`, and numbers that are none.
pub(super) fn within<T: PartialOrd + Debug>(
    at: &str,
    found: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    let holds = range.contains(&found);
    require(holds, at, format!("{found:?}"), format!("{:?} to {:?}", range.start(), range.end()))
}

/// Refuses a value where this schema has none yet: to ignore it would change what the bundle means.
pub(super) fn reserved(value: Option<&serde_json::Value>, at: &str) -> Result<()> {
    require(value.is_none_or(serde_json::Value::is_null), at, "a value", "null, for it is reserved")
}

/// 64 lower-case hexadecimal digits.
pub(super) fn sha256(at: &str, found: &str) -> Result<()> {
    let holds = found.len() == 64
        && found.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    require(holds, at, format!("\"{found}\""), "64 lower-case hexadecimal digits")
}
