//! Multi-head attention without a matrix of all scores: keys in blocks, softmax merged from block to block (Milakov and
//! Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022, "`FlashAttention`").
//!
//! Both products are of whole numbers: queries and keys are int8 with one scale a row, values are levels from -2047 to 2047
//! with one scale a column, weights are multiples of 2^-12 of the largest so far. The output's signal-to-noise ratio is that of
//! the int8 scores: 44 to 52 dB on what the layers of `spoken-english` attend to. Weights and values of 8 bits would cost 2 to
//! 8 dB.

mod packed;
mod tile;

use std::ops::Range;

use crate::Scratch;
use crate::activation::Activation;
use crate::attention::packed::Packed;
use crate::attention::tile::{Gather, Gathered};
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::layer_norm::LayerNorm;
use crate::levels::{Levels, MOST_INPUTS, Rounding};
use crate::linear::{Layer, Linear, Rows, apply_layers};
use crate::output::Sum;
use crate::simd::{Kernel, Simd, for_rows};

/// A key whose bias is so much below the largest is left out: its weight is below e^-5000 unless scores are as large.
const MASKED: f32 = 5000.0;

/// `softmax(scale q k' + bias) v` for each head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Heads that divide the width.
    pub heads: usize,
    /// Factor of the scores.
    pub scale: f32,
}

/// What queries attend to: N keys of width D, of which a head has D / heads columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionInputs<'a> {
    /// `[N, D]`
    pub key: &'a [f32],
    /// `[N, D]`
    pub value: &'a [f32],
    /// Added to the scores of each key, `[N]`: 0, or far below for a key that is masked.
    pub bias: &'a [f32],
}

/// The bias under which a key is left out, of all keys' biases.
#[must_use]
pub fn masked_below(bias: &[f32]) -> f32 {
    bias.iter().copied().fold(f32::NEG_INFINITY, f32::max) - MASKED
}

/// Attention of rows to each other: queries, keys and values are linear layers of the same rows. Keys and values are held as levels
/// alone, and never stand beside the queries in floats.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfAttention {
    /// Normalises the rows first, where there is one.
    pub norm: Option<LayerNorm>,
    /// The layer of the queries, `[D, D]`.
    pub query: Linear,
    /// The layer of the keys, `[D, D]`.
    pub key: Linear,
    /// The layer of the values, `[D, D]`.
    pub value: Linear,
    /// What is done with them.
    pub attention: Attention,
}

/// Working memory: the keys of all heads, and what one tile of the queries of a head needs.
#[derive(Debug, Default)]
pub(crate) struct Working {
    /// Numbers of the keys that are not masked.
    kept: Vec<usize>,
    /// Of the queries.
    levels: Levels,
    /// Of each head.
    packed: Vec<Packed>,
    gathered: Gathered,
}

impl Working {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<usize>() * self.kept.capacity()
            + self.levels.bytes()
            + self.packed.iter().map(Packed::bytes).sum::<usize>()
            + size_of::<Packed>() * self.packed.capacity()
            + self.gathered.bytes()
    }

    /// Finds the keys that count.
    fn keep(&mut self, bias: &[f32]) {
        let masked = masked_below(bias);
        // A bias that is no number is kept, so that it shows.
        let is_kept = |(_, bias): &(usize, &f32)| {
            !matches!(bias.partial_cmp(&&masked), Some(std::cmp::Ordering::Less))
        };
        self.kept.clear();
        self.kept.extend(bias.iter().enumerate().filter(is_kept).map(|(i, _)| i));
    }
}

impl Attention {
    /// Puts the outputs of Q queries, `[Q, D]`, in their place.
    ///
    /// # Errors
    /// Slices of lengths that do not fit each other; heads of more than 65,536 columns, whose scores could overflow.
    pub fn apply(
        self,
        isa: Isa,
        inputs: AttentionInputs<'_>,
        queries: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let keys = inputs.bias.len();
        let width = inputs.key.len() / keys.max(1);
        let heads = self.heads.max(1);
        ShapeError::check("width of all heads", width / heads * heads, width)?;
        ShapeError::check("values of all keys", inputs.key.len(), keys * width)?;
        ShapeError::check("values", inputs.value.len(), inputs.key.len())?;
        let count = queries.len() / width.max(1);
        ShapeError::check("values of all queries", queries.len(), count * width)?;
        let head = width / heads;
        if head > MOST_INPUTS {
            let (found, expected) = (head, MOST_INPUTS);
            return Err(ShapeError { what: "columns of a head", found, expected });
        }
        if !queries.is_empty() {
            let AttentionInputs { key, value, bias } = inputs;
            let working = &mut scratch.attention;
            working.keep(bias);
            let shape = Shape { width, head };
            isa.run(Pack { what: What::Keys(bias), rows: key, shape, working });
            isa.run(Pack { what: What::Values, rows: value, shape, working });
            isa.run(Attend { scale: self.scale, shape, queries, working });
        }
        Ok(())
    }
}

impl SelfAttention {
    /// Values of a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.query.outputs()
    }

    /// Lets `rows` attend to those of them whose `bias` says so and writes `out`, `[rows, D]`. There is a bias of all rows that the given
    /// ones are among.
    ///
    /// # Errors
    /// Rows of another width than the norm and the layers take, layers of different widths or of one that the heads do not divide, slices of
    /// another length than the rows ask for, a row that counts and is not given.
    pub fn apply(
        &self,
        isa: Isa,
        rows: Rows<'_>,
        bias: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        let width = self.width();
        let heads = self.attention.heads.max(1);
        let head = width / heads;
        ShapeError::check("width of all heads", head * heads, width)?;
        ShapeError::check("width of the keys", self.key.outputs(), width)?;
        ShapeError::check("width of the values", self.value.outputs(), width)?;
        scratch.attention.keep(bias);
        if let Some(&last) = scratch.attention.kept.last()
            && last >= rows.count
        {
            let (found, expected) = (rows.count, last + 1);
            return Err(ShapeError { what: "rows up to the last that counts", found, expected });
        }
        let shape = Shape { width, head };
        let project = |linear, out: &mut [f32], scratch: &mut Scratch| {
            let layer = Layer { linear, activation: Activation::Identity, sum: Sum::None, out };
            apply_layers(isa, rows, self.norm.as_ref(), [layer], scratch)
        };
        // One after the other in the place of what comes out.
        project(&self.key, out, scratch)?;
        if out.is_empty() {
            return Ok(());
        }
        let working = &mut scratch.attention;
        isa.run(Pack { what: What::Keys(bias), rows: out, shape, working });
        project(&self.value, out, scratch)?;
        let working = &mut scratch.attention;
        isa.run(Pack { what: What::Values, rows: out, shape, working });
        project(&self.query, out, scratch)?;
        let (scale, working) = (self.attention.scale, &mut scratch.attention);
        isa.run(Attend { scale, shape, queries: out, working });
        Ok(())
    }
}

/// Values of a row, and those of one head.
#[derive(Debug, Clone, Copy)]
struct Shape {
    width: usize,
    head: usize,
}

impl Shape {
    /// The columns of each head.
    #[inline(always)]
    fn heads(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.width).step_by(self.head).map(move |first| first..first + self.head)
    }
}

/// What is packed: keys with the bias of all of them, or values.
enum What<'a> {
    Keys(&'a [f32]),
    Values,
}

/// Packs the keys or the values of all heads.
struct Pack<'a> {
    what: What<'a>,
    rows: &'a [f32],
    shape: Shape,
    working: &'a mut Working,
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { rows, shape, .. } = self;
        let Working { kept, packed, .. } = self.working;
        packed.resize_with(shape.width / shape.head, Packed::default);
        for (columns, packed) in shape.heads().zip(packed) {
            let rows = Rows::of_columns(rows, shape.width, columns);
            match self.what {
                What::Keys(bias) => {
                    packed.bias(bias, kept);
                    packed.keys(simd, rows, kept);
                }
                What::Values => packed.values(simd, rows, kept),
            }
        }
    }
}

/// Lets all queries attend to what is packed.
struct Attend<'a> {
    scale: f32,
    shape: Shape,
    /// Of the heads that are done the outputs.
    queries: &'a mut [f32],
    working: &'a mut Working,
}

impl Kernel for Attend<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Working { levels, packed, gathered, .. } = self.working;
        let width = self.shape.width;
        for (columns, packed) in self.shape.heads().zip(&*packed) {
            let queries = Rows::of_columns(self.queries, width, columns.clone());
            levels.quantise(simd, queries, None, Rounding::Once);
            let mut gather = Gather { packed, gathered, scale: self.scale };
            for tile in levels.tiles::<S>(self.queries.len() / width) {
                let rows = self.queries[tile.first * width..].chunks_exact_mut(width);
                let rows = rows.map(|row| &mut row[columns.clone()]);
                let count = tile.scales.len();
                for_rows!(S, count, |R| gather.tile::<S, R>(simd, tile, rows));
            }
        }
    }
}
