//! The graph `speech_encoder`: a Whisper-style encoder and statistics over the real frames of its last layer.

use std::f64::consts::PI;

use hilbert_formats::manifest::Dtype;

use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::Result;
use crate::graph::{Graph, GraphBuilder, Value, ints};
use crate::layers::{EPSILON, LayerForm};
use crate::recipe::Recipe;

/// Floor of the variance over frames.
const VARIANCE_FLOOR: f32 = 1e-6;

/// Name of the table of positions, which is computed and in no checkpoint.
pub const POSITIONS: &str = "speech.positions";

/// Builds `speech_encoder`: `log_mel [1, M, T]`, `mask [1, T]` (1 real, 0 padding) -> `row [1, 2 D]`, and where the
/// checkpoint has an alignment head, which reads them, `frames [F, D]`, zeros at padding.
///
/// `SpeechEncoder` of `models/reference/hilbert.py` (after openai/whisper, `whisper/model.py`).
///
/// # Errors
/// A tensor that is not there: a fault of the exporter.
pub fn speech_encoder(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Graph> {
    let config = &checkpoint.config().model.speech;
    let (frames, width) = (config.frames / 2, config.width);
    let mut g = GraphBuilder::new("speech_encoder", checkpoint, recipe);
    let log_mel = g.input("log_mel", Dtype::F32, &[1, config.n_mels, config.frames]);
    let mask = g.input("mask", Dtype::F32, &[1, config.frames]);

    let x = convolution(&mut g, "speech.conv1", &log_mel, width, 1)?;
    let x = convolution(&mut g, "speech.conv2", &x, width, 2)?;
    let x = g.reshape(&x, &[width, frames]);
    let x = g.transpose(&x, &[1, 0]);
    let positions = g.rows(POSITIONS, &positions(frames, width), frames);
    let mut x = g.binary("Add", &x, &positions);

    let mut mask = every_second(&mut g, &mask);
    let mut bias = g.additive(&mask);
    let form = LayerForm { heads: config.heads, pre_norm: true, epsilon: EPSILON };
    for i in 0..config.layers {
        if i != 0 && i == config.halve_after {
            let pairs = g.reshape(&x, &[frames / 2, 2, width]);
            x = g.reduce("ReduceMean", &pairs, 1, false);
            mask = every_second(&mut g, &mask);
            bias = g.additive(&mask);
        }
        let name = format!("speech.layers.{i}");
        x = g.layer(&name, &x, &bias, form)?;
        x = g.tap(&name, &x);
    }
    let x = g.layer_norm("speech.norm", &x, EPSILON)?;
    let x = g.tap("speech.norm", &x);

    let mean_weights = g.mean_weights(&mask);
    let mean = g.matmul(&mean_weights, &x);
    let from_mean = g.binary("Sub", &x, &mean);
    let square = g.binary("Mul", &from_mean, &from_mean);
    let variance = g.matmul(&mean_weights, &square);
    let floor = g.scalar(VARIANCE_FLOOR);
    let variance = g.binary("Max", &variance, &floor);
    let deviation = g.unary("Sqrt", &variance);
    let row = g.concat(&[&mean, &deviation], 1);
    g.output("row", &row);
    if checkpoint.config().alignment.is_some() {
        let column = g.reshape(&mask, &[mask.shape()[1], 1]);
        let frames = g.binary("Mul", &x, &column);
        g.output("frames", &frames);
    }
    Ok(g.finish())
}

/// Whisper's table of positions, `[frames, width]`: wavelengths of 2 pi to 20000 pi frames.
pub(crate) fn positions(frames: usize, width: usize) -> Tensor {
    #[expect(clippy::cast_precision_loss, reason = "frame numbers are small whole numbers")]
    let at: Vec<f64> = (0..frames).map(|t| t as f64).collect();
    Tensor { shape: vec![frames, width], values: sinusoids(&at, width, 2.0 * PI, 2e4 * PI) }
}

/// Sines in the first half, cosines in the second, periods in geometric progression: `[positions, width]`.
///
/// `sinusoids` of `models/reference/hilbert.py`: computed in f64, returned as f32. `width` is even and at least 4.
pub(crate) fn sinusoids(
    positions: &[f64],
    width: usize,
    period_min: f64,
    period_max: f64,
) -> Vec<f32> {
    let half = width / 2;
    let mut table = Vec::with_capacity(positions.len() * width);
    for position in positions {
        #[expect(clippy::cast_precision_loss, reason = "dimensions are small whole numbers")]
        let angles: Vec<f64> = (0..half)
            .map(|i| i as f64 / (half - 1) as f64)
            .map(|step| position * (2.0 * PI / period_min) * (period_min / period_max).powf(step))
            .collect();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "sines and cosines are rounded to f32 as the reference does"
        )]
        table.extend(
            angles.iter().map(|a| a.sin()).chain(angles.iter().map(|a| a.cos())).map(|v| v as f32),
        );
    }
    table
}

/// Kernel 3, padding 1, then GELU. `[1, in, T]` -> `[1, width, T / stride]`
///
/// # Errors
/// A tensor that is not there: a fault of the exporter.
pub(crate) fn convolution(
    g: &mut GraphBuilder<'_>,
    name: &str,
    x: &Value,
    width: usize,
    stride: usize,
) -> Result<Value> {
    let kernel = g.weight(&format!("{name}.weight"))?;
    let bias = g.weight(&format!("{name}.bias"))?;
    let shape = vec![1, width, x.shape()[2] / stride];
    let attributes =
        vec![ints("kernel_shape", &[3]), ints("pads", &[1, 1]), ints("strides", &[stride])];
    let y = g.node("Conv", &[x, &kernel, &bias], attributes, shape);
    let y = g.tap(name, &y);
    Ok(g.gelu(&y))
}

/// `mask[:, ::2]`
fn every_second(g: &mut GraphBuilder<'_>, mask: &Value) -> Value {
    let end = mask.shape()[1];
    g.slice(mask, 1, 0, end, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_has_sines_of_zero_and_cosines_of_one() {
        assert_eq!(sinusoids(&[0.0], 6, 1.0, 100.0), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_quarter_of_a_period_is_a_sine_of_one() {
        let table = sinusoids(&[0.25, 25.0], 4, 1.0, 100.0);
        let expected = [(0, 1.0), (2, 0.0), (5, 1.0), (7, 0.0)];
        let wrong: Vec<_> = expected.iter().filter(|(i, v)| (table[*i] - v).abs() > 1e-6).collect();
        assert!(wrong.is_empty(), "{wrong:?} in {table:?}");
    }
}
