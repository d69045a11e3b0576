//! Capacities of the small bounded lists, and why each has its value.
//!
//! A bundle that asks for more fails when it is opened; nothing is cut short. Limits of one stage alone stand in that stage.

pub(crate) use hilbert_formats::manifest::{MAX_COVERAGES, MAX_EXPERTS, MAX_LABELS, MAX_TASKS};

/// Inputs or outputs of one graph: `join` has five inputs.
pub(crate) const MAX_PORTS: usize = 8;

/// Dimensions of one input or output: the numerator of cross-attention has three.
pub(crate) const MAX_RANK: usize = 4;

/// Values of one input or output: the largest block of rows that a manifest may ask for, 1024 of width 4096.
pub(crate) const MAX_VALUES: usize = 1 << 22;
