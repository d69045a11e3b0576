//! Exports a tiny random checkpoint, for structure, and the trained one, for parity with the reference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as the tests do")]

mod alignment;
mod bundles;
mod checkpoints;
mod command;
mod damage;
mod determinism;
mod diff;
mod external;
mod gate;
mod graphs;
mod hugging_face;
mod inspect;
mod ledger;
mod memory;
mod moe;
mod names;
mod operators;
mod packing;
mod parity;
mod shipped;
mod signing;
mod tiny;
mod trained;
mod verify;
