//! The ONNX engine behind slices: the only place that names tract.

mod choice;
mod kernel;
mod load;
mod lower;
mod operations;
mod port;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use heapless::Vec as BoundedVec;
use hilbert_formats::bundle::Content;
use hilbert_formats::manifest::{GraphEntry, TensorEntry};
use tract_core::prelude::{IntoTValue, TVec, TractResult, TypedSimplePlan};

pub use self::choice::{Engine, UnknownEngine};
use self::kernel::Fault;
use self::lower::File;
pub use self::operations::{Arithmetic, Operation};
pub use self::port::{Input, Port};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_PORTS;

/// One ONNX graph, ready to run.
///
/// Its inputs and outputs are those that the manifest states, in order, type and shape. A graph is immutable and may run in
/// several threads at a time. tract allocates within a bound that the graph fixes; nothing is kept between runs.
pub struct Graph {
    name: String,
    inputs: Ports,
    outputs: Ports,
    taps: Vec<Port>,
    operations: Vec<Operation>,
    plan: Arc<TypedSimplePlan>,
}

type Ports = BoundedVec<Port, MAX_PORTS>;

impl Graph {
    /// Loads the graph `name` from the bytes of its ONNX file, to be computed by `engine`.
    ///
    /// # Errors
    /// [`ErrorKind::GraphLoad`] when the engine cannot read, type or optimise it; [`ErrorKind::GraphSignature`] when an input
    /// or output differs from the manifest's `entry`.
    pub fn load(name: &str, onnx: &[u8], entry: &GraphEntry, engine: Engine) -> Result<Self> {
        Self::load_file(name, File::Bytes(onnx), entry, &[], engine)
    }

    /// Loads the graph `name` from a file of a bundle. Tables of which a run takes some rows are read where they lie.
    ///
    /// # Errors
    /// As [`Graph::load`].
    pub fn load_content(
        name: &str,
        onnx: &Content,
        entry: &GraphEntry,
        engine: Engine,
    ) -> Result<Self> {
        Self::load_file(name, File::Content(onnx), entry, &[], engine)
    }

    /// Loads a graph that also gives the values `taps` from inside it, which [`Graph::run_with_taps`] returns.
    ///
    /// The engine does not fuse operations across a tap: last places may differ from those of the graph without taps.
    ///
    /// # Errors
    /// As [`Graph::load`], and [`ErrorKind::GraphSignature`] for a tap that the graph does not have, or not in this shape.
    pub fn load_with_taps(
        name: &str,
        onnx: &[u8],
        entry: &GraphEntry,
        taps: &[TensorEntry],
        engine: Engine,
    ) -> Result<Self> {
        Self::load_file(name, File::Bytes(onnx), entry, taps, engine)
    }

    fn load_file(
        name: &str,
        onnx: File<'_>,
        entry: &GraphEntry,
        taps: &[TensorEntry],
        engine: Engine,
    ) -> Result<Self> {
        let loaded = catch_unwind(|| load::load(name, onnx, entry, taps, engine))
            .unwrap_or_else(|panic| Err(load::fault(name, "loading", panic_message(&*panic))))?;
        log::debug!("graph {name}: loaded from {} bytes", onnx.bytes().len());
        Ok(Self {
            name: name.to_owned(),
            inputs: loaded.inputs,
            outputs: loaded.outputs,
            taps: loaded.taps,
            operations: loaded.operations,
            plan: loaded.plan,
        })
    }

    /// Its name in the manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its inputs in order.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Its outputs in order, all of 32-bit floats.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// What it is made of, in the order in which the engine holds it.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Runs the graph on `inputs`, each row-major of its port's shape, and returns the outputs likewise.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] when an input has another type or length than its port, or the engine fails.
    pub fn run(&self, inputs: &[Input<'_>]) -> Result<Vec<Vec<f32>>> {
        let mut outputs: Vec<Vec<f32>> =
            self.outputs.iter().map(|port| vec![0.0; port.len()]).collect();
        {
            let mut slices: BoundedVec<&mut [f32], MAX_PORTS> =
                outputs.iter_mut().map(Vec::as_mut_slice).collect();
            self.run_into(inputs, &mut slices)?;
        }
        Ok(outputs)
    }

    /// Runs the graph on `inputs` and returns the outputs and after them the taps, in the order in which they were asked for.
    ///
    /// # Errors
    /// As [`Graph::run`].
    pub fn run_with_taps(&self, inputs: &[Input<'_>]) -> Result<Vec<Vec<f32>>> {
        let ports = self.outputs.iter().chain(&self.taps);
        let mut values: Vec<Vec<f32>> = ports.map(|port| vec![0.0; port.len()]).collect();
        let mut slices: Vec<&mut [f32]> = values.iter_mut().map(Vec::as_mut_slice).collect();
        self.check_inputs(inputs)?;
        self.eval_caught(inputs, &mut slices)?;
        Ok(values)
    }

    /// Runs the graph on `inputs` and writes into the caller's buffers, each row-major of its port's shape.
    ///
    /// # Errors
    /// As [`Graph::run`], and when a buffer has another length than its port.
    pub fn run_into(&self, inputs: &[Input<'_>], outputs: &mut [&mut [f32]]) -> Result<()> {
        self.check_inputs(inputs)?;
        self.check_outputs(outputs)?;
        self.eval_caught(inputs, outputs)
    }

    fn eval_caught(&self, inputs: &[Input<'_>], outputs: &mut [&mut [f32]]) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.eval(inputs, outputs)))
            .unwrap_or_else(|panic| {
                Err(tract_core::prelude::TractError::msg(panic_message(&*panic)))
            })
            .map_err(|error| match error.downcast() {
                // A bundle that was changed while it is in use is none of this program's faults.
                Ok(Fault::Bundle(error)) => error.into(),
                Ok(Fault::Shape(error)) => self.fault(error.to_string()),
                Err(error) => self.fault(format!("{error:#}")),
            })
    }

    fn check_inputs(&self, inputs: &[Input<'_>]) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            let (found, expected) = (inputs.len(), self.inputs.len());
            return Err(self.fault(format!("found {found} inputs, expected {expected}")));
        }
        for (input, port) in inputs.iter().zip(&self.inputs) {
            if input.dtype() != port.dtype() || input.len() != port.len() {
                let found = format!("{} values of {:?}", input.len(), input.dtype());
                return Err(
                    self.fault(format!("input {}: found {found}, expected {port}", port.name()))
                );
            }
        }
        Ok(())
    }

    fn check_outputs(&self, outputs: &[&mut [f32]]) -> Result<()> {
        if outputs.len() != self.outputs.len() {
            let (found, expected) = (outputs.len(), self.outputs.len());
            return Err(self.fault(format!("found {found} outputs, expected {expected}")));
        }
        for (output, port) in outputs.iter().zip(&self.outputs) {
            if output.len() != port.len() {
                return Err(self.fault(format!(
                    "output {}: found a buffer of {} values, expected {port}",
                    port.name(),
                    output.len()
                )));
            }
        }
        Ok(())
    }

    fn eval(&self, inputs: &[Input<'_>], outputs: &mut [&mut [f32]]) -> TractResult<()> {
        let mut tensors = TVec::new();
        for (input, port) in inputs.iter().zip(&self.inputs) {
            tensors.push(input.to_tensor(port)?.into_tvalue());
        }
        let results = self.plan.run(tensors)?;
        for (result, output) in results.iter().zip(outputs.iter_mut()) {
            // The plan's output facts were checked at load: the lengths are equal.
            output.copy_from_slice(result.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        Ok(())
    }

    fn fault(&self, message: String) -> Error {
        Error::new(ErrorKind::GraphRun { graph: self.name.clone(), message: one_line(&message) })
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// What a panic of the engine said.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the engine panicked: {}", text.unwrap_or("no message"))
}

/// The engine's words on one line, cut where they go on and on. They may quote names from the file, which could write to a
/// terminal.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut line = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Graph, one_line};

    #[test]
    fn what_the_engine_says_is_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(one_line(&"x".repeat(9999)).chars().count(), 401);
    }

    #[test]
    fn a_graph_can_be_shared_between_threads() {
        fn assert_shareable<T: Send + Sync>() {}
        assert_shareable::<Graph>();
    }
}
