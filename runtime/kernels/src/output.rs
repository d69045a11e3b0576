//! The end of a linear layer: activation and residual, and the place of each output.

use crate::activation::{Activation, gelu};
use crate::error::ShapeError;
use crate::simd::{LANES, Simd};

/// What the outputs of a layer are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sum {
    /// Nothing: they take the place of what was there.
    #[default]
    None,
    /// What is there: a residual.
    Residual,
}

/// Where the outputs of a layer go, `[rows, outputs]`, and what is done to them before.
pub(crate) struct Output<'a> {
    outputs: usize,
    activation: Activation,
    sum: Sum,
    out: &'a mut [f32],
}

impl<'a> Output<'a> {
    /// For `rows` rows of `outputs`.
    pub(crate) fn new(
        rows: usize,
        outputs: usize,
        activation: Activation,
        sum: Sum,
        out: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        ShapeError::check("outputs of all rows", out.len(), rows * outputs)?;
        Ok(Self { outputs, activation, sum, out })
    }

    /// Puts the outputs of a panel of columns of a row.
    #[inline(always)]
    pub(crate) fn put<S: Simd>(&mut self, simd: S, row: usize, panel: usize, y: S::F) {
        let y = match self.activation {
            Activation::Identity => y,
            Activation::Gelu => gelu(simd, y),
        };
        let first = row * self.outputs + panel * LANES;
        let last = (row + 1) * self.outputs;
        let place = &mut self.out[first..last.min(first + LANES)];
        let y = match self.sum {
            Sum::None => y,
            Sum::Residual => simd.add(y, simd.load_first(place)),
        };
        simd.store_first(y, place);
    }
}
