//! Lengths that do not fit each other.

use std::fmt;

/// A slice or a dimension of another length than the others ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError {
    /// Which.
    pub what: &'static str,
    /// Its length.
    pub found: usize,
    /// The length that fits, or the largest that does.
    pub expected: usize,
}

impl ShapeError {
    pub(crate) const fn check(
        what: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self { what, found, expected }) }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.what, self.found, self.expected)
    }
}

impl std::error::Error for ShapeError {}
