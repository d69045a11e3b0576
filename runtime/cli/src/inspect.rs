//! `hilbert inspect`: what a model's graphs are made of on this machine.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use hilbert_formats::escape::Escaped;
use hilbert_runtime::{Arithmetic, Engine, Model, Operation};
use serde_json::json;

use crate::arguments::{Format, Inspect};
use crate::classify::open_bundle;
use crate::failure::Failure;
use crate::printing::escape_json;

pub(crate) fn inspect(arguments: &Inspect) -> Result<String, Failure> {
    let engine = arguments.engine.engine;
    let model = Model::from_bundle_on(engine, &open_bundle(&arguments.model)?)?;
    let manifest = model.manifest();
    let graphs: Vec<_> = manifest
        .graph_names()
        .into_iter()
        .filter_map(|name| Some((name.clone(), model.graph(&name)?.operations())))
        .collect();
    if arguments.format == Format::Text {
        let every = arguments.kernels;
        return Ok(Report { model: &manifest.name, engine, graphs: &graphs, every }.to_string());
    }
    let graphs: BTreeMap<_, _> = graphs
        .iter()
        .map(|(name, operations)| {
            let sum = Sum::of(*operations);
            let mut graph = json!({ "int8_operations": sum.int8, "int8_bytes": sum.int8_bytes,
                "f32_operations": sum.f32, "f32_bytes": sum.f32_bytes });
            if arguments.kernels {
                graph["operations"] = json!(operations);
            }
            (name, graph)
        })
        .collect();
    let json = json!({ "schema": "hilbert.kernels/1", "bundle": manifest.name,
        "sha256": model.bundle_sha256(), "engine": engine.to_string(), "graphs": graphs });
    Ok(escape_json(&format!("{json:#}")) + "\n")
}

/// Displays as a table, the last line ended. Names are escaped.
struct Report<'a> {
    model: &'a str,
    engine: Engine,
    graphs: &'a [(String, &'a [Operation])],
    every: bool,
}

/// How much of some operations is int8.
#[derive(Default)]
struct Sum {
    int8: usize,
    int8_bytes: usize,
    f32: usize,
    f32_bytes: usize,
}

impl Sum {
    fn of<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Self {
        operations.into_iter().fold(Self::default(), |mut sum, operation| {
            let (count, bytes) = match operation.arithmetic {
                Arithmetic::Int8 => (&mut sum.int8, &mut sum.int8_bytes),
                Arithmetic::F32 => (&mut sum.f32, &mut sum.f32_bytes),
            };
            *count += 1;
            *bytes += operation.weight_bytes;
            sum
        })
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {}, computed by {}", Escaped(self.model), self.engine)?;
        writeln!(f, "  {:<16}  int8      bytes  f32      bytes", "graph")?;
        for (name, operations) in self.graphs {
            write_sum(f, &Escaped(name).to_string(), &Sum::of(*operations))?;
            if self.every {
                for operation in *operations {
                    write_operation(f, operation)?;
                }
            }
        }
        write_sum(f, "in all", &Sum::of(self.graphs.iter().flat_map(|(_, all)| *all)))
    }
}

fn write_sum(f: &mut Formatter<'_>, name: &str, sum: &Sum) -> fmt::Result {
    let Sum { int8, int8_bytes, f32, f32_bytes } = sum;
    writeln!(f, "  {name:<16}  {int8:>4}  {int8_bytes:>9}  {f32:>3}  {f32_bytes:>9}")
}

fn write_operation(f: &mut Formatter<'_>, operation: &Operation) -> fmt::Result {
    let Operation { name, operation, kernel, arithmetic, weight_bytes } = operation;
    let arithmetic = match arithmetic {
        Arithmetic::Int8 => "int8",
        Arithmetic::F32 => "f32",
    };
    let (name, operation) = (Escaped(name), Escaped(operation));
    writeln!(f, "    {arithmetic:<4}  {kernel:<12}  {weight_bytes:>8}  {operation}: {name}")
}
