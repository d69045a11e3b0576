//! The end of a linear layer: activation and residual, and the place of each output.

use crate::activation::{Activation, gelu};
use crate::error::ShapeError;
use crate::simd::{LANES, Simd};

/// Where the outputs of a layer go, `[rows, outputs]`, and what is done to them before.
pub(crate) struct Output<'a> {
    outputs: usize,
    activation: Activation,
    residual: &'a [f32],
    out: &'a mut [f32],
}

impl<'a> Output<'a> {
    /// For `rows` rows of `outputs`; `residual` is as long as `out` or empty.
    pub(crate) fn new(
        rows: usize,
        outputs: usize,
        activation: Activation,
        residual: &'a [f32],
        out: &'a mut [f32],
    ) -> Result<Self, ShapeError> {
        ShapeError::check("outputs of all rows", out.len(), rows * outputs)?;
        if !residual.is_empty() {
            ShapeError::check("residual", residual.len(), out.len())?;
        }
        Ok(Self { outputs, activation, residual, out })
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
        let residual = self.residual.get(first..last).unwrap_or_default();
        if let Some(place) = place.first_chunk_mut() {
            let y = match residual.first_chunk() {
                Some(residual) => simd.add(y, simd.load(residual)),
                None => y,
            };
            simd.store(y, place);
        } else if residual.is_empty() {
            simd.store_first(y, place);
        } else {
            simd.store_first(simd.add(y, simd.load_first(residual)), place);
        }
    }
}
