//! One operation of a graph as tract sees it: our kernels behind tract's interfaces.

mod plan;

use std::cell::RefCell;
use std::fmt;

use hilbert_kernels::{
    Activation, Attention, AttentionInputs, Convolution, FloatLinear, Isa, Layout, Linear, Rows,
    Scratch, ShapeError, Sum, layer_norm,
};

pub(super) use self::plan::{KernelOp, Pending};

/// A fused operation with its weights. Inputs and outputs are row-major floats.
pub(super) enum Kernel {
    /// `[.., inputs]`, and with a residual `[.., outputs]` too -> `[.., outputs]`
    Linear { linear: Linear, activation: Activation },
    /// The same in floats.
    FloatLinear { linear: FloatLinear, activation: Activation },
    /// `[1, inputs, T]` or, by frames, `[T, inputs]` -> `[1, outputs, steps]` or, by frames, `[steps, outputs]`
    Convolution { convolution: Convolution, activation: Activation, from: Layout, to: Layout },
    /// `[Q, D]`, `[N, D]`, `[N, D]`, a bias of N values -> `[Q, D]`
    Attention(Attention),
    /// `[.., D]` -> `[.., D]`
    LayerNorm { scale: Vec<f32>, bias: Vec<f32>, epsilon: f32 },
    /// Nothing -> the table: `levels`, of which each index of `axis` has a scale.
    Table { levels: Vec<i8>, scales: Vec<f32>, shape: Vec<usize>, axis: usize },
}

thread_local! {
    /// Working memory of the kernels, one a thread, kept from run to run.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Kernel {
    /// What it computes, in a word.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } | Self::FloatLinear { .. } => "linear",
            Self::Convolution { .. } => "convolution",
            Self::Attention(_) => "attention",
            Self::LayerNorm { .. } => "layer norm",
            Self::Table { .. } => "table",
        }
    }

    /// Whether its products are those of int8 levels.
    pub(super) const fn is_int8(&self) -> bool {
        matches!(self, Self::Linear { .. } | Self::Convolution { .. })
    }

    /// The input that the output is added to: it holds it when the kernel runs.
    pub(super) const fn residual(&self, inputs: usize) -> Option<usize> {
        match self {
            Self::Linear { .. } | Self::FloatLinear { .. } if inputs > 1 => Some(1),
            _ => None,
        }
    }

    /// Whether a row of the output takes the same row of input `i`, and no other of its rows.
    pub(super) const fn is_by_row(&self, i: usize) -> bool {
        match self {
            Self::Linear { .. } | Self::FloatLinear { .. } | Self::LayerNorm { .. } => true,
            Self::Attention(_) => i == 0,
            Self::Convolution { .. } | Self::Table { .. } => false,
        }
    }

    /// Bytes that its weights take in memory.
    pub(super) fn weight_bytes(&self) -> usize {
        match self {
            Self::Linear { linear, .. } => linear.bytes(),
            Self::FloatLinear { linear, .. } => linear.bytes(),
            Self::Convolution { convolution, .. } => convolution.bytes(),
            Self::Attention(_) => 0,
            Self::LayerNorm { scale, bias, .. } => size_of_val(&scale[..]) + size_of_val(&bias[..]),
            Self::Table { levels, scales, .. } => levels.len() + size_of_val(&scales[..]),
        }
    }

    /// Shape of the output; none where the inputs do not fit.
    pub(super) fn output_shape(&self, inputs: &[Vec<usize>]) -> Option<Vec<usize>> {
        match (self, inputs) {
            (Self::Linear { linear, .. }, inputs) => {
                of_linear([linear.inputs(), linear.outputs()], inputs)
            }
            (Self::FloatLinear { linear, .. }, inputs) => {
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
            (Self::LayerNorm { scale, .. }, [x]) => {
                (x.last() == Some(&scale.len())).then(|| x.clone())
            }
            (Self::Table { shape, .. }, []) => Some(shape.clone()),
            _ => None,
        }
    }

    /// Runs it on this thread's working memory. The lengths are those of shapes that [`Kernel::output_shape`] accepted, or of the
    /// first rows of an output of `all` rows.
    fn run(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
        all: usize,
        out: &mut [f32],
    ) -> Result<(), ShapeError> {
        SCRATCH.with_borrow_mut(|scratch| self.run_in(isa, inputs, all, out, scratch))
    }

    fn run_in(
        &self,
        isa: Isa,
        inputs: &[&[f32]],
        all: usize,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), ShapeError> {
        match (self, inputs) {
            (Self::Linear { linear, activation }, [x, residual @ ..]) => {
                let rows = Rows::new(x, linear.inputs())?.among(all);
                linear.apply(isa, rows, *activation, sum(residual), out, scratch)
            }
            (Self::FloatLinear { linear, activation }, [x, residual @ ..]) => {
                let rows = Rows::new(x, linear.inputs())?;
                linear.apply(isa, rows, *activation, sum(residual), out)
            }
            (Self::Convolution { convolution, activation, from, to }, [x]) => {
                convolution.apply(isa, x, [*from, *to], *activation, out, scratch)
            }
            (Self::Attention(attention), &[query, key, value, bias]) => {
                attention.apply(isa, AttentionInputs { query, key, value, bias }, out, scratch)
            }
            (Self::LayerNorm { scale, bias, epsilon }, [x]) => {
                layer_norm(isa, x, scale, bias, *epsilon, out)
            }
            (Self::Table { levels, scales, shape, axis }, []) => {
                let inner: usize = shape[axis + 1..].iter().product();
                let rows =
                    levels.chunks_exact(inner.max(1)).zip(out.chunks_exact_mut(inner.max(1)));
                for ((levels, out), scale) in rows.zip(scales.iter().cycle()) {
                    for (y, level) in out.iter_mut().zip(levels) {
                        *y = f32::from(*level) * scale;
                    }
                }
                Ok(())
            }
            (_, inputs) => Err(ShapeError { what: "inputs", found: inputs.len(), expected: 1 }),
        }
    }
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
