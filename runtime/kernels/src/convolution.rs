//! Convolution over time, as a linear layer over windows.

use crate::Scratch;
use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::linear::{Linear, Rows};
use crate::output::Sum;

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
    /// Packs the kernel `[outputs, inputs, width]`; `scales` has one value an output, and so has `bias`, or none at all.
    ///
    /// # Errors
    /// Slices that do not fit, a stride or width of 0, a window of more than 65,536 values.
    pub fn pack(
        levels: &[i8],
        [outputs, inputs, width]: [usize; 3],
        stride: usize,
        pads: [usize; 2],
        scales: &[f32],
        bias: &[f32],
    ) -> Result<Self, ShapeError> {
        if stride == 0 || width == 0 {
            return Err(ShapeError { what: "stride and width", found: 0, expected: 1 });
        }
        let count = outputs.saturating_mul(inputs).saturating_mul(width);
        ShapeError::check("weights of a convolution", levels.len(), count)?;
        let level = |i: usize, output: usize| {
            let (tap, channel) = (i / inputs.max(1), i % inputs.max(1));
            levels[(output * inputs + channel) * width + tap]
        };
        let window = Linear::pack([width * inputs, outputs], level, scales, bias)?;
        Ok(Self { inputs, stride, pads, window })
    }

    /// Bytes of the packed weights.
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
        let frames = x.len() / self.inputs.max(1);
        ShapeError::check("values of all frames", x.len(), frames * self.inputs)?;
        let steps = self.steps(frames);
        let count = steps.min(out.len() / self.outputs().max(1));
        // The frames that the windows see, zeros around them.
        let (width, before) = (self.window.inputs(), self.pads[0] * self.inputs);
        let seen = (count.saturating_sub(1) * self.stride * self.inputs) + width;
        let inside = before..seen.min(before + x.len()).max(before);
        let mut rows = std::mem::take(&mut scratch.rows);
        rows.resize(seen.max(before), 0.0);
        rows[..before].fill(0.0);
        rows[inside.end..].fill(0.0);
        let places = &mut rows[inside];
        match from {
            Layout::Frames => places.copy_from_slice(&x[..places.len()]),
            Layout::Channels => transpose(x, frames, places),
        }
        let stride = self.stride * self.inputs;
        let windows = Rows { values: &rows, width, stride, count, among: steps };
        let result = match to {
            Layout::Frames => self.window.apply(isa, windows, activation, Sum::None, out, scratch),
            Layout::Channels => {
                let mut by_step = std::mem::take(&mut scratch.steps);
                by_step.resize(count * self.outputs(), 0.0);
                let fits = ShapeError::check("outputs of all steps", out.len(), by_step.len());
                let result = fits.and_then(|()| {
                    self.window.apply(isa, windows, activation, Sum::None, &mut by_step, scratch)
                });
                if result.is_ok() {
                    transpose(&by_step, self.outputs(), out);
                }
                scratch.steps = by_step;
                result
            }
        };
        scratch.rows = rows;
        result
    }
}

/// `[rows, columns]` -> `[columns, rows]`, or the first columns alone, in blocks that stay in the nearest cache.
fn transpose(x: &[f32], columns: usize, out: &mut [f32]) {
    const BLOCK: usize = 16;
    let rows = x.len() / columns.max(1);
    let taken = out.len() / rows.max(1);
    for row in (0..rows).step_by(BLOCK) {
        for column in (0..taken).step_by(BLOCK) {
            for c in column..taken.min(column + BLOCK) {
                for r in row..rows.min(row + BLOCK) {
                    out[c * rows + r] = x[r * columns + c];
                }
            }
        }
    }
}
