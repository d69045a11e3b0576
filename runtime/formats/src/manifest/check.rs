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

/// Labels that can be printed and told apart.
pub(super) fn check_labels(at: &str, labels: &[String]) -> Result<()> {
    for (i, label) in labels.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let printable =
            !label.trim().is_empty() && label.len() <= 64 && !label.chars().any(char::is_control);
        require(printable, &at, label, "1 to 64 bytes that can be printed")?;
        require(!labels[..i].contains(label), &at, label, "a label that does not stand before")?;
    }
    Ok(())
}
