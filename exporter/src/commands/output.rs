//! What a report looks like on standard output.

use std::fmt::{self, Display, Formatter};

use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

impl Output {
    /// The report as it was asked for.
    pub(crate) fn of<T: Serialize + Display + 'static>(&self, report: T) -> Box<dyn Display> {
        if self.json { Box::new(Json(report)) } else { Box::new(report) }
    }
}

struct Json<T>(T);

impl<T: Serialize> Display for Json<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string_pretty(&self.0).map_err(|_| fmt::Error)?;
        writeln!(f, "{json}")
    }
}
