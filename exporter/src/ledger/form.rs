//! The graphs of one package as what they mean, and as the runtime runs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use hilbert_formats::taps::{Input, Place};
use hilbert_runtime::Engine;

use super::chain;
use crate::error::{ErrorKind, Result};
use crate::evaluate::{Elements, Graph, Tensor, Values};
use crate::package::Package;

/// Modules of the reference whose values graphs name.
const MODULES: [&str; 5] = ["speech.", "text.", "alignment.", "fusion.", "moe."];

/// The graphs of one package. Those with an operator that the evaluator does not know, or not in that form, are run by the
/// engine, and give their outputs alone.
pub(super) struct Form<'a> {
    graphs: BTreeMap<&'a str, (&'a GraphEntry, &'a [u8], Option<Graph>)>,
}

impl<'a> Form<'a> {
    pub(super) fn new(package: &'a Package) -> Self {
        let graph = |(name, entry): (&'a String, &'a GraphEntry)| {
            let onnx = package.file(&entry.file);
            let parsed = Graph::parse(onnx).ok().filter(|graph| is_known(graph, entry));
            (name.as_str(), (entry, onnx, parsed))
        };
        Self { graphs: package.manifest().graphs.iter().map(graph).collect() }
    }

    /// Names of the values of a graph that stand for layers, in the order in which they are made.
    pub(super) fn layers(&self, name: &str) -> Vec<String> {
        let Some((entry, _, graph)) = self.graphs.get(name) else { return Vec::new() };
        let outputs = || entry.outputs.iter().map(|output| output.name.as_str());
        let is_layer = |value: &&str| {
            MODULES.iter().any(|m| value.starts_with(m)) || outputs().any(|o| o == *value)
        };
        match graph {
            Some(graph) => graph.values().filter(is_layer).map(str::to_owned).collect(),
            None => outputs().map(str::to_owned).collect(),
        }
    }

    /// What the graph means: its layers, from its inputs and from values `given` in place of its own.
    pub(super) fn mean(
        &self,
        name: &str,
        inputs: &[Input],
        given: &Values,
        wanted: &[&str],
    ) -> Result<Values> {
        let (entry, onnx, graph) = self.graph(name)?;
        let Some(graph) = graph else { return run_outputs(name, entry, onnx, inputs) };
        let mut given = given.clone();
        given.extend(named(entry, inputs));
        let fault = |reason| ErrorKind::Evaluate { graph: name.into(), reason };
        Ok(graph.evaluate(&given, wanted).map_err(fault)?)
    }

    /// The layers `places` of a graph as the runtime computes them.
    pub(super) fn run(
        &self,
        name: &str,
        inputs: &[Input],
        places: &[&Place],
    ) -> Result<chain::Values> {
        let (entry, onnx, _) = self.graph(name)?;
        let is_output = |place: &&&Place| entry.outputs.iter().any(|o| o.name == place.value);
        let port = |place: &&Place| TensorEntry {
            name: place.value.clone(),
            dtype: Dtype::F32,
            shape: place.shape.clone(),
        };
        let taps: Vec<_> = places.iter().filter(|p| !is_output(p)).map(port).collect();
        let names = entry.outputs.iter().chain(&taps).map(|port| port.name.clone());
        Ok(names.zip(engine(name, entry, onnx, &taps, inputs)?).collect())
    }

    fn graph(&self, name: &str) -> Result<&(&'a GraphEntry, &'a [u8], Option<Graph>)> {
        Ok(self.graphs.get(name).ok_or_else(|| ErrorKind::NoGraph { name: name.into() })?)
    }
}

/// Whether the evaluator computes the outputs, tried on zeros.
fn is_known(graph: &Graph, entry: &GraphEntry) -> bool {
    let zeros = |port: &TensorEntry| {
        let count = port.shape.iter().product();
        match port.dtype {
            Dtype::F32 => Input::F32(vec![0.0; count]),
            Dtype::I64 => Input::I64(vec![0; count]),
        }
    };
    let zeros: Vec<_> = entry.inputs.iter().map(zeros).collect();
    let outputs: Vec<_> = entry.outputs.iter().map(|port| port.name.as_str()).collect();
    graph.evaluate(&named(entry, &zeros), &outputs).is_ok()
}

/// Inputs of a graph by their names; levels, which no graph is run on, left out.
fn named(entry: &GraphEntry, inputs: &[Input]) -> Values {
    let tensor = |(port, values): (&TensorEntry, &Input)| {
        let shape = port.shape.clone();
        let tensor = match values {
            Input::F32(values) => Tensor::of_f32(&shape, values),
            Input::I64(values) => Tensor { shape, elements: Elements::Whole(values.clone()) },
            Input::Levels(_) => return None,
        };
        Some((port.name.clone(), Arc::new(tensor)))
    };
    entry.inputs.iter().zip(inputs).filter_map(tensor).collect()
}

fn run_outputs(name: &str, entry: &GraphEntry, onnx: &[u8], inputs: &[Input]) -> Result<Values> {
    let values = engine(name, entry, onnx, &[], inputs)?;
    let tensor = |(port, values): (&TensorEntry, Vec<f32>)| {
        (port.name.clone(), Arc::new(Tensor::of_f32(&port.shape, &values)))
    };
    Ok(entry.outputs.iter().zip(values).map(tensor).collect())
}

fn engine<'b>(
    name: &str,
    entry: &GraphEntry,
    onnx: &[u8],
    taps: &[TensorEntry],
    inputs: &'b [Input],
) -> Result<Vec<Vec<f32>>> {
    let input = |values: &'b Input| match values {
        Input::F32(values) => Some(hilbert_runtime::Input::F32(values)),
        Input::I64(values) => Some(hilbert_runtime::Input::I64(values)),
        Input::Levels(_) => None,
    };
    let inputs: Vec<_> = inputs.iter().filter_map(input).collect();
    let values = hilbert_runtime::Graph::load_with_taps(name, onnx, entry, taps, Engine::Float)
        .and_then(|graph| graph.run_with_taps(&inputs));
    Ok(values.map_err(|source| ErrorKind::Runtime { stage: format!("running {name}"), source })?)
}
