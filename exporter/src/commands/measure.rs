//! `hilbert-export measure BUNDLE`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use allocation_counter::measure as count;
use clap::Args;

use hilbert_exporter::memory::Measured;
use hilbert_exporter::{ErrorKind, Result};
use hilbert_formats::Bundle;
use hilbert_formats::bundle::Content;
use hilbert_formats::manifest::{Dtype, GraphEntry, HeapUse};
use hilbert_runtime::{Engine, Graph, Input};

use super::open;
use super::output::Output;

/// Each graph is loaded and run so many times, and the largest counts: the seeds of the engine's hash maps may show.
const ROUNDS: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct Measure {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn measure(arguments: &Measure) -> Result<Box<dyn Display>> {
    Ok(arguments.output.of(measured(&open(&arguments.bundle)?)?))
}

fn measured(bundle: &Bundle) -> Result<Measured> {
    let refused = |source| ErrorKind::Runtime { stage: "measuring it".into(), source };
    let mut graphs = BTreeMap::new();
    // The engine's own tables are made when they are first needed: the first round does not count.
    for round in 0..=ROUNDS {
        for (name, entry) in &bundle.manifest().graphs {
            let onnx = bundle.read_content(&entry.file).map_err(|error| refused(error.into()))?;
            // The engine keeps some scratch for each thread: on a new one it is counted.
            let heap = thread::scope(|scope| scope.spawn(|| heap_use(name, &onnx, entry)).join())
                .unwrap_or_else(|panic| resume_unwind(panic));
            let heap = heap.map_err(refused)?;
            if round > 0 {
                let most = graphs.entry(name.clone()).or_insert(heap);
                *most = most.larger(heap);
            }
        }
    }
    Ok(Measured { pointer_width: usize::BITS, graphs })
}

/// What this thread allocates when it loads the graph, and when it runs it once.
fn heap_use(name: &str, onnx: &Content, entry: &GraphEntry) -> hilbert_runtime::Result<HeapUse> {
    let mut loaded = None;
    let load = count(|| loaded = Some(Graph::load_content(name, onnx, entry, Engine::detect())));
    let Some(graph) = loaded else { unreachable!("what is counted is run") };
    let graph = graph?;
    let ports = graph.inputs().iter();
    let (ones, zeros): (Vec<_>, Vec<_>) =
        ports.map(|port| (vec![1.0; port.len()], vec![0; port.len()])).unzip();
    let values = graph.inputs().iter().zip(ones.iter().zip(&zeros));
    let inputs: Vec<_> = values
        .map(|(port, (ones, zeros))| match port.dtype() {
            Dtype::F32 => Input::F32(ones),
            Dtype::I64 => Input::I64(zeros),
        })
        .collect();
    let mut outputs: Vec<_> = graph.outputs().iter().map(|port| vec![0.0; port.len()]).collect();
    let mut outputs: Vec<_> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let mut ran = Ok(());
    let run = count(|| ran = graph.run_into(&inputs, &mut outputs));
    ran?;
    Ok(HeapUse {
        load_peak: load.bytes_max,
        resident: load.bytes_current.unsigned_abs(),
        run_peak: run.bytes_max,
    })
}
