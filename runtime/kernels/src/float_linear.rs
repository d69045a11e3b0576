//! The linear layer in floats, for weights that rounding would change too much.

use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::linear::{Rows, panelled};
use crate::output::{Output, Sum};
use crate::simd::{Kernel, LANES, Simd};

/// The weights of one layer in floats, packed. `y[r, c] = activation(sum_i x[r, i] w[i, c] + bias[c]) + residual[r, c]`
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLinear {
    inputs: usize,
    outputs: usize,
    /// Panels of 16 columns, zeros beyond the last: the columns of the first input, of the second, and so on.
    weights: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
}

impl FloatLinear {
    /// Packs the weights `weight(input, output)`; `bias` has one value an output, or none at all.
    ///
    /// # Errors
    /// A bias of another length than `outputs`.
    pub fn pack(
        [inputs, outputs]: [usize; 2],
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> Result<Self, ShapeError> {
        if !bias.is_empty() {
            ShapeError::check("bias", bias.len(), outputs)?;
        }
        let panels = outputs.div_ceil(LANES);
        let value = |input, output| if output < outputs { weight(input, output) } else { 0.0 };
        // An iterator over both would not know its length, and the list would grow beyond it.
        let mut weights = Vec::with_capacity(panels * inputs);
        for panel in 0..panels {
            for input in 0..inputs {
                weights.push(std::array::from_fn(|lane| value(input, panel * LANES + lane)));
            }
        }
        Ok(Self { inputs, outputs, weights, bias: panelled(bias, panels) })
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

    /// Bytes of the packed weights with their bias.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<[f32; LANES]>() * (self.weights.len() + self.bias.len())
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
    ) -> Result<(), ShapeError> {
        ShapeError::check("width of a row", rows.width, self.inputs)?;
        let output = Output::new(rows.count, self.outputs, activation, sum, out)?;
        isa.run(Apply { linear: self, rows, output });
        Ok(())
    }
}

struct Apply<'a> {
    linear: &'a FloatLinear,
    rows: Rows<'a>,
    output: Output<'a>,
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let panels = self.linear.bias.len();
        let mut panel = 0;
        while panel < panels {
            if S::FLOAT_PANELS == 4 && panel + 4 <= panels {
                self.panels::<S, 4>(simd, panel);
                panel += 4;
            } else {
                self.panels::<S, 1>(simd, panel);
                panel += 1;
            }
        }
    }
}

impl Apply<'_> {
    /// All rows times `C` panels, which stay in the nearest cache while the rows go by.
    #[inline(always)]
    fn panels<S: Simd, const C: usize>(&mut self, simd: S, panel: usize) {
        let mut row = 0;
        while row < self.rows.count {
            match self.rows.count - row {
                6.. => {
                    self.tile::<S, 6, C>(simd, row, panel);
                    row += 6;
                }
                2.. => {
                    self.tile::<S, 2, C>(simd, row, panel);
                    row += 2;
                }
                _ => {
                    self.tile::<S, 1, C>(simd, row, panel);
                    row += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize, panel: usize) {
        let inputs = self.linear.inputs;
        let mut rows = [[].as_slice(); R];
        for r in 0..R {
            rows[r] = &self.rows.row(row + r)[..inputs];
        }
        let mut weights = [[].as_slice(); C];
        for c in 0..C {
            weights[c] = &self.linear.weights[(panel + c) * inputs..][..inputs];
        }
        let mut sums = [[simd.splat(0.0); C]; R];
        for i in 0..inputs {
            let mut weight = [simd.splat(0.0); C];
            for c in 0..C {
                weight[c] = simd.load(&weights[c][i]);
            }
            for r in 0..R {
                let x = simd.splat(rows[r][i]);
                for c in 0..C {
                    sums[r][c] = simd.fma(x, weight[c], sums[r][c]);
                }
            }
        }
        for c in 0..C {
            let bias = simd.load(&self.linear.bias[panel + c]);
            for r in 0..R {
                self.output.put(simd, row + r, panel + c, simd.add(sums[r][c], bias));
            }
        }
    }
}
