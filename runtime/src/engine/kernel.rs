//! One operation of a graph as tract sees it: our kernels behind tract's interfaces.

mod look_up;
mod parts;
mod plan;
mod shapes;

use std::cell::RefCell;
use std::fmt;

use hilbert_kernels::{
    Activation, Attention, AttentionInputs, Convolution, FeedForward, Isa, Layer, LayerNorm,
    Layout, Linear, Rows, Scratch, SelfAttention, ShapeError, Sum, Table, WordLinear, apply_layers,
    statistics_pooling, weighted_mean,
};

pub(super) use self::look_up::LookUp;
pub(super) use self::parts::Part;
use self::parts::{ATTENTION, CONVOLUTION, LAYER_NORM, LINEAR};
pub(super) use self::plan::{KernelOp, Pending};

/// A fused operation with its weights. Inputs and outputs are row-major floats.
pub(super) enum Kernel {
    /// `[.., inputs]`, and with a residual, which one layer alone may have, `[.., outputs]` too -> of each layer `[.., outputs]`.
    /// Rows are normalised first where there is a norm.
    Linear { norm: Option<LayerNorm>, layers: Vec<(Linear, Activation)> },
    /// One layer in levels of 12 bits, whose weights are floats in the graph.
    WordLinear { linear: WordLinear, activation: Activation },
    /// `[1, inputs, T]` or, by frames, `[T, inputs]` -> `[1, outputs, steps]` or, by frames, `[steps, outputs]`
    Convolution { convolution: Convolution, activation: Activation, from: Layout, to: Layout },
    /// `[1, inputs, T]` or, by frames, `[T, inputs]` -> `[steps, outputs]`
    Convolutions { layers: [(Convolution, Activation); 2], from: Layout },
    /// `[.., inputs]`, and with a residual `[.., outputs]` too -> `[.., outputs]`; or, `in_place`, rows to which what comes of
    /// them is added
    FeedForward { layers: FeedForward, in_place: bool },
    /// `[N, D]`, a bias of N values -> `[N, D]`
    SelfAttention(SelfAttention),
    /// `[Q, D]`, `[N, D]`, `[N, D]`, a bias of N values -> `[Q, D]`
    Attention(Attention),
    /// `[.., D]` -> `[.., D]`
    LayerNorm(LayerNorm),
    /// `[T, D]`, weights `[1, T]` -> means and deviations `[1, 2 D]`
    Statistics { floor: f32 },
    /// `[T, D]`, weights `[1, T]` -> mean `[1, D]`, in more dimensions of 1 where the inputs are
    Mean,
    /// `[T, D]`, a column `[T, 1]` -> `[T, D]`, each row times its factor
    ScaledRows,
    /// Nothing -> the table of this shape; or what it is added to, of its shape
    Table { table: Table, shape: Vec<usize> },
    /// Numbers of rows, `[n]` -> those rows of the table, `[n, width]`
    LookUp(LookUp),
}

thread_local! {
    /// Working memory of the kernels, one a thread, kept from run to run.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Why a kernel did not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Its inputs do not fit.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// What it reads of the bundle is no longer there.
    #[error(transparent)]
    Bundle(#[from] hilbert_formats::Error),
}

impl Kernel {
    /// What it computes, in a word.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } | Self::WordLinear { .. } => LINEAR,
            Self::Convolution { .. } => CONVOLUTION,
            Self::Convolutions { .. } => "convolutions",
            Self::FeedForward { .. } => "feed-forward",
            Self::SelfAttention(_) => "self-attention",
            Self::Attention(_) => ATTENTION,
            Self::LayerNorm(_) => LAYER_NORM,
            Self::Statistics { .. } => "statistics pooling",
            Self::Mean => "mean",
            Self::ScaledRows => "scaled rows",
            Self::Table { .. } => "table",
            Self::LookUp(_) => "look-up",
        }
    }

    /// Values that it gives.
    pub(super) const fn outputs(&self) -> usize {
        match self {
            Self::Linear { layers, .. } => layers.len(),
            _ => 1,
        }
    }

    /// The input in whose place the output goes, and which it holds when the kernel runs: a residual,
    /// the queries, what is normalised or what a table is added to.
    pub(super) const fn in_place(&self, inputs: usize) -> Option<usize> {
        match self {
            Self::Linear { .. } | Self::WordLinear { .. } if inputs > 1 => Some(1),
            Self::FeedForward { in_place: true, .. } => Some(0),
            Self::FeedForward { .. } if inputs > 1 => Some(1),
            Self::Attention(_) | Self::LayerNorm(_) => Some(0),
            Self::Table { .. } if inputs > 0 => Some(0),
            _ => None,
        }
    }

    /// Whether a row of the output takes the same row of input `i`, and no other of its rows.
    pub(super) const fn is_by_row(&self, i: usize) -> bool {
        match self {
            Self::Linear { .. } | Self::WordLinear { .. } | Self::LayerNorm(_) => true,
            Self::FeedForward { .. } => true,
            Self::Attention(_) | Self::SelfAttention(_) => i == 0,
            Self::LookUp(_) | Self::ScaledRows => true,
            Self::Convolution { .. }
            | Self::Convolutions { .. }
            | Self::Statistics { .. }
            | Self::Mean
            | Self::Table { .. } => false,
        }
    }

    /// Runs it on this thread's working memory. The lengths are those of shapes that [`Kernel::output_shapes`] accepted, or of the
    /// first rows of outputs of `all` rows.
    fn run(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
        all: usize,
        outs: &mut [&mut [f32]],
    ) -> Result<(), Fault> {
        match (self, inputs, outs) {
            (Self::LookUp(table), [numbers], [out]) => table.run(isa, numbers, out),
            (_, inputs, outs) => Ok(self.compute(isa, inputs, all, outs)?),
        }
    }

    fn compute(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
        all: usize,
        outs: &mut [&mut [f32]],
    ) -> Result<(), ShapeError> {
        SCRATCH.with_borrow_mut(|scratch| match (self, outs) {
            (Self::Linear { norm, layers }, outs) => {
                let [x, residual @ ..] = inputs else {
                    return Err(ShapeError { what: "inputs", found: 0, expected: 1 });
                };
                let width = layers.first().map_or(0, |(linear, _)| linear.inputs());
                let rows = Rows::new(x, width)?.among(all);
                let layers = layers.iter().zip(outs).map(|((linear, activation), out)| Layer {
                    linear,
                    activation: *activation,
                    sum: sum(residual),
                    out,
                });
                apply_layers(isa, rows, norm.as_ref(), layers, scratch)
            }
            (_, [out]) => self.compute_one(isa, inputs, all, out, scratch),
            (_, outs) => Err(ShapeError { what: "outputs", found: outs.len(), expected: 1 }),
        })
    }

    fn compute_one(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
        all: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        match (self, inputs) {
            (Self::WordLinear { linear, activation }, [x, residual @ ..]) => {
                let rows = Rows::new(x, linear.inputs())?;
                linear.apply(isa, rows, *activation, sum(residual), out, scratch)
            }
            (Self::Convolution { convolution, activation, from, to }, [x]) => {
                convolution.apply(isa, x, [*from, *to], *activation, out, scratch)
            }
            (Self::Convolutions { layers: [(first, between), (second, last)], from }, [x]) => {
                second.apply_after(isa, (first, *between), (x, *from), *last, out, scratch)
            }
            (Self::FeedForward { layers, in_place: true }, [_]) => {
                layers.apply_in_place(isa, out, all, scratch)
            }
            (Self::FeedForward { layers, .. }, [x, residual @ ..]) => {
                let rows = Rows::new(x, layers.expand.inputs())?.among(all);
                layers.apply(isa, rows, sum(residual), out, scratch)
            }
            (Self::SelfAttention(attention), [x, bias]) => {
                let rows = Rows::new(x, attention.width())?.among(all);
                attention.apply(isa, rows, bias, out, scratch)
            }
            (Self::Attention(attention), &[_, key, value, bias]) => {
                attention.apply(isa, AttentionInputs { key, value, bias }, out, scratch)
            }
            (Self::LayerNorm(norm), [_]) => norm.apply(isa, out),
            (Self::Statistics { floor }, [x, weights]) => {
                statistics_pooling(isa, x, weights, *floor, out)
            }
            (Self::ScaledRows, [x, column]) => {
                let width = x.len() / column.len().max(1);
                let rows = x.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(width.max(1)));
                for ((x, out), factor) in rows.zip(*column) {
                    for (y, x) in out.iter_mut().zip(x) {
                        *y = x * factor;
                    }
                }
                Ok(())
            }
            (Self::Mean, [x, weights]) => weighted_mean(isa, x, weights, out),
            (Self::Table { table, .. }, inputs @ ([] | [_])) => table.unfold(isa, sum(inputs), out),
            (_, inputs) => Err(ShapeError { what: "inputs", found: inputs.len(), expected: 1 }),
        }
    }
}

fn sum(residual: &[&[f32]]) -> Sum {
    if residual.is_empty() { Sum::None } else { Sum::Residual }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
