//! The graphs of a bundle as functions, and between them the plainest possible arithmetic of `models/reference/hilbert.py`.
//!
//! The runtime has its own, streaming and in bounded memory; this one is an oracle beside it.

use hilbert_formats::manifest::{
    Alignment, Calibration, CalibrationSet, Features, Manifest, Task, TaskKind,
};
use hilbert_runtime::{Input, LabelSet, Modalities, Model, decide};

use super::golden::Golden;
use crate::error::{ErrorKind, Result};
use crate::fusion::Modality;
use crate::speech::sinusoids;

/// Added to the scores of keys that are padding.
const PADDING: f32 = -1e9;

/// Which modalities a document has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presence {
    pub(super) audio: bool,
    pub(super) text: bool,
}

impl Presence {
    pub(super) fn has(self, modality: Modality) -> bool {
        match modality {
            Modality::Audio => self.audio,
            Modality::Text => self.text,
        }
    }

    pub(super) fn list(self) -> impl Iterator<Item = Modality> {
        Modality::BOTH.into_iter().filter(move |m| self.has(*m))
    }
}

/// Rows and a score for each.
type Scored = (Vec<Vec<f32>>, Vec<f32>);

/// The graphs of one bundle.
pub(super) struct Stages<'a> {
    pub(super) model: &'a Model,
    pub(super) manifest: &'a Manifest,
}

impl Stages<'_> {
    /// Rows of every segment whose log-mel the golden file holds.
    pub(super) fn encode_audio(&self, golden: &Golden, document: &str) -> Result<Vec<Vec<f32>>> {
        let row = |outputs: Vec<Vec<f32>>| outputs.into_iter().next().unwrap_or_default();
        Ok(self.speech(golden, document)?.into_iter().map(row).collect())
    }

    /// Log posteriors of the real frames of every segment whose log-mel the golden file holds, in order.
    pub(super) fn log_posteriors(
        &self,
        golden: &Golden,
        document: &str,
        real: &[usize],
    ) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for (outputs, real) in self.speech(golden, document)?.iter().zip(real) {
            let no_frames = || ErrorKind::NoGraph { name: "speech_encoder".into() };
            let log =
                self.one("alignment", &[Input::F32(outputs.get(1).ok_or_else(no_frames)?)])?;
            all.extend(log.into_iter().take(real * Alignment::CLASSES));
        }
        Ok(all)
    }

    /// The speech encoder's outputs for every segment whose log-mel the golden file holds.
    fn speech(&self, golden: &Golden, document: &str) -> Result<Vec<Vec<Vec<f32>>>> {
        let Features::LogMel { hop, frames, .. } = self.manifest.features;
        let spans = golden.spans(document)?;
        let mels = golden.rows(&format!("inputs/{document}/log_mel"))?;
        let encode = |(mel, [start, end]): (&Vec<f32>, &[i64; 2])| {
            let real = usize::try_from(end.saturating_sub(*start)).unwrap_or(0).div_ceil(hop);
            let mask: Vec<f32> = (0..frames).map(|t| if t < real { 1.0 } else { 0.0 }).collect();
            self.run("speech_encoder", &[Input::F32(mel), Input::F32(&mask)])
        };
        mels.iter().zip(&spans).map(encode).collect()
    }

    /// Rows of every golden row of tokens.
    pub(super) fn encode_text(&self, golden: &Golden, document: &str) -> Result<Vec<Vec<f32>>> {
        let tokens = golden.integer_rows(&format!("inputs/{document}/tokens"))?;
        let masks = golden.rows(&format!("inputs/{document}/token_mask"))?;
        let encode = |(tokens, mask): (&Vec<i64>, &Vec<f32>)| {
            self.one("text_encoder", &[Input::I64(tokens), Input::F32(mask)])
        };
        tokens.iter().zip(&masks).map(encode).collect()
    }

    /// Projected rows and pooling scores. `middles`: seconds, NaN where untimed.
    pub(super) fn project_all(
        &self,
        modality: Modality,
        rows: &[Vec<f32>],
        middles: &[f64],
    ) -> Result<Scored> {
        let fusion = &self.manifest.fusion;
        let (mut x, mut scores) = (Vec::new(), Vec::new());
        for (row, middle) in rows.iter().zip(middles) {
            let position = if middle.is_nan() {
                vec![0.0; fusion.width]
            } else {
                sinusoids(&[*middle], fusion.width, fusion.period_min_s, fusion.period_max_s)
            };
            let graph = format!("project_{}", modality.name());
            let [projected, score] =
                self.outputs(&graph, &[Input::F32(row), Input::F32(&position)])?;
            x.push(projected);
            scores.extend(score);
        }
        Ok((x, scores))
    }

    /// Cross-attended rows and their pooling scores; `keys` is empty when the other modality is absent.
    pub(super) fn attend(
        &self,
        modality: Modality,
        queries: &[Vec<f32>],
        keys: &[Vec<f32>],
    ) -> Result<Scored> {
        let fusion = &self.manifest.fusion;
        let (mut c, mut scores) = (Vec::new(), Vec::new());
        for block in queries.chunks(fusion.block) {
            let rows = self.padded(block);
            let attended = self.attended(modality, &rows, keys)?;
            let graph = format!("finish_{}", modality.name());
            let [finished, score] =
                self.outputs(&graph, &[Input::F32(&attended), Input::F32(&rows)])?;
            c.extend(finished.chunks_exact(fusion.width).take(block.len()).map(<[f32]>::to_vec));
            scores.extend(score.iter().take(block.len()));
        }
        Ok((c, scores))
    }

    /// Attention of one padded block over all keys: the blocks' numerators and sums brought to one maximum.
    fn attended(&self, modality: Modality, queries: &[f32], keys: &[Vec<f32>]) -> Result<Vec<f32>> {
        let fusion = &self.manifest.fusion;
        let (heads, block, part) = (fusion.heads, fusion.block, fusion.width / fusion.heads);
        let mut partial = Vec::new();
        for keys in keys.chunks(block) {
            let bias: Vec<f32> =
                (0..block).map(|i| if i < keys.len() { 0.0 } else { PADDING }).collect();
            let keys = self.padded(keys);
            let graph = format!("cross_{}", modality.name());
            let inputs = [Input::F32(queries), Input::F32(&keys), Input::F32(&bias)];
            let outputs: [Vec<f32>; 3] = self.outputs(&graph, &inputs)?;
            partial.push(outputs);
        }
        let mut attended = vec![0.0; block * fusion.width];
        if partial.is_empty() {
            return Ok(attended);
        }
        for (head, query) in (0..heads).flat_map(|h| (0..block).map(move |q| (h, q))) {
            let at = head * block + query;
            let maximum =
                partial.iter().map(|[_, maximum, _]| maximum[at]).fold(f32::NEG_INFINITY, f32::max);
            let weight = |m: f32| (m - maximum).exp();
            let total: f32 = partial.iter().map(|[_, m, sum]| weight(m[at]) * sum[at]).sum();
            for d in 0..part {
                let value: f32 =
                    partial.iter().map(|[n, m, _]| weight(m[at]) * n[at * part + d]).sum();
                attended[query * fusion.width + head * part + d] = value / total;
            }
        }
        Ok(attended)
    }

    /// The document vector of pooled audio, text, cross-audio and cross-text.
    pub(super) fn join(&self, pooled: &[Vec<f32>; 4], presence: Presence) -> Result<Vec<f32>> {
        let present = [presence.audio, presence.text].map(|p| if p { 1.0 } else { 0.0 });
        let [audio, text, cross_audio, cross_text] = pooled.each_ref().map(|p| Input::F32(p));
        self.one("join", &[audio, text, cross_audio, cross_text, Input::F32(&present)])
    }

    /// Gates of every task, those under the threshold 0 and the others divided by their sum.
    pub(super) fn gates(&self, document: &[f32]) -> Result<Vec<Vec<f32>>> {
        let experts = &self.manifest.experts;
        let gates = self.one("router", &[Input::F32(document)])?;
        let mut gates: Vec<Vec<f32>> =
            gates.chunks_exact(experts.count).map(<[f32]>::to_vec).collect();
        for task in &mut gates {
            task.iter_mut().filter(|g| **g < experts.threshold).for_each(|g| *g = 0.0);
            let sum: f32 = task.iter().sum();
            task.iter_mut().for_each(|g| *g /= sum);
        }
        Ok(gates)
    }

    /// Every expert's output, whatever its gate.
    pub(super) fn experts(&self, document: &[f32]) -> Result<Vec<Vec<f32>>> {
        (0..self.manifest.experts.count)
            .map(|i| self.one(&format!("expert_{i}"), &[Input::F32(document)]))
            .collect()
    }

    /// A task's logits or score.
    pub(super) fn head(&self, task: &str, mixed: &[f32]) -> Result<Vec<f32>> {
        self.one(&format!("head_{task}"), &[Input::F32(mixed)])
    }

    fn padded(&self, rows: &[Vec<f32>]) -> Vec<f32> {
        let mut block = rows.concat();
        block.resize(self.manifest.fusion.block * self.manifest.fusion.width, 0.0);
        block
    }

    fn one(&self, graph: &str, inputs: &[Input<'_>]) -> Result<Vec<f32>> {
        let [output] = self.outputs(graph, inputs)?;
        Ok(output)
    }

    fn outputs<const N: usize>(&self, graph: &str, inputs: &[Input<'_>]) -> Result<[Vec<f32>; N]> {
        let outputs = self.run(graph, inputs)?;
        Ok(outputs.try_into().map_err(|_| ErrorKind::NoGraph { name: graph.into() })?)
    }

    fn run(&self, graph: &str, inputs: &[Input<'_>]) -> Result<Vec<Vec<f32>>> {
        let no_graph = || ErrorKind::NoGraph { name: graph.into() };
        let outputs = self.model.graph(graph).ok_or_else(no_graph)?.run(inputs);
        Ok(outputs
            .map_err(|source| ErrorKind::Runtime { stage: format!("running {graph}"), source })?)
    }
}

/// Rows weighted and summed: pooling, and the mixture of experts. Zeros without rows.
pub(super) fn weighted_sum(rows: &[Vec<f32>], weights: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for (row, weight) in rows.iter().zip(weights) {
        total.iter_mut().zip(row).for_each(|(t, v)| *t += v * weight);
    }
    total
}

/// A task's probabilities, as `calibration.probabilities` of the reference.
pub(super) fn probabilities(task: &Task, output: &[f32], presence: Presence) -> Vec<f32> {
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    match calibration(&task.calibration, presence) {
        Calibration::Cuts { cuts, slope } => {
            let score = output.first().copied().unwrap_or(f32::NAN);
            let mut above = vec![1.0];
            above.extend(cuts.iter().map(|cut| sigmoid(slope * (score - cut))));
            above.push(0.0);
            above.windows(2).map(|pair| pair[0] - pair[1]).collect()
        }
        Calibration::Temperature { temperature } => {
            let scaled: Vec<f32> = output.iter().map(|v| v / temperature).collect();
            if task.kind == TaskKind::MultiLabel {
                scaled.into_iter().map(sigmoid).collect()
            } else {
                softmax(&scaled)
            }
        }
    }
}

/// Which labels the runtime's conformal sets hold, one set after the other: 1 held, 0 not.
pub(super) fn sets(task: &Task, output: &[f32], presence: Presence) -> Result<Vec<f32>> {
    let modalities = match (presence.audio, presence.text) {
        (true, false) => Modalities::Audio,
        (false, true) => Modalities::Text,
        _ => Modalities::AudioText,
    };
    let decision = decide(task, modalities, output)
        .map_err(|source| ErrorKind::Runtime { stage: "decision".into(), source })?;
    let held = |label, labels: &[usize]| if labels.contains(&label) { 1.0 } else { 0.0 };
    let of_set = |set: &LabelSet| (0..task.labels.len()).map(|i| held(i, &set.labels)).collect();
    Ok(decision.sets.iter().map(of_set).collect::<Vec<Vec<f32>>>().concat())
}

fn calibration(set: &CalibrationSet, presence: Presence) -> &Calibration {
    match (presence.audio, presence.text) {
        (true, false) => &set.audio,
        (false, true) => &set.text,
        _ => &set.audio_text,
    }
}

/// Softmax over all of `x`.
pub(super) fn softmax(x: &[f32]) -> Vec<f32> {
    let maximum = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let terms: Vec<f32> = x.iter().map(|v| (v - maximum).exp()).collect();
    let sum: f32 = terms.iter().sum();
    terms.into_iter().map(|t| t / sum).collect()
}
