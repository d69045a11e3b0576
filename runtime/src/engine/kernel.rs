//! One operation of a graph as tract sees it: our kernels behind tract's interfaces.

mod plan;

use std::cell::RefCell;
use std::fmt;

use hilbert_kernels::{
    Activation, Attention, AttentionInputs, Convolution, Isa, Layer, LayerNorm, Layout, Linear,
    Rows, Scratch, ShapeError, Sum, Table, WordLinear, apply_layers, statistics_pooling,
    weighted_mean,
};

pub(super) use self::plan::{KernelOp, Pending};
use super::Arithmetic;

/// A fused operation with its weights. Inputs and outputs are row-major floats.
pub(super) enum Kernel {
    /// `[.., inputs]`, and with a residual, which one layer alone may have, `[.., outputs]` too -> of each layer `[.., outputs]`.
    /// Rows are normalised first where there is a norm.
    Linear { norm: Option<LayerNorm>, layers: Vec<(Linear, Activation)> },
    /// One layer in levels of 12 bits, whose weights are floats in the graph.
    WordLinear { linear: WordLinear, activation: Activation },
    /// `[1, inputs, T]` or, by frames, `[T, inputs]` -> `[1, outputs, steps]` or, by frames, `[steps, outputs]`
    Convolution { convolution: Convolution, activation: Activation, from: Layout, to: Layout },
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
    LookUp(Table),
}

const LINEAR: &str = "linear";
const LAYER_NORM: &str = "layer norm";

/// Something that a kernel computes.
pub(super) struct Part {
    /// What, in a word.
    pub(super) name: &'static str,
    /// In what its products are computed.
    pub(super) arithmetic: Arithmetic,
    /// Bytes that its weights take in memory.
    pub(super) weight_bytes: usize,
}

thread_local! {
    /// Working memory of the kernels, one a thread, kept from run to run.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Kernel {
    /// What it computes, in a word.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } | Self::WordLinear { .. } => LINEAR,
            Self::Convolution { .. } => "convolution",
            Self::Attention(_) => "attention",
            Self::LayerNorm(_) => LAYER_NORM,
            Self::Statistics { .. } => "statistics pooling",
            Self::Mean => "mean",
            Self::ScaledRows => "scaled rows",
            Self::Table { .. } => "table",
            Self::LookUp(_) => "look-up",
        }
    }

    /// What it computes in one, in the order in which values are named after it.
    pub(super) fn parts(&self) -> Vec<Part> {
        let name = self.name();
        let one = |arithmetic, weight_bytes| vec![Part { name, arithmetic, weight_bytes }];
        match self {
            Self::Linear { norm, layers } => {
                let norm = norm.iter().map(|norm| Part {
                    name: LAYER_NORM,
                    arithmetic: Arithmetic::F32,
                    weight_bytes: norm.bytes(),
                });
                let layers = layers.iter().map(|(linear, _)| Part {
                    name,
                    arithmetic: Arithmetic::Int8,
                    weight_bytes: linear.bytes(),
                });
                norm.chain(layers).collect()
            }
            Self::WordLinear { linear, .. } => one(Arithmetic::Int16, linear.bytes()),
            Self::Convolution { convolution, .. } => one(Arithmetic::Int8, convolution.bytes()),
            // Its scores are products of int8, what it weighs are products of int16.
            Self::Attention(_) => one(Arithmetic::Int16, 0),
            Self::LayerNorm(norm) => one(Arithmetic::F32, norm.bytes()),
            Self::Statistics { .. } | Self::Mean | Self::ScaledRows => one(Arithmetic::F32, 0),
            Self::Table { table, .. } | Self::LookUp(table) => one(Arithmetic::F32, table.bytes()),
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
            Self::Attention(_) | Self::LayerNorm(_) => Some(0),
            Self::Table { .. } if inputs > 0 => Some(0),
            _ => None,
        }
    }

    /// Whether a row of the output takes the same row of input `i`, and no other of its rows.
    pub(super) const fn is_by_row(&self, i: usize) -> bool {
        match self {
            Self::Linear { .. } | Self::WordLinear { .. } | Self::LayerNorm(_) => true,
            Self::Attention(_) => i == 0,
            Self::LookUp(_) | Self::ScaledRows => true,
            Self::Convolution { .. }
            | Self::Statistics { .. }
            | Self::Mean
            | Self::Table { .. } => false,
        }
    }

    /// Shapes of the outputs; none where the inputs do not fit.
    pub(super) fn output_shapes(&self, inputs: &[Vec<usize>]) -> Option<Vec<Vec<usize>>> {
        if let Self::Linear { norm, layers } = self {
            let fits = norm.as_ref().is_none_or(|norm| is_of_width(inputs, norm.width()));
            let shape =
                |(linear, _): &(Linear, _)| of_linear([linear.inputs(), linear.outputs()], inputs);
            return layers.iter().map(shape).collect::<Option<_>>().filter(|_| fits);
        }
        Some(vec![self.output_shape(inputs)?])
    }

    fn output_shape(&self, inputs: &[Vec<usize>]) -> Option<Vec<usize>> {
        match (self, inputs) {
            (Self::WordLinear { linear, .. }, inputs) => {
                of_linear([linear.inputs(), linear.outputs()], inputs)
            }
            (Self::Convolution { convolution, from, to, .. }, [x]) => {
                let ((Layout::Channels, &[1, channels, frames])
                | (Layout::Frames, &[frames, channels])) = (from, &x[..])
                else {
                    return None;
                };
                let (steps, outputs) = (convolution.steps(frames), convolution.outputs());
                (channels == convolution.inputs()).then(|| match to {
                    Layout::Channels => vec![1, outputs, steps],
                    Layout::Frames => vec![steps, outputs],
                })
            }
            (Self::Attention(attention), [query, key, value, bias]) => {
                let (&[_, width], &[keys, of_keys]) = (&query[..], &key[..]) else { return None };
                let fits = of_keys == width
                    && value == key
                    && bias.iter().product::<usize>() == keys
                    && bias.last() == Some(&keys)
                    && attention.heads > 0
                    && width % attention.heads == 0;
                fits.then(|| query.clone())
            }
            (Self::LayerNorm(norm), [x]) => is_of_width(inputs, norm.width()).then(|| x.clone()),
            (Self::Statistics { .. }, [x, weights]) => match (&x[..], &weights[..]) {
                (&[rows, width], &[1, count]) if rows == count => Some(vec![1, 2 * width]),
                _ => None,
            },
            (Self::Mean, [x, weights]) => {
                let ([rows, width], [1, count]) = (matrix(x)?, matrix(weights)?) else {
                    return None;
                };
                let mut shape = vec![1; x.len().max(weights.len())];
                *shape.last_mut()? = width;
                (rows == count).then_some(shape)
            }
            (Self::ScaledRows, [x, column]) => {
                let ([rows, _], [count, 1]) = (matrix(x)?, matrix(column)?) else { return None };
                (rows == count && column.len() <= x.len()).then(|| x.clone())
            }
            (Self::Table { shape, .. }, []) => Some(shape.clone()),
            (Self::Table { shape, .. }, [x]) => {
                (matrix(x)? == matrix(shape)? && shape.len() <= x.len()).then(|| x.clone())
            }
            (Self::LookUp(table), [numbers]) => match numbers[..] {
                [count] => Some(vec![count, table.width()]),
                _ => None,
            },
            _ => None,
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
            (_, [out]) => self.run_in(isa, inputs, out, scratch),
            (_, outs) => Err(ShapeError { what: "outputs", found: outs.len(), expected: 1 }),
        })
    }

    fn run_in(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
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
            (Self::LookUp(table), [numbers]) => table.look_up(isa, numbers, out),
            (_, inputs) => Err(ShapeError { what: "inputs", found: inputs.len(), expected: 1 }),
        }
    }
}

/// Rows and columns of a matrix, in as many more dimensions of 1 as it may be.
fn matrix(shape: &[usize]) -> Option<[usize; 2]> {
    let (ones, &matrix) = shape.split_last_chunk()?;
    ones.iter().all(|dim| *dim == 1).then_some(matrix)
}

/// Whether the rows of the first input have so many values.
fn is_of_width(inputs: &[Vec<usize>], width: usize) -> bool {
    inputs.first().and_then(|x| x.last()) == Some(&width)
}

fn sum(residual: &[&[f32]]) -> Sum {
    if residual.is_empty() { Sum::None } else { Sum::Residual }
}

/// Shape of what a layer `[inputs, outputs]` makes of rows, and of the residual that is added, if there is one.
fn of_linear([inputs, outputs]: [usize; 2], shapes: &[Vec<usize>]) -> Option<Vec<usize>> {
    let [x, residual @ ..] = shapes else { return None };
    let (&width, rows) = x.split_last()?;
    let mut shape = rows.to_vec();
    shape.push(outputs);
    let fits = match residual {
        [] => true,
        [residual] => *residual == shape,
        _ => false,
    };
    (fits && width == inputs).then_some(shape)
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
