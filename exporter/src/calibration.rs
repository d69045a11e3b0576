//! The gate: what the form that ships decides on calibration documents, against what the same weights decide as floats.
//!
//! A list names recordings with their transcripts and labels. Each encoder sees each segment and cue once ([`features`]);
//! documents are crops of them and pairs that do not belong together ([`documents`]); the runtime's fusion, experts and
//! alignment decide each one ([`decisions`]); [`gate`] counts what differs, and [`sensitivity`] finds the tensors to blame.

pub mod decisions;
pub mod documents;
pub mod evaluation;
pub mod features;
pub mod form;
pub mod gate;
pub mod list;
pub mod recording;
pub mod sensitivity;

pub use self::evaluation::Evaluation;
pub use self::gate::{Limits, TaskMeasures};
pub use self::list::List;
