//! Convolution over time, as a linear layer over windows.

use std::ops::Range;

use crate::Scratch;
use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::linear::{Linear, Rows, blocks};
use crate::output::Sum;
use crate::panels::Panels;

/// A convolution of one group without dilation.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Channels that go in.
    inputs: usize,
    stride: usize,
    /// Zeros before the first and behind the last frame.
    pads: [usize; 2],
    /// Frame after frame of a window, channel after channel of a frame.
    window: Linear,
}

/// In which order a matrix of channels and frames lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Channel after channel, `[channels, T]`, as in ONNX.
    Channels,
    /// Frame after frame, `[T, channels]`.
    Frames,
}

impl Convolution {
    /// The convolution of `inputs` channels whose levels are those of its windows, frame after frame and channel after channel;
    /// `scales` has one value an output, and so has `bias`, or none at all.
    ///
    /// # Errors
    /// Slices that do not fit, windows of no whole number of frames, a stride or width of 0, a window of more than 65,536 values.
    pub fn new(
        levels: Panels,
        inputs: usize,
        stride: usize,
        pads: [usize; 2],
        scales: &[f32],
        bias: &[f32],
    ) -> Result<Self, ShapeError> {
        let [window, _] = levels.shape();
        if stride == 0 || window == 0 {
            return Err(ShapeError { what: "stride and width", found: 0, expected: 1 });
        }
        ShapeError::check("values of a window", window, window / inputs.max(1) * inputs)?;
        Ok(Self { inputs, stride, pads, window: Linear::new(levels, scales, bias)? })
    }

    /// Bytes of the packed weights, wherever they lie.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.window.bytes()
    }

    /// Frames from one window to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Frames that the first window sees.
    #[must_use]
    pub fn reach(&self) -> usize {
        (self.window.inputs() / self.inputs.max(1)).saturating_sub(self.pads[0])
    }

    /// Channels that go in.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Channels that come out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.window.outputs()
    }

    /// Frames that come out where `frames` go in.
    #[must_use]
    pub fn steps(&self, frames: usize) -> usize {
        let width = self.window.inputs() / self.inputs.max(1);
        let padded = frames + self.pads[0] + self.pads[1];
        if padded < width { 0 } else { (padded - width) / self.stride + 1 }
    }

    /// Applies the convolution to `x`, which lies as the first layout says, and writes `out` as the second says: all steps, or the
    /// first ones.
    ///
    /// # Errors
    /// Slices of another length.
    pub fn apply(
        &self,
        isa: Isa,
        x: &[f32],
        [from, to]: [Layout; 2],
        activation: Activation,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let frames = self.frames(x)?;
        let count = self.steps(frames).min(out.len() / self.outputs().max(1));
        ShapeError::check("outputs of all steps", out.len(), count * self.outputs())?;
        let mut block = std::mem::take(&mut scratch.steps);
        let mut result = Ok(());
        for steps in blocks(count) {
            let first = steps.start;
            let places = steps.start * self.outputs()..steps.end * self.outputs();
            result = result.and_then(|()| match to {
                Layout::Frames => {
                    self.apply_steps(isa, (x, from), steps, activation, &mut out[places], scratch)
                }
                Layout::Channels => {
                    block.resize(places.len(), 0.0);
                    self.apply_steps(
                        isa,
                        (x, from),
                        steps.clone(),
                        activation,
                        &mut block,
                        scratch,
                    )?;
                    let shape = [steps.len(), self.outputs()];
                    transpose(shape, (&block, self.outputs()), (&mut out[first..], count));
                    Ok(())
                }
            });
        }
        scratch.steps = block;
        result
    }

    /// Applies it to `x` and writes the steps with these numbers to `out`, one behind the other.
    ///
    /// # Errors
    /// Slices of another length, steps that are not there.
    pub(crate) fn apply_steps(
        &self,
        isa: Isa,
        (x, from): (&[f32], Layout),
        steps: Range<usize>,
        activation: Activation,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let frames = self.frames(x)?;
        let all = self.steps(frames);
        if steps.end > all {
            return Err(ShapeError { what: "steps", found: steps.end, expected: all });
        }
        let seen = self.seen(&steps);
        if from == Layout::Frames && self.pads[0] <= seen.start && seen.end <= self.pads[0] + frames
        {
            let first = (seen.start - self.pads[0]) * self.inputs;
            let rows = &x[first..first + seen.len() * self.inputs];
            let rows = self.windows(rows, steps.len(), all);
            return self.window.apply(isa, rows, activation, Sum::None, out, scratch);
        }
        let mut rows = std::mem::take(&mut scratch.rows);
        let laid_out = self.lay_out(frames, &steps, &mut rows, |there, places| {
            match from {
                Layout::Frames => {
                    let first = there.start * self.inputs;
                    places.copy_from_slice(&x[first..first + places.len()]);
                }
                Layout::Channels => {
                    transpose(
                        [self.inputs, there.len()],
                        (&x[there.start..], frames),
                        (places, self.inputs),
                    );
                }
            }
            Ok(())
        });
        let result = laid_out.and_then(|()| {
            let windows = self.windows(&rows, steps.len(), all);
            self.window.apply(isa, windows, activation, Sum::None, out, scratch)
        });
        scratch.rows = rows;
        result
    }

    /// Applies `before` to `x`, which lies as `from` says, and this convolution to what it gives, of which some frames exist at a time;
    /// writes all steps to `out`, one behind the other, or the first ones.
    ///
    /// # Errors
    /// Convolutions that do not fit each other, slices of another length.
    pub fn apply_after(
        &self,
        isa: Isa,
        (before, between): (&Self, Activation),
        (x, from): (&[f32], Layout),
        activation: Activation,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        ShapeError::check("channels between convolutions", before.outputs(), self.inputs)?;
        let frames = before.steps(before.frames(x)?);
        let all = self.steps(frames);
        let count = all.min(out.len() / self.outputs().max(1));
        ShapeError::check("outputs of all steps", out.len(), count * self.outputs())?;
        let mut hidden = std::mem::take(&mut scratch.hidden);
        let mut result = Ok(());
        for steps in blocks(count) {
            let out = &mut out[steps.start * self.outputs()..steps.end * self.outputs()];
            result = result.and_then(|()| {
                self.lay_out(frames, &steps, &mut hidden, |there, places| {
                    before.apply_steps(isa, (x, from), there, between, places, scratch)
                })?;
                let windows = self.windows(&hidden, steps.len(), all);
                self.window.apply(isa, windows, activation, Sum::None, out, scratch)
            });
        }
        scratch.hidden = hidden;
        result
    }

    /// Lays out the frames that the windows of these steps see, zeros where they see none of `frames`. `fill` writes the frames with
    /// these numbers, one behind the other.
    fn lay_out(
        &self,
        frames: usize,
        steps: &Range<usize>,
        rows: &mut Vec<f32>,
        fill: impl FnOnce(Range<usize>, &mut [f32]) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        let (seen, before) = (self.seen(steps), self.pads[0]);
        rows.clear();
        rows.resize(seen.len() * self.inputs, 0.0);
        let there = seen.start.max(before)..seen.end.min(before + frames);
        if there.is_empty() {
            return Ok(());
        }
        let place = (there.start - seen.start) * self.inputs;
        let places = &mut rows[place..place + there.len() * self.inputs];
        fill(there.start - before..there.end - before, places)
    }

    /// The frames that the windows of these steps see, counted from the first zero before all of them.
    fn seen(&self, steps: &Range<usize>) -> Range<usize> {
        let taps = self.window.inputs() / self.inputs.max(1);
        let last = steps.end.max(steps.start + 1) - 1;
        steps.start * self.stride..last * self.stride + taps
    }

    /// `count` windows of frames that lie one behind the other.
    fn windows<'a>(&self, values: &'a [f32], count: usize, among: usize) -> Rows<'a> {
        let (width, stride) = (self.window.inputs(), self.stride * self.inputs);
        Rows { values, width, stride, count, among }
    }

    fn frames(&self, x: &[f32]) -> Result<usize, ShapeError> {
        let frames = x.len() / self.inputs.max(1);
        ShapeError::check("values of all frames", x.len(), frames * self.inputs)?;
        Ok(frames)
    }
}

/// Rows become columns, in blocks that stay in the nearest cache: of `x` rows, and of `out` those that were columns, as many values
/// apart as stand beside them.
fn transpose(
    [rows, columns]: [usize; 2],
    (x, x_stride): (&[f32], usize),
    (out, out_stride): (&mut [f32], usize),
) {
    const BLOCK: usize = 16;
    for row in (0..rows).step_by(BLOCK) {
        for column in (0..columns).step_by(BLOCK) {
            for c in column..columns.min(column + BLOCK) {
                for r in row..rows.min(row + BLOCK) {
                    out[c * out_stride + r] = x[r * x_stride + c];
                }
            }
        }
    }
}
