//! The command as its users meet it: a process with arguments, two streams and an exit code.
#![cfg(feature = "default-bundle")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod classify;
mod failures;
mod inspect;
mod journal;
mod live;
mod plan;
mod process;
mod selftest;
mod signed;
