//! All graphs one after the other on the sample, from log-mel and tokens to every task's output.
//!
//! With one segment and one row of tokens, pooling gives the row itself and attention the other modality's value.

use std::collections::BTreeMap;

use hilbert_formats::manifest::Manifest;
use hilbert_formats::taps::Input;

use super::sample::{ALIGNED_FRAMES, MIDDLE_S, Sample, mask};
use crate::error::{ErrorKind, Result};
use crate::fusion::Modality;
use crate::speech::sinusoids;

/// Added to the scores of keys that are padding.
const PADDING: f32 = -1e9;

/// Values of a graph by their names.
pub(super) type Values = BTreeMap<String, Vec<f32>>;

/// One graph that ran.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) graph: String,
    pub(super) inputs: Vec<Input>,
    /// Rows along a dimension that counts rows: how many are real, of how many.
    pub(super) real: Option<(usize, usize)>,
    pub(super) values: Values,
}

/// A chain that runs: graphs by `run`, which is given a name and inputs.
pub(super) struct Chain<'a, R> {
    pub(super) manifest: &'a Manifest,
    pub(super) run: R,
    pub(super) steps: Vec<Step>,
}

impl<R: FnMut(&str, &[Input]) -> Result<Values>> Chain<'_, R> {
    /// Every graph in order.
    pub(super) fn run(mut self, sample: &Sample) -> Result<Vec<Step>> {
        let fusion = &self.manifest.fusion;
        let (width, block) = (fusion.width, fusion.block);
        let mel = self.manifest.graphs.get("speech_encoder").and_then(|entry| entry.inputs.first());
        let mel =
            mel.and_then(|port| sample.log_mel.padded(port)).ok_or_else(missing("log_mel"))?;
        self.step("speech_encoder", vec![mel, mask(sample.frames)], Some(sample.frames))?;
        if let Some(alignment) = &self.manifest.alignment {
            let (real, all) = sample.frames;
            let real = (real * alignment.frames).div_ceil(all).min(ALIGNED_FRAMES);
            let mut frames = self.value("frames")?;
            frames.get_mut(real * alignment.width..).unwrap_or_default().fill(0.0);
            self.step("alignment", vec![Input::F32(frames)], Some((real, alignment.frames)))?;
        }
        let tokens = vec![Input::I64(sample.tokens.clone()), mask(sample.length)];
        self.step("text_encoder", tokens, Some(sample.length))?;

        let middle = sinusoids(&[MIDDLE_S], width, fusion.period_min_s, fusion.period_max_s);
        let mut rows = Vec::new();
        for (modality, position) in Modality::BOTH.into_iter().zip([middle, vec![0.0; width]]) {
            let encoder = ["speech_encoder", "text_encoder"][modality.index()];
            let row = self.value_of(encoder, "row")?;
            let inputs = vec![Input::F32(row), Input::F32(position)];
            self.step(&format!("project_{}", modality.name()), inputs, None)?;
            rows.push(self.value("x")?);
        }
        let padded = |row: &[f32]| {
            let mut rows = row.to_vec();
            rows.resize(block * width, 0.0);
            Input::F32(rows)
        };
        let bias: Vec<f32> = (0..block).map(|i| if i == 0 { 0.0 } else { PADDING }).collect();
        let mut crossed = Vec::new();
        for modality in Modality::BOTH {
            let (own, other) = (&rows[modality.index()], &rows[modality.other().index()]);
            let inputs = vec![padded(own), padded(other), Input::F32(bias.clone())];
            self.step(&format!("cross_{}", modality.name()), inputs, Some((1, block)))?;
            let (numerator, sum) = (self.value("numerator")?, self.value("sum")?);
            let part = width / fusion.heads;
            let first = numerator.chunks_exact(block * part).zip(sum.chunks_exact(block));
            let attended: Vec<f32> =
                first.flat_map(|(rows, sums)| rows[..part].iter().map(|v| v / sums[0])).collect();
            let inputs = vec![padded(&attended), padded(own)];
            self.step(&format!("finish_{}", modality.name()), inputs, Some((1, block)))?;
            crossed.push(self.value("c")?[..width].to_vec());
        }
        let mut pooled: Vec<Input> = rows.into_iter().chain(crossed).map(Input::F32).collect();
        pooled.push(Input::F32(vec![1.0, 1.0]));
        self.step("join", pooled, None)?;
        self.experts()?;
        Ok(self.steps)
    }

    fn experts(&mut self) -> Result<()> {
        let experts = &self.manifest.experts;
        let document = self.value("document")?;
        self.step("router", vec![Input::F32(document.clone())], None)?;
        let gates = self.value("gates")?;
        let mut outputs = Vec::new();
        for i in 0..experts.count {
            self.step(&format!("expert_{i}"), vec![Input::F32(document.clone())], None)?;
            outputs.push(self.value("output")?);
        }
        for (task, gates) in self.manifest.tasks.iter().zip(gates.chunks_exact(experts.count)) {
            let open = |gate: f32| if gate < experts.threshold { 0.0 } else { gate };
            let total: f32 = gates.iter().map(|gate| open(*gate)).sum();
            let mut mixed = vec![0.0; experts.width];
            for (output, gate) in outputs.iter().zip(gates) {
                mixed.iter_mut().zip(output).for_each(|(m, v)| *m += v * open(*gate) / total);
            }
            self.step(&format!("head_{}", task.name), vec![Input::F32(mixed)], None)?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        graph: &str,
        inputs: Vec<Input>,
        real: Option<(usize, usize)>,
    ) -> Result<()> {
        let values = (self.run)(graph, &inputs)?;
        self.steps.push(Step { graph: graph.into(), inputs, real, values });
        Ok(())
    }

    /// A value of the graph that ran last.
    fn value(&self, name: &str) -> Result<Vec<f32>> {
        let last = self.steps.last().and_then(|step| step.values.get(name)).cloned();
        Ok(last.ok_or_else(missing(name))?)
    }

    fn value_of(&self, graph: &str, name: &str) -> Result<Vec<f32>> {
        let step = self.steps.iter().find(|step| step.graph == graph);
        Ok(step.and_then(|step| step.values.get(name)).cloned().ok_or_else(missing(name))?)
    }
}

fn missing(name: &str) -> impl FnOnce() -> ErrorKind {
    let graph = name.to_owned();
    move || ErrorKind::Evaluate { graph, reason: "found no value of this name".into() }
}
