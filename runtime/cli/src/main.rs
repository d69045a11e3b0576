//! The command `hilbert`: a recording of speech and its transcript become a class, offline.
//!
//! Results go to standard output, all else to standard error. `hilbert --help` lists the exit codes.

#![forbid(unsafe_code)]

mod arguments;
mod batch;
mod classify;
mod failure;
mod inspect;
mod plan;
mod printing;
mod recording;
mod report;
mod selftest;
mod stop;

use std::io::Write as _;
use std::panic;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use self::arguments::{Arguments, Command};
use self::failure::Failure;

fn main() -> ExitCode {
    start_logging();
    // The runtime turns a panic of its engine into an error, so that a panic itself is news for developers only.
    panic::set_hook(Box::new(|panic| log::debug!("{panic}")));
    let outcome = panic::catch_unwind(run_command).unwrap_or_else(|_| {
        Err(Failure::Internal("the program panicked; HILBERT_LOG=debug shows where".to_owned()))
    });
    outcome.unwrap_or_else(|failure| {
        printing::error(&format!("hilbert: {failure}"));
        ExitCode::from(failure.code())
    })
}

fn run_command() -> Result<ExitCode, Failure> {
    match Arguments::try_parse() {
        Ok(Arguments { command: Command::Classify(arguments) }) => {
            classify::classify(&arguments).map(ExitCode::from)
        }
        Ok(Arguments { command: Command::Plan(arguments) }) => {
            printing::result(&plan::plan(&arguments)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Arguments { command: Command::Selftest(arguments) }) => {
            let (text, failure) = selftest::selftest(&arguments)?;
            printing::result(&text)?;
            failure.map_or(Ok(ExitCode::SUCCESS), Err)
        }
        Ok(Arguments { command: Command::Inspect(arguments) }) => {
            printing::result(&inspect::inspect(&arguments)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            printing::result(&help.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(usage) => {
            printing::error(usage.to_string().trim_end());
            Ok(ExitCode::from(2))
        }
    }
}

/// Messages of the crate `log` go to standard error: warnings, or what `HILBERT_LOG` asks for.
fn start_logging() {
    let environment = env_logger::Env::new().filter_or("HILBERT_LOG", "warn");
    // A logger that is set already, which nobody does, would stay.
    let _ = env_logger::Builder::from_env(environment)
        .format(|out, record| {
            let message = printing::escape_lines(&record.args().to_string());
            writeln!(out, "hilbert: {}: {message}", record.level().as_str().to_ascii_lowercase())
        })
        .try_init();
}
