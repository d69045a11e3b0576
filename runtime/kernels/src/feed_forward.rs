//! Two linear layers, one behind the other: what is between them, several times as wide as the rows, exists of some rows at a time.

use crate::Scratch;
use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::layer_norm::LayerNorm;
use crate::linear::{Layer, Linear, Rows, apply_layers};
use crate::output::Sum;
use crate::word_linear::WordLinear;

/// The second of two layers.
#[derive(Debug, Clone, PartialEq)]
pub enum Contraction {
    /// In levels of 8 bits.
    Levels(Linear),
    /// In levels of 12 bits.
    Words(WordLinear),
}

/// `contract(activation(expand(norm(x)))) + residual`, each layer as it is alone.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForward {
    /// Normalises the rows first, where there is one.
    pub norm: Option<LayerNorm>,
    /// The first layer.
    pub expand: Linear,
    /// What is done to its sums.
    pub activation: Activation,
    /// The second layer.
    pub contract: Contraction,
    /// What is done to its sums.
    pub last: Activation,
}

impl FeedForward {
    /// Values of a row that comes out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        match &self.contract {
            Contraction::Levels(linear) => linear.outputs(),
            Contraction::Words(linear) => linear.outputs(),
        }
    }

    /// Applies both layers to `rows` and writes `out`, `[rows, outputs]`, or adds to it.
    ///
    /// # Errors
    /// Rows of another width than the norm and the first layer take, layers that do not fit each other, a slice of another length
    /// than the rows ask for.
    pub fn apply(
        &self,
        isa: Isa,
        rows: Rows<'_>,
        sum: Sum,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        ShapeError::check("outputs of all rows", out.len(), rows.count * self.outputs())?;
        rows.blocks().try_for_each(|block| {
            let out = &mut out[block.start * self.outputs()..block.end * self.outputs()];
            let mut hidden = std::mem::take(&mut scratch.hidden);
            let result = self
                .expand(isa, rows.some(block.start, block.len()), &mut hidden, scratch)
                .and_then(|()| self.contract(isa, rows.among, &hidden, sum, out, scratch));
            scratch.hidden = hidden;
            result
        })
    }

    /// Adds to `rows`, `[count, D]`, the first of `all`, what both layers make of them.
    ///
    /// # Errors
    /// As [`FeedForward::apply`], and layers that do not end with as many values as they begin with.
    pub fn apply_in_place(
        &self,
        isa: Isa,
        rows: &mut [f32],
        all: usize,
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let width = self.outputs();
        ShapeError::check("width of a row", self.expand.inputs(), width)?;
        let numbers = Rows::new(rows, width)?.blocks();
        for block in numbers {
            let place = &mut rows[block.start * width..block.end * width];
            let mut hidden = std::mem::take(&mut scratch.hidden);
            let result = Rows::new(place, width)
                .and_then(|rows| self.expand(isa, rows.among(all), &mut hidden, scratch))
                .and_then(|()| self.contract(isa, all, &hidden, Sum::Residual, place, scratch));
            scratch.hidden = hidden;
            result?;
        }
        Ok(())
    }

    fn expand(
        &self,
        isa: Isa,
        rows: Rows<'_>,
        hidden: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        hidden.resize(rows.count * self.expand.outputs(), 0.0);
        let (linear, activation) = (&self.expand, self.activation);
        let layer = Layer { linear, activation, sum: Sum::None, out: hidden };
        apply_layers(isa, rows, self.norm.as_ref(), [layer], scratch)
    }

    fn contract(
        &self,
        isa: Isa,
        all: usize,
        hidden: &[f32],
        sum: Sum,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let rows = Rows::new(hidden, self.expand.outputs())?.among(all);
        match &self.contract {
            Contraction::Levels(linear) => linear.apply(isa, rows, self.last, sum, out, scratch),
            Contraction::Words(linear) => linear.apply(isa, rows, self.last, sum, out, scratch),
        }
    }
}
