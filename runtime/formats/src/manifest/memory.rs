//! Heap that each graph takes, as the exporter measured it: what a memory plan adds up before anything is loaded.

use serde::{Deserialize, Serialize};

use super::check::{require, within};
use crate::error::Result;

/// Figures are multiples of so many bytes.
pub const HEAP_UNIT: u64 = 4 << 10;
/// Largest figure, bytes.
pub const MAX_HEAP: u64 = 1 << 32;

/// Heap of one graph in programs of 32-bit and of 64-bit pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphMemory {
    /// Where pointers have 32 bits.
    #[serde(rename = "32")]
    pub bits_32: HeapUse,
    /// Where pointers have 64 bits.
    #[serde(rename = "64")]
    pub bits_64: HeapUse,
}

/// Heap of one graph, bytes: each an upper bound, of one thread, above what was live before. The file's bytes and the
/// buffers for inputs and outputs, which are the caller's, are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeapUse {
    /// Peak while it is loaded: parsed, typed, optimised.
    pub load_peak: u64,
    /// What stays once it is loaded.
    pub resident: u64,
    /// The same of a bundle that is part of the program, whose int8 weights stay where they are; of exporters before this field none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place: Option<LoadUse>,
    /// What the kernels keep of a run for the next ones on the same thread, beyond what the graphs before it keep, in the order of
    /// their names; 0 for a graph that needs no more than they do.
    pub scratch: u64,
    /// Peak of one run, above what stays and what is kept.
    pub run_peak: u64,
}

/// What loading a graph takes, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadUse {
    /// Peak while it is loaded.
    pub load_peak: u64,
    /// What stays once it is loaded.
    pub resident: u64,
}

impl LoadUse {
    /// The larger of each figure.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        Self {
            load_peak: self.load_peak.max(other.load_peak),
            resident: self.resident.max(other.resident),
        }
    }

    fn check(self, at: &str) -> Result<()> {
        let Self { load_peak, resident } = self;
        figure(at, "load_peak", load_peak, HEAP_UNIT)?;
        figure(at, "resident", resident, HEAP_UNIT)?;
        let expected = format!("at most the {load_peak} of load_peak");
        require(resident <= load_peak, &format!("{at}.resident"), resident, expected)
    }
}

impl GraphMemory {
    /// The figures for this program.
    #[must_use]
    pub const fn of_this_program(&self) -> HeapUse {
        if cfg!(target_pointer_width = "32") { self.bits_32 } else { self.bits_64 }
    }

    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.bits_32.check(&format!("{at}.32"))?;
        self.bits_64.check(&format!("{at}.64"))
    }
}

impl HeapUse {
    /// What loading the graph takes at most, of a bundle that is part of the program or of another.
    #[must_use]
    pub fn load(&self, is_in_place: bool) -> LoadUse {
        let Self { load_peak, resident, in_place, .. } = *self;
        in_place.filter(|_| is_in_place).unwrap_or(LoadUse { load_peak, resident })
    }

    /// The larger of each figure.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        Self {
            load_peak: self.load_peak.max(other.load_peak),
            resident: self.resident.max(other.resident),
            in_place: self.in_place.zip(other.in_place).map(|(one, other)| one.larger(other)),
            scratch: self.scratch.max(other.scratch),
            run_peak: self.run_peak.max(other.run_peak),
        }
    }

    fn check(&self, at: &str) -> Result<()> {
        self.load(false).check(at)?;
        figure(at, "scratch", self.scratch, 0)?;
        figure(at, "run_peak", self.run_peak, HEAP_UNIT)?;
        self.in_place.map_or(Ok(()), |load| load.check(&format!("{at}.in_place")))
    }
}

fn figure(at: &str, name: &str, bytes: u64, least: u64) -> Result<()> {
    let at = format!("{at}.{name}");
    within(&at, bytes, least..=MAX_HEAP)?;
    let whole = bytes.is_multiple_of(HEAP_UNIT);
    require(whole, &at, bytes, format!("a multiple of {HEAP_UNIT}"))
}
