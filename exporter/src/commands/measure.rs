//! `hilbert-export measure BUNDLE`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use allocation_counter::measure as count;
use clap::Args;

use hilbert_exporter::memory::{Measured, in_place};
use hilbert_exporter::{ErrorKind, Result};
use hilbert_formats::Bundle;
use hilbert_formats::manifest::{Dtype, GraphEntry, HeapUse, LoadUse};
use hilbert_runtime::{Engine, Graph, Input};

use super::open;
use super::output::Output;

/// All graphs are loaded and run so many times, and the largest counts: the seeds of the engine's hash maps may show.
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
    let in_place = in_place(bundle)?;
    let mut graphs = BTreeMap::new();
    // The engine's own tables are made when they are first needed: the first round does not count.
    for round in 0..=ROUNDS {
        // The kernels keep scratch for each thread: on a new one it is counted.
        let all = thread::scope(|scope| scope.spawn(|| heap_of_all(bundle, &in_place)).join())
            .unwrap_or_else(|panic| resume_unwind(panic));
        for (name, heap) in all.map_err(refused)?.into_iter().filter(|_| round > 0) {
            let most = graphs.entry(name).or_insert(heap);
            *most = most.larger(heap);
        }
    }
    Ok(Measured { pointer_width: usize::BITS, graphs })
}

/// Of each graph, in the order of their names, what this thread allocates.
fn heap_of_all(
    bundle: &Bundle,
    in_place: &Bundle,
) -> hilbert_runtime::Result<Vec<(String, HeapUse)>> {
    let of_one = |(name, entry): (&String, &GraphEntry)| {
        let (graph, LoadUse { load_peak, resident }) = load_use(name, bundle, entry)?;
        let in_place = Some(load_use(name, in_place, entry)?.1);
        let [scratch, run_peak] = run_use(&graph)?;
        let heap = HeapUse { load_peak, resident, in_place, scratch, run_peak };
        Ok((name.clone(), heap))
    };
    bundle.manifest().graphs.iter().map(of_one).collect()
}

/// What this thread allocates when it loads the graph, and what stays of that.
fn load_use(
    name: &str,
    bundle: &Bundle,
    entry: &GraphEntry,
) -> hilbert_runtime::Result<(Graph, LoadUse)> {
    let onnx = bundle.read_content(&entry.file)?;
    let mut loaded = None;
    let load = count(|| loaded = Some(Graph::load_content(name, &onnx, entry, Engine::detect())));
    let Some(graph) = loaded else { unreachable!("what is counted is run") };
    let (load_peak, resident) = (load.bytes_max, load.bytes_current.unsigned_abs());
    Ok((graph?, LoadUse { load_peak, resident }))
}

/// What this thread keeps of the graph's first run, and allocates in the next one.
fn run_use(graph: &Graph) -> hilbert_runtime::Result<[u64; 2]> {
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
    let mut ran = [Ok(()), Ok(())];
    let [first, next] =
        ran.each_mut().map(|ran| count(|| *ran = graph.run_into(&inputs, &mut outputs)));
    ran.into_iter().collect::<hilbert_runtime::Result<()>>()?;
    let scratch = first.bytes_current.unsigned_abs();
    Ok([scratch, next.bytes_max.max(first.bytes_max.saturating_sub(scratch))])
}
