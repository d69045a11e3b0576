//! What runs a graph's operations.

use std::fmt;
use std::str::FromStr;

use hilbert_kernels::{Isa, UnknownIsa};

/// How a graph is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Int8 weights are multiplied as int8, attention and layer norm fused, by the kernels of this instruction set; what they
    /// do not know, stock tract computes in 32-bit floats.
    Kernels(Isa),
    /// Stock tract computes all in 32-bit floats; int8 weights are unfolded when the graph is loaded.
    Float,
}

impl Engine {
    /// The kernels of the fastest instruction set that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::Kernels(Isa::detect())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernels(isa) => isa.fmt(f),
            Self::Float => f.write_str(FLOAT),
        }
    }
}

const FLOAT: &str = "f32";
const AUTOMATIC: &str = "auto";

/// `auto` for [`Engine::detect`], `f32` for [`Engine::Float`], or the name of an instruction set.
impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        match name {
            AUTOMATIC => Ok(Self::detect()),
            FLOAT => Ok(Self::Float),
            _ => match name.parse::<Isa>() {
                Ok(isa) if isa.is_available() => Ok(Self::Kernels(isa)),
                Ok(isa) => Err(UnknownEngine::Missing(isa)),
                Err(unknown) => Err(UnknownEngine::Unknown(unknown)),
            },
        }
    }
}

/// A name that is no engine's, or an engine that this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownEngine {
    /// The processor, or this build, lacks the instruction set.
    Missing(Isa),
    /// Nothing has the name.
    Unknown(UnknownIsa),
}

impl fmt::Display for UnknownEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(isa) => write!(f, "found {isa}, which this machine does not have"),
            Self::Unknown(unknown) => write!(f, "{unknown}, or {AUTOMATIC} or {FLOAT}"),
        }
    }
}

impl std::error::Error for UnknownEngine {}
