//! The linear layer in levels of 12 bits, for weights that 8 bits would change too much.
//!
//! Each column of weights and each row is rounded to whole levels from -2047 to 2047, which loses a 16th of what int8 levels
//! lose. Sixteen bits hold a level, so that a product takes half as many steps as one of floats, and the weights half the
//! memory.

use std::ops::Range;

use crate::Scratch;
use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::levels::tile_rows;
use crate::linear::{Rows, panelled_bias};
use crate::output::{Output, Sum};
use crate::simd::{Kernel, LANES, Simd, for_rows};
use crate::words::{Words, factor_and_scale, level};

/// Pairs of inputs whose products have room in a sum of 32 bits: 512 * 2047 * 2047 < 2^31.
const BLOCK: usize = 256;

/// The weights of one layer, packed. `y[r, c] = activation(sum_i x[r, i] w[i, c] + bias[c]) + residual[r, c]`
#[derive(Debug, Clone, PartialEq)]
pub struct WordLinear {
    inputs: usize,
    outputs: usize,
    /// Panels of 16 columns, zeros beyond the last: the levels of each column for the first two inputs, for the next two, and
    /// so on.
    levels: Vec<[i16; 2 * LANES]>,
    /// What a level of each column is worth.
    scales: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
}

impl WordLinear {
    /// Packs the weights `weight(input, output)`; `bias` has one value an output, or none at all.
    ///
    /// # Errors
    /// A bias of another length than `outputs`.
    pub fn pack(
        [inputs, outputs]: [usize; 2],
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Result<Self, ShapeError> {
        let bias = panelled_bias(bias, outputs)?;
        let panels = bias.len();
        let steps = inputs.div_ceil(2);
        let mut levels = vec![[0; 2 * LANES]; panels * steps];
        let mut scales = vec![[0.0; LANES]; panels];
        for output in 0..outputs {
            let (panel, lane) = (output / LANES, output % LANES);
            let bits = |i| weight(i, output).abs().to_bits();
            // As bits, so that NaN beats infinity, and infinity all numbers.
            let largest = f32::from_bits((0..inputs).map(bits).max().unwrap_or(0));
            let (factor, scale) = factor_and_scale(largest);
            scales[panel][lane] = scale;
            for input in 0..inputs {
                levels[panel * steps + input / 2][2 * lane + input % 2] =
                    level(weight(input, output) * factor);
            }
        }
        Ok(Self { inputs, outputs, levels, scales, bias })
    }

    /// Values of a row that goes in.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values of a row that comes out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of the packed weights with their scales and bias.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<[i16; 2 * LANES]>() * self.levels.len()
            + size_of::<[f32; LANES]>() * (self.scales.len() + self.bias.len())
    }

    /// Applies the layer to `rows` and writes `out`, `[rows, outputs]`, or adds to it.
    ///
    /// # Errors
    /// Rows of another width than `inputs`, slices of another length than the rows ask for.
    pub fn apply(
        &self,
        isa: Isa,
        rows: Rows<'_>,
        activation: Activation,
        sum: Sum,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        ShapeError::check("width of a row", rows.width, self.inputs)?;
        let output = Output::new(rows.count, self.outputs, activation, sum, out)?;
        isa.run(Apply { linear: self, rows, output, words: &mut scratch.words });
        Ok(())
    }
}

struct Apply<'a> {
    linear: &'a WordLinear,
    rows: Rows<'a>,
    output: Output<'a>,
    words: &'a mut Words,
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for block in self.rows.blocks() {
            self.words.quantise(simd, self.rows.some(block.start, block.len()));
            let panels = self.linear.bias.len();
            let mut panel = 0;
            while panel < panels {
                // Panels stay in the nearest cache while the rows go by.
                if S::PANELS == 2 && panel + 2 <= panels {
                    self.panels::<S, 2>(simd, block.clone(), panel);
                    panel += 2;
                } else {
                    self.panels::<S, 1>(simd, block.clone(), panel);
                    panel += 1;
                }
            }
        }
    }
}

impl Apply<'_> {
    /// The rows of a block times `C` panels.
    #[inline(always)]
    fn panels<S: Simd, const C: usize>(&mut self, simd: S, block: Range<usize>, panel: usize) {
        let mut row = 0;
        while row < block.len() {
            let count = tile_rows::<S>(block.len() - row);
            for_rows!(S, count, |R| self.tile::<S, R, C>(simd, [row, block.start + row], panel));
            row += count;
        }
    }

    /// `R` rows, of which the first is `row` of its block and `place` of all.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        [row, place]: [usize; 2],
        panel: usize,
    ) {
        let steps = self.linear.inputs.div_ceil(2);
        let width = self.linear.inputs.next_multiple_of(LANES) / 2;
        let mut totals = [[simd.splat(0.0); C]; R];
        for first in (0..steps).step_by(BLOCK) {
            let block = steps.min(first + BLOCK) - first;
            let mut rows = [[].as_slice(); R];
            for r in 0..R {
                rows[r] = &self.words.levels[(row + r) * width + first..][..block];
            }
            let mut panels = [[].as_slice(); C];
            for c in 0..C {
                panels[c] = &self.linear.levels[(panel + c) * steps + first..][..block];
            }
            let sums = simd.multiply_pairs(rows, panels);
            for r in 0..R {
                for c in 0..C {
                    let sum = simd.finish(sums[r][c], &[0; LANES]);
                    totals[r][c] = simd.add(totals[r][c], sum);
                }
            }
        }
        for c in 0..C {
            let scales = simd.load(&self.linear.scales[panel + c]);
            let bias = simd.load(&self.linear.bias[panel + c]);
            for r in 0..R {
                let y = simd.mul(totals[r][c], simd.splat(self.words.scales[row + r]));
                let y = simd.add(simd.mul(y, scales), bias);
                self.output.put(simd, place + r, panel + c, y);
            }
        }
    }
}
