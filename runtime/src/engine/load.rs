//! From the bytes of an ONNX file to a plan, held against what the manifest states.

use std::sync::Arc;

use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use tract_core::prelude::{
    DatumType, IntoRunnable, OutletId, TractError, TypedFact, TypedModel, TypedSimplePlan,
};
use tract_onnx::prelude::{Framework, InferenceModelExt};

use super::{Port, Ports, one_line};
use crate::error::{Error, ErrorKind, Result};

/// What [`super::Graph`] keeps.
pub(super) struct Loaded {
    pub(super) inputs: Ports,
    pub(super) outputs: Ports,
    pub(super) plan: Arc<TypedSimplePlan>,
}

/// Parses, types, checks and optimises. A graph that refers to other files is refused: the engine is given no folder.
pub(super) fn load(name: &str, onnx: &[u8], entry: &GraphEntry) -> Result<Loaded> {
    let failed = |stage| move |error: TractError| fault(name, stage, format!("{error:#}"));
    let model = tract_onnx::onnx().model_for_read(&mut &*onnx).map_err(failed("parsing"))?;
    let typed = model.into_typed().map_err(failed("typing"))?;
    let inputs = check_ports(name, Side::Input, &typed, &typed.inputs, &entry.inputs)?;
    let outputs = check_ports(name, Side::Output, &typed, &typed.outputs, &entry.outputs)?;
    let optimised = typed.into_optimized().map_err(failed("optimising"))?;
    // Optimising must not change what the buffers hold.
    check_ports(name, Side::Output, &optimised, &optimised.outputs, &entry.outputs)?;
    let plan = optimised.into_runnable().map_err(failed("planning"))?;
    Ok(Loaded { inputs, outputs, plan })
}

pub(super) fn fault(graph: &str, stage: &'static str, message: String) -> Error {
    Error::new(ErrorKind::GraphLoad { graph: graph.to_owned(), stage, message: one_line(&message) })
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
    let differs = |port: String, found: String, expected: String| {
        Err(Error::new(ErrorKind::GraphSignature {
            graph: graph.to_owned(),
            port,
            found,
            expected,
        }))
    };
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
        let found = one_line(&format!("{name} {:?} {:?}", fact.datum_type, fact.shape));
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
