//! A trained HILBERT checkpoint to a bundle that `hilbert-runtime` opens: ONNX graphs with int8 or float weights and a manifest.
//!
//! [`export()`] does all of it: [`Checkpoint`] reads and checks, [`Package`] builds the graphs and writes them, [`verify`]
//! opens the result with the real runtime and compares it with the reference's golden file before it takes its place.

#![forbid(unsafe_code)]

pub mod alignment;
pub mod calibration;
pub mod certificate;
pub mod checkpoint;
pub mod constants;
pub mod diff;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod external;
pub mod fusion;
pub mod graph;
pub mod inspect;
pub mod layers;
pub mod ledger;
pub mod memory;
pub mod moe;
pub mod onnx;
pub mod package;
pub mod packing;
mod pattern;
pub mod progress;
pub mod quantize;
pub mod recipe;
pub mod signing;
pub mod speech;
pub mod staged;
pub mod text;
pub mod verify;

pub use crate::checkpoint::{Checkpoint, Names};
pub use crate::diff::{Difference, diff};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::export::{CalibrationOptions, GateOptions, Options, Report, export};
pub use crate::inspect::{Inspection, inspect};
pub use crate::ledger::Ledger;
pub use crate::package::Package;
pub use crate::recipe::Recipe;
