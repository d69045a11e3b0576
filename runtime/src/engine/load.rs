//! From the bytes of an ONNX file to a plan, held against what the manifest states.

use std::sync::{Arc, LazyLock};

use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use hilbert_formats::onnx::outline;
use tract_core::prelude::{
    DatumType, IntoRunnable, OutletId, TractError, TractResult, TypedFact, TypedModel,
    TypedSimplePlan,
};
use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{Framework, InferenceModel, InferenceModelExt};
use tract_onnx::tract_hir::ops::expandable::expand;

use super::kernel::{KernelOp, Pending};
use super::lower::{File, Held, lower};
use super::{Engine, Operation, Port, Ports, one_line, operations};
use crate::error::{Error, ErrorKind, Result};

/// What [`super::Graph`] keeps.
pub(super) struct Loaded {
    pub(super) inputs: Ports,
    pub(super) outputs: Ports,
    pub(super) taps: Vec<Port>,
    pub(super) operations: Vec<Operation>,
    pub(super) plan: Arc<TypedSimplePlan>,
}

/// Parses, types, checks and optimises. A graph that refers to other files is refused: the engine is given no folder.
///
/// The values `entries` become outputs after the entry's own. Where the kernels' form of the graph is refused, floats have the last
/// word on the graph.
pub(super) fn load(
    name: &str,
    file: File<'_>,
    entry: &GraphEntry,
    entries: &[TensorEntry],
    engine: Engine,
) -> Result<Loaded> {
    let loaded = load_on(engine, name, file, entry, entries);
    let Err(refused) = &loaded else { return loaded };
    if engine == Engine::Float {
        return loaded;
    }
    let floats = load_on(Engine::Float, name, file, entry, entries)?;
    log::warn!("graph {name}: computed in floats: {refused}");
    Ok(floats)
}

fn load_on(
    engine: Engine,
    name: &str,
    file: File<'_>,
    entry: &GraphEntry,
    entries: &[TensorEntry],
) -> Result<Loaded> {
    let failed = |stage| move |error: TractError| fault(name, stage, format!("{error:#}"));
    let mut model = parse(file, entries, engine).map_err(failed("parsing"))?;
    let mut outlets = model.outputs.clone();
    for tap in entries {
        let missing = || signature(name, "tap", "no such value".to_owned(), tap.name.clone());
        outlets.push(model.find_outlet_label(&tap.name).ok_or_else(missing)?);
    }
    model.select_output_outlets(&outlets).map_err(failed("tapping"))?;
    let typed = model.into_typed().map_err(failed("typing"))?;
    let inputs = check_ports(name, Side::Input, &typed, &typed.inputs, &entry.inputs)?;
    let (own, tapped) = split(&typed, entries);
    let outputs = check_ports(name, Side::Output, &typed, own, &entry.outputs)?;
    let taps = check_taps(name, &typed, tapped, entries)?;
    // Before tract packs the constants of its own operations, after which it no longer tells their size.
    let operations = operations::of(&typed);
    let optimised = typed.into_optimized().map_err(failed("optimising"))?;
    // Optimising must not change what the buffers hold.
    let (own, tapped) = split(&optimised, entries);
    check_ports(name, Side::Output, &optimised, own, &entry.outputs)?;
    check_taps(name, &optimised, tapped, entries)?;
    let plan = optimised.into_runnable().map_err(failed("planning"))?;
    Ok(Loaded { inputs, outputs, taps, operations, plan })
}

static FRAMEWORK: LazyLock<Onnx> = LazyLock::new(tract_onnx::onnx);

fn parse(file: File<'_>, taps: &[TensorEntry], engine: Engine) -> TractResult<InferenceModel> {
    let taps: Vec<&str> = taps.iter().map(|tap| &*tap.name).collect();
    // Kernels pack their weights where they lie; tract copies its own.
    let outline = matches!(engine, Engine::Kernels(_)).then(|| outline(file.bytes())).flatten();
    let (proto, constants) = match &outline {
        Some(outline) => {
            (FRAMEWORK.proto_model_for_read(&mut &*outline.rest)?, &*outline.constants)
        }
        None => (FRAMEWORK.proto_model_for_read(&mut file.bytes())?, &[][..]),
    };
    model_of(proto, &Held::new(file, constants.to_vec()), &taps, engine)
}

/// The model of a parsed file, kernels in the place of what they compute.
pub(super) fn model_of(
    mut proto: ModelProto,
    held: &Held<'_>,
    taps: &[&str],
    engine: Engine,
) -> TractResult<InferenceModel> {
    let Engine::Kernels(isa) = engine else { return FRAMEWORK.model_for_proto_model(&proto) };
    let kernels = proto.graph.as_mut().map(|graph| lower(graph, held, taps)).unwrap_or_default();
    let mut model = FRAMEWORK.model_for_proto_model(&proto)?;
    for named in kernels {
        let node = model.node_id_by_name(&named.name)?;
        model.node_mut(node).op = expand(Pending(KernelOp::new(named, isa)));
    }
    Ok(model)
}

pub(super) fn fault(graph: &str, stage: &'static str, message: String) -> Error {
    Error::new(ErrorKind::GraphLoad { graph: graph.to_owned(), stage, message: one_line(&message) })
}

fn signature(graph: &str, port: &str, found: String, expected: String) -> Error {
    let (graph, port) = (graph.to_owned(), port.to_owned());
    Error::new(ErrorKind::GraphSignature { graph, port, found: one_line(&found), expected })
}

/// The graph's own outputs and the taps behind them.
fn split<'a>(model: &'a TypedModel, taps: &[TensorEntry]) -> (&'a [OutletId], &'a [OutletId]) {
    model.outputs.split_at(model.outputs.len().saturating_sub(taps.len()))
}

fn check_taps(
    graph: &str,
    model: &TypedModel,
    outlets: &[OutletId],
    entries: &[TensorEntry],
) -> Result<Vec<Port>> {
    let check = |(&outlet, entry): (&OutletId, &TensorEntry)| {
        let fact = model
            .outlet_fact(outlet)
            .map_err(|error| fault(graph, "tapping", format!("{error:#}")))?;
        let found = format!("{:?} {:?}", fact.datum_type, fact.shape);
        let differs =
            |expected: String| signature(graph, &format!("tap {}", entry.name), found, expected);
        if entry.dtype != Dtype::F32 || !agrees(fact, entry) {
            return Err(differs(format!("F32 {:?}", entry.shape)));
        }
        Port::new(entry)
            .ok_or_else(|| differs("a rank and size within the limits of this runtime".to_owned()))
    };
    outlets.iter().zip(entries).map(check).collect()
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

fn check_ports(
    graph: &str,
    side: Side,
    model: &TypedModel,
    outlets: &[OutletId],
    entries: &[TensorEntry],
) -> Result<Ports> {
    let word = match side {
        Side::Input => "input",
        Side::Output => "output",
    };
    let differs = |port: String, found, expected| Err(signature(graph, &port, found, expected));
    if outlets.len() != entries.len() {
        return differs(format!("{word}s"), outlets.len().to_string(), entries.len().to_string());
    }
    let mut ports = Ports::new();
    for (i, (&outlet, entry)) in outlets.iter().zip(entries).enumerate() {
        let port = format!("{word} {i}");
        let fact = model
            .outlet_fact(outlet)
            .map_err(|error| fault(graph, "typing", format!("{error:#}")))?;
        let name = match side {
            Side::Input => &*model.node(outlet.node).name,
            Side::Output => model.outlet_label(outlet).unwrap_or(&model.node(outlet.node).name),
        };
        let found = format!("{name} {:?} {:?}", fact.datum_type, fact.shape);
        let expected = format!("{} {:?} {:?}", entry.name, entry.dtype, entry.shape);
        let is_output_of_ints = matches!((side, entry.dtype), (Side::Output, Dtype::I64));
        if name != entry.name || !agrees(fact, entry) || is_output_of_ints {
            return differs(port, found, expected);
        }
        let Some(checked) = Port::new(entry) else {
            return differs(
                port,
                found,
                "a rank and size within the limits of this runtime".to_owned(),
            );
        };
        if ports.push(checked).is_err() {
            return differs(
                format!("{word}s"),
                outlets.len().to_string(),
                format!("at most {}", ports.capacity()),
            );
        }
    }
    Ok(ports)
}

fn agrees(fact: &TypedFact, entry: &TensorEntry) -> bool {
    let dtype = match entry.dtype {
        Dtype::F32 => DatumType::F32,
        Dtype::I64 => DatumType::I64,
    };
    fact.datum_type == dtype && fact.shape.as_concrete() == Some(entry.shape.as_slice())
}
