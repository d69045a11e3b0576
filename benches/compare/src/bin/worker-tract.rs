//! The worker around stock tract, on any ONNX file.

use std::path::Path;
use std::sync::Arc;

use hilbert_compare::{Encoder, Item, Result, Values, serve};
use tract_onnx::prelude::*;

struct Stock {
    inputs: Vec<String>,
    plan: Arc<TypedSimplePlan>,
}

fn main() -> Result<()> {
    serve(|path, _| load(path).map_err(|error| format!("{error:#}").into()))
}

fn load(path: &Path) -> TractResult<Stock> {
    let model = onnx().model_for_path(path)?;
    let inputs = model.input_outlets()?.iter().map(|outlet| model.node(outlet.node).name.clone());
    let inputs = inputs.collect();
    Ok(Stock { inputs, plan: model.into_optimized()?.into_runnable()? })
}

impl Encoder for Stock {
    fn run(&mut self, item: &Item) -> Result<Vec<Vec<f32>>> {
        let mut tensors = TVec::new();
        for name in &self.inputs {
            let (shape, values) = item.get(name)?;
            tensors.push(match values {
                Values::F32(values) => Tensor::from_shape(shape, values)?.into_tvalue(),
                Values::I64(values) => Tensor::from_shape(shape, values)?.into_tvalue(),
            });
        }
        let outputs = self.plan.run(tensors)?;
        outputs
            .iter()
            .map(|output| Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()))
            .collect()
    }
}
