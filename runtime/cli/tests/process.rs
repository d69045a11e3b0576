//! The command run as a process.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code; -1 after a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// The command, ready to start, without a setting of the environment that changes what it says.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hilbert"));
    command.args(arguments).env_remove("HILBERT_LOG");
    command
}

/// Runs the command to its end.
pub(crate) fn hilbert<S: AsRef<OsStr>>(arguments: &[S]) -> Finished {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    Finished {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Path of a file of `examples/data`.
pub(crate) fn sample(name: &str) -> String {
    root().join("examples/data").join(name).to_str().unwrap().to_owned()
}

/// The folder of the bundle that is built in.
pub(crate) fn bundle() -> PathBuf {
    root().join("models/spoken-english/bundle")
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}
