//! The int8 linear layer: rows quantised as they come, multiplied, scaled, with bias, activation and residual.

use std::ops::Range;

use crate::Scratch;
use crate::activation::Activation;
use crate::error::ShapeError;
use crate::isa::Isa;
use crate::layer_norm::LayerNorm;
use crate::levels::{Levels, MOST_INPUTS, Rounding, Tile, multiply, multiply_steps};
use crate::output::{Output, Sum};
use crate::panels::Panels;
use crate::simd::{Kernel, LANES, Simd, for_rows};

/// Rows that are rounded and multiplied at a time, a multiple of every tile's: so working memory does not grow with the rows, and
/// levels stay in a near cache.
const BLOCK_ROWS: usize = 48;

/// The weights of one layer, packed.
///
/// `y[r, c] = activation(sum_i x[r, i] w[i, c] + bias[c]) + residual[r, c]`, the rows of `x` rounded as they come: to levels of a
/// 127th of the row's largest value or of six times its root mean square, whichever is less; what that cuts off is rounded once
/// more; of up to 8 rows, what is left of every value.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    levels: Panels,
    /// What a level of each column is worth, a panel's length each, as all below.
    scales: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
    /// Sum of the levels of each column.
    sums: Vec<[i32; LANES]>,
}

/// Rows of one length in a slice, which may overlap or leave gaps.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
    pub(crate) stride: usize,
    pub(crate) count: usize,
    /// Rows that they are the first of.
    pub(crate) among: usize,
}

/// Numbers below `count`, [`BLOCK_ROWS`] at a time.
#[inline(always)]
pub(crate) fn blocks(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(BLOCK_ROWS).map(move |first| first..count.min(first + BLOCK_ROWS))
}

impl<'a> Rows<'a> {
    /// Rows of `width` values, one behind the other.
    ///
    /// # Errors
    /// A length that is no multiple of the width.
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, ShapeError> {
        let count = values.len() / width.max(1);
        ShapeError::check("values of all rows", values.len(), count * width)?;
        Ok(Self { values, width, stride: width, count, among: count })
    }

    /// The same rows as the first of `all`, the rest of which nobody reads: they are rounded as all would be.
    #[must_use]
    pub const fn among(self, all: usize) -> Self {
        Self { among: all, ..self }
    }

    /// Some columns of a matrix of rows of `width` values.
    pub(crate) fn of_columns(values: &'a [f32], width: usize, columns: Range<usize>) -> Self {
        let count = values.len() / width;
        let values = values.get(columns.start..).unwrap_or_default();
        Self { values, width: columns.len(), stride: width, count, among: count }
    }

    /// `count` of them from row `first` on.
    #[inline(always)]
    pub(crate) fn some(&self, first: usize, count: usize) -> Self {
        Self { values: &self.values[first * self.stride..], count, ..*self }
    }

    /// Numbers of the rows, [`BLOCK_ROWS`] at a time.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        blocks(self.count)
    }

    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.stride..i * self.stride + self.width]
    }
}

impl Linear {
    /// The layer of these levels; `scales` has one value an output, and so has `bias`, or none at all.
    ///
    /// # Errors
    /// Slices of another length than the levels have outputs; more than 65,536 inputs, whose sum could overflow.
    pub fn new(levels: Panels, scales: &[f32], bias: &[f32]) -> Result<Self, ShapeError> {
        let [inputs, outputs] = levels.shape();
        has_exact_sums(inputs)?;
        ShapeError::check("scales", scales.len(), outputs)?;
        let bias = panelled_bias(bias, outputs)?;
        let scales = panelled(scales, outputs.div_ceil(LANES));
        Ok(Self { sums: levels.sums(), levels, scales, bias })
    }

    /// Packs the levels `level(input, output)`, and goes on as [`Linear::new`].
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn pack(
        shape: [usize; 2],
        level: impl Fn(usize, usize) -> i8,
        scales: &[f32],
        bias: &[f32],
    ) -> Result<Self, ShapeError> {
        has_exact_sums(shape[0])?;
        Self::new(Panels::pack(shape, level), scales, bias)
    }

    /// Values of a row that goes in.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        let [inputs, _] = self.levels.shape();
        inputs
    }

    /// Values of a row that comes out.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        let [_, outputs] = self.levels.shape();
        outputs
    }

    /// Bytes of the packed weights, wherever they lie, with their scales and bias.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels.bytes() + 4 * LANES * (self.scales.len() + self.bias.len() + self.sums.len())
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
        let layer = Layer { linear: self, activation, sum, out };
        apply_layers(isa, rows, None, [layer], scratch)
    }
}

/// A layer that is applied beside others.
#[derive(Debug)]
pub struct Layer<'a> {
    /// Its weights.
    pub linear: &'a Linear,
    /// What is done to its sums.
    pub activation: Activation,
    /// What its outputs are added to.
    pub sum: Sum,
    /// Where they go, `[rows, outputs]`.
    pub out: &'a mut [f32],
}

/// Applies layers to the same `rows`, which are normalised first where there is a norm, and rounded once for all layers.
///
/// # Errors
/// Rows of another width than the norm or a layer takes, slices of another length than the rows ask for.
pub fn apply_layers<'a>(
    isa: Isa,
    rows: Rows<'_>,
    norm: Option<&LayerNorm>,
    layers: impl IntoIterator<Item = Layer<'a>>,
    scratch: &mut Scratch,
) -> Result<(), ShapeError> {
    if let Some(norm) = norm {
        ShapeError::check("width of a row", rows.width, norm.width())?;
    }
    let product = |Layer { linear, activation, sum, out }| {
        ShapeError::check("width of a row", rows.width, linear.inputs())?;
        let output = Output::new(rows.count, linear.outputs(), activation, sum, out)?;
        Ok(Product { linear, output })
    };
    let mut products: Vec<_> = layers.into_iter().map(product).collect::<Result<_, _>>()?;
    multiply_all(isa, rows, norm, &mut products, &mut scratch.levels);
    Ok(())
}

// Not generic, so that it is compiled once.
fn multiply_all(
    isa: Isa,
    rows: Rows<'_>,
    norm: Option<&LayerNorm>,
    products: &mut [Product<'_>],
    levels: &mut Levels,
) {
    isa.run(Apply { rows, norm, products, levels });
}

fn has_exact_sums(inputs: usize) -> Result<(), ShapeError> {
    if inputs > MOST_INPUTS {
        return Err(ShapeError { what: "inputs", found: inputs, expected: MOST_INPUTS });
    }
    Ok(())
}

/// The bias of each output, or zeros where there is none, in panels.
pub(crate) fn panelled_bias(bias: &[f32], outputs: usize) -> Result<Vec<[f32; LANES]>, ShapeError> {
    if !bias.is_empty() {
        ShapeError::check("bias", bias.len(), outputs)?;
    }
    Ok(panelled(bias, outputs.div_ceil(LANES)))
}

fn panelled(values: &[f32], panels: usize) -> Vec<[f32; LANES]> {
    let value = |i| values.get(i).copied().unwrap_or(0.0);
    (0..panels).map(|panel| std::array::from_fn(|lane| value(panel * LANES + lane))).collect()
}

struct Apply<'a, 'b> {
    rows: Rows<'a>,
    norm: Option<&'a LayerNorm>,
    products: &'a mut [Product<'b>],
    levels: &'a mut Levels,
}

impl Kernel for Apply<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let rounding = Rounding::of_rows(self.rows.among);
        for block in self.rows.blocks() {
            let rows = self.rows.some(block.start, block.len());
            self.levels.quantise(simd, rows, self.norm, rounding);
            for product in &mut *self.products {
                product.rows(simd, self.levels, block.clone());
            }
        }
    }
}

struct Product<'a> {
    linear: &'a Linear,
    output: Output<'a>,
}

impl Product<'_> {
    /// Multiplies the rows with these numbers, whose levels are given.
    #[inline(always)]
    fn rows<S: Simd>(&mut self, simd: S, levels: &Levels, numbers: Range<usize>) {
        let mut panels = self.linear.levels.iter().enumerate();
        while let Some((panel, first)) = panels.next() {
            // Panels stay in the nearest cache while all tiles go by.
            let second =
                if S::PANELS == 2 { panels.next().map(|(_, second)| second) } else { None };
            for mut tile in levels.tiles::<S>(numbers.len()) {
                tile.first += numbers.start;
                match second {
                    Some(second) => self.tile_rows(simd, tile, panel, [first, second]),
                    None => self.tile_rows(simd, tile, panel, [first]),
                }
            }
        }
    }

    #[inline(always)]
    fn tile_rows<S: Simd, const C: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
        panel: usize,
        panels: [&[u8]; C],
    ) {
        let count = tile.scales.len();
        for_rows!(S, count, |R| self.tile::<S, R, C>(simd, tile, panel, panels));
    }

    /// `R` rows times `C` panels, of which `panel` is the first.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
        panel: usize,
        panels: [&[u8]; C],
    ) {
        // Before the coarse sums, which take all registers.
        let mut left = [[[0.0; LANES]; C]; R];
        let is_left = !tile.steps.is_empty();
        if is_left {
            let sums = multiply_steps::<S, R, C>(simd, tile, panels);
            for r in 0..R {
                for c in 0..C {
                    let scale = simd.splat(tile.scales[r].fine_level);
                    let sum = simd.finish(sums[r][c], &[0; LANES]);
                    simd.store(simd.mul(sum, scale), &mut left[r][c]);
                }
            }
        }
        let sums = multiply::<S, R, C>(simd, tile.coarse, panels);
        for c in 0..C {
            let corrections = self.linear.sums[panel + c].map(|sum| S::OFFSET * sum);
            let scales = simd.load(&self.linear.scales[panel + c]);
            let bias = simd.load(&self.linear.bias[panel + c]);
            for r in 0..R {
                let mut y = simd.finish(sums[r][c], &corrections);
                y = simd.mul(y, simd.splat(tile.scales[r].level));
                if is_left {
                    y = simd.add(y, simd.load(&left[r][c]));
                }
                y = simd.add(simd.mul(y, scales), bias);
                self.output.put(simd, tile.first + r, panel + c, y);
            }
        }
    }
}
