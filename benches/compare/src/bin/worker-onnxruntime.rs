//! The worker around onnxruntime, whose shared library `ORT_DYLIB_PATH` names: one thread, all optimisations, no spinning.

use std::path::Path;

use hilbert_compare::{Encoder, Item, Result, Values, serve};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

struct OnnxRuntime {
    inputs: Vec<String>,
    session: Session,
}

fn main() -> Result<()> {
    // The library is there before the clock starts, as the other workers' code is.
    let environment = ort::init().build()?;
    serve(|path, _| load(&environment, path))
}

fn load(environment: &Environment, path: &Path) -> Result<OnnxRuntime> {
    let mut builder = Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?;
    let session = builder.commit_from_file(path)?;
    let inputs = session.inputs().iter().map(|input| input.name().to_owned()).collect();
    Ok(OnnxRuntime { inputs, session })
}

impl Encoder for OnnxRuntime {
    fn run(&mut self, item: &Item) -> Result<Vec<Vec<f32>>> {
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::new();
        for name in &self.inputs {
            let (shape, values) = item.get(name)?;
            let value = match values {
                Values::F32(values) => {
                    TensorRef::from_array_view((shape, values.as_slice()))?.into()
                }
                Values::I64(values) => {
                    TensorRef::from_array_view((shape, values.as_slice()))?.into()
                }
            };
            inputs.push((name, value));
        }
        let outputs = self.session.run(inputs)?;
        outputs.values().map(|output| Ok(output.try_extract_tensor::<f32>()?.1.to_vec())).collect()
    }
}
