//! The command `hilbert-export`.

#![forbid(unsafe_code)]

mod commands;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::commands::Arguments;

/// Exit code: the report could not be written.
const OUTPUT_NOT_WRITTEN: u8 = 7;

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(report) => {
            let written = write!(io::stdout().lock(), "{report}");
            written.map_or(ExitCode::from(OUTPUT_NOT_WRITTEN), |()| ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("hilbert-export: {}", chain(&error));
            ExitCode::from(error.code())
        }
    }
}

/// An error and its causes, outermost first.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line += &format!(": {cause}");
        source = cause.source();
    }
    line
}
