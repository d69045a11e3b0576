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
            let [(int8, int8_bytes), (int16, int16_bytes), (f32, f32_bytes)] = sum.0;
            let mut graph = json!({ "int8_operations": int8, "int8_bytes": int8_bytes,
                "int16_operations": int16, "int16_bytes": int16_bytes,
                "f32_operations": f32, "f32_bytes": f32_bytes });
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

/// How many of some operations are int8, int16 and f32, and the bytes of their weights.
#[derive(Default)]
struct Sum([(usize, usize); 3]);

impl Sum {
    fn of<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Self {
        operations.into_iter().fold(Self::default(), |Self(mut sums), operation| {
            let (count, bytes) = match operation.arithmetic {
                Arithmetic::Int8 => &mut sums[0],
                Arithmetic::Int16 => &mut sums[1],
                Arithmetic::F32 => &mut sums[2],
            };
            *count += 1;
            *bytes += operation.weight_bytes;
            Self(sums)
        })
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {}, computed by {}", Escaped(self.model), self.engine)?;
        write!(f, "  {:<16}", "graph")?;
        for arithmetic in ["int8", "int16", "f32"] {
            write!(f, "  {arithmetic:>5}  {:>9}", "bytes")?;
        }
        writeln!(f)?;
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
    write!(f, "  {name:<16}")?;
    for (count, bytes) in sum.0 {
        write!(f, "  {count:>5}  {bytes:>9}")?;
    }
    writeln!(f)
}

fn write_operation(f: &mut Formatter<'_>, operation: &Operation) -> fmt::Result {
    let Operation { name, operation, kernel, arithmetic, weight_bytes } = operation;
    let arithmetic = match arithmetic {
        Arithmetic::Int8 => "int8",
        Arithmetic::Int16 => "int16",
        Arithmetic::F32 => "f32",
    };
    let (name, operation) = (Escaped(name), Escaped(operation));
    writeln!(f, "    {arithmetic:<5}  {kernel:<12}  {weight_bytes:>8}  {operation}: {name}")
}
