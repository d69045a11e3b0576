//! What was irregular in an input and used all the same.

use std::fmt::{self, Display, Formatter};

/// One irregularity of an input. It travels with the value that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable name in snake case.
    pub code: &'static str,
    /// One line: what was found, and what was made of it.
    pub message: String,
    /// Where it stands in the file, if it stands in one place.
    pub place: Option<Place>,
}

/// A place in an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Bytes from the start of the file, counted from 0.
    Offset(u64),
    /// Line of a text, counted from 1.
    Line(u64),
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.place {
            Some(Place::Offset(offset)) => write!(f, " (at byte {offset})"),
            Some(Place::Line(line)) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Warnings of one file, each code once, so that no input makes the list long.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(crate) fn add(&mut self, code: &'static str, place: Place, message: String) {
        if !self.has(code) {
            self.0.push(Warning { code, message, place: Some(place) });
        }
    }

    pub(crate) fn has(&self, code: &str) -> bool {
        self.0.iter().any(|w| w.code == code)
    }

    pub(crate) fn as_slice(&self) -> &[Warning] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<Warning> {
        self.0
    }
}
