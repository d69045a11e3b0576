//! The worker around rten: one thread, weights packed when the graph is loaded.

use std::path::Path;
use std::sync::Arc;

use hilbert_compare::{Encoder, Item, Result, Values, serve};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;

struct Rten {
    model: Model,
    inputs: Vec<(NodeId, String)>,
    options: RunOptions,
}

fn main() -> Result<()> {
    serve(|path, _| load(path))
}

fn load(path: &Path) -> Result<Rten> {
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(path)?;
    let name = |&id| Some((id, model.node_info(id)?.name()?.to_owned()));
    let inputs = model.input_ids().iter().map(name).collect::<Option<_>>();
    let inputs = inputs.ok_or("found an input without a name")?;
    let mut options = RunOptions::default();
    options.thread_pool = Some(Arc::new(ThreadPool::with_num_threads(1)));
    Ok(Rten { model, inputs, options })
}

impl Encoder for Rten {
    fn run(&mut self, item: &Item) -> Result<Vec<Vec<f32>>> {
        let mut inputs: Vec<(NodeId, ValueOrView<'_>)> = Vec::new();
        for (id, name) in &self.inputs {
            let (shape, values) = item.get(name)?;
            let value = match values {
                Values::F32(values) => Tensor::from_data(shape, values.clone()).into(),
                // rten's integers have 32 bits.
                Values::I64(values) => {
                    let narrow: std::result::Result<Vec<i32>, _> =
                        values.iter().map(|&value| i32::try_from(value)).collect();
                    Tensor::from_data(shape, narrow?).into()
                }
            };
            inputs.push((*id, value));
        }
        let outputs =
            self.model.run(inputs, self.model.output_ids(), Some(self.options.clone()))?;
        outputs.into_iter().map(|output| Ok(Tensor::<f32>::try_from(output)?.to_vec())).collect()
    }
}
