//! What the workers of the comparison share: the inputs, and the lines by which they are driven.
//!
//! A worker is `worker-ENGINE GRAPH.onnx INPUTS.safetensors [OPTION]`. It loads the graph, then answers one line of standard
//! input with one line of standard output:
//!
//! | line | what it does | answer |
//! |---|---|---|
//! | (at its start) | loads | `loaded NS`, CPU time |
//! | `run N` | N inferences, on the inputs in turn | `ran NS`, CPU time of all of them |
//! | `write FILE` | one inference on each input | `wrote FILE`: safetensors, `[inputs, ...]` an output |
//! | `peak` | nothing | `peak BYTES`: the most resident memory so far |
//!
//! CPU time is that of the process, all threads. What goes wrong ends the worker with a message on standard error.

#![forbid(unsafe_code)]

pub mod inputs;

use std::error::Error;
use std::ffi::OsString;
use std::hint::black_box;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use cpu_time::ProcessTime;

pub use self::inputs::{Inputs, Item, Values};

/// Anything that ends a worker.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A graph that is loaded.
pub trait Encoder {
    /// Computes one item's outputs in the graph's order, each row-major.
    ///
    /// # Errors
    /// What the engine says.
    fn run(&mut self, item: &Item) -> Result<Vec<Vec<f32>>>;
}

/// Runs a worker: `load` makes the encoder from the graph's file and the option.
///
/// # Errors
/// A wrong command line, an unreadable file, an unknown line, or what the engine says.
pub fn serve<E: Encoder>(load: impl FnOnce(&Path, Option<&str>) -> Result<E>) -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (graph, inputs, option) = match arguments.as_slice() {
        [graph, inputs] => (graph, inputs, None),
        [graph, inputs, option] => (graph, inputs, option.to_str()),
        _ => return Err("expected GRAPH.onnx INPUTS.safetensors [OPTION]".into()),
    };
    let start = ProcessTime::try_now()?;
    let mut encoder = load(Path::new(graph), option)?;
    answer(&format!("loaded {}", start.try_elapsed()?.as_nanos()))?;
    let inputs = Inputs::read(&PathBuf::from(inputs))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("run", count) => {
                let count: usize = count.parse()?;
                let start = ProcessTime::try_now()?;
                for item in inputs.items.iter().cycle().take(count) {
                    black_box(encoder.run(black_box(item))?);
                }
                answer(&format!("ran {}", start.try_elapsed()?.as_nanos()))?;
            }
            ("write", file) => {
                let outputs = inputs.items.iter().map(|item| encoder.run(item));
                inputs::write_outputs(Path::new(file), &outputs.collect::<Result<Vec<_>>>()?)?;
                answer(&format!("wrote {file}"))?;
            }
            ("peak", "") => answer(&format!("peak {}", peak_bytes()?))?,
            _ => return Err(format!("found line {line:?}, expected run, write or peak").into()),
        }
    }
    Ok(())
}

fn answer(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// The most memory that was ever resident, as the kernel counts it.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("found no VmHWM")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}
