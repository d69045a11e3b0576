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
    /// The same of a bundle that is part of the program, whose int8 weights stay where they are.
    pub in_place: LoadUse,
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
    /// What loading the graph takes, of a bundle that is part of the program or of another.
    #[must_use]
    pub const fn load(&self, is_in_place: bool) -> LoadUse {
        let Self { load_peak, resident, in_place, .. } = *self;
        if is_in_place { in_place } else { LoadUse { load_peak, resident } }
    }

    /// The larger of each figure.
    #[must_use]
    pub fn larger(self, other: Self) -> Self {
        Self {
            load_peak: self.load_peak.max(other.load_peak),
            resident: self.resident.max(other.resident),
            in_place: LoadUse {
                load_peak: self.in_place.load_peak.max(other.in_place.load_peak),
                resident: self.in_place.resident.max(other.in_place.resident),
            },
            scratch: self.scratch.max(other.scratch),
            run_peak: self.run_peak.max(other.run_peak),
        }
    }

    fn check(&self, at: &str) -> Result<()> {
        let Self { load_peak, resident, in_place, scratch, run_peak } = *self;
        let figures = [
            ("load_peak", load_peak, HEAP_UNIT),
            ("resident", resident, HEAP_UNIT),
            ("in_place.load_peak", in_place.load_peak, HEAP_UNIT),
            ("in_place.resident", in_place.resident, HEAP_UNIT),
            ("scratch", scratch, 0),
            ("run_peak", run_peak, HEAP_UNIT),
        ];
        for (name, bytes, least) in figures {
            let at = format!("{at}.{name}");
            within(&at, bytes, least..=MAX_HEAP)?;
            let whole = bytes.is_multiple_of(HEAP_UNIT);
            require(whole, &at, bytes, format!("a multiple of {HEAP_UNIT}"))?;
        }
        for (load, of) in [(self.load(false), ""), (in_place, "in_place.")] {
            let LoadUse { load_peak, resident } = load;
            let expected = format!("at most the {load_peak} of load_peak");
            require(resident <= load_peak, &format!("{at}.{of}resident"), resident, expected)?;
        }
        Ok(())
    }
}
