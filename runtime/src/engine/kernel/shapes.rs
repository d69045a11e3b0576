//! Shapes of what each kernel gives, and which inputs fit it.

use hilbert_kernels::{Layout, Linear};

use super::Kernel;

impl Kernel {
    /// Shapes of the outputs; none where the inputs do not fit.
    pub(in crate::engine) fn output_shapes(
        &self,
        inputs: &[Vec<usize>],
    ) -> Option<Vec<Vec<usize>>> {
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
                let frames = frames_of(x, convolution.inputs(), *from)?;
                let (steps, outputs) = (convolution.steps(frames), convolution.outputs());
                Some(match to {
                    Layout::Channels => vec![1, outputs, steps],
                    Layout::Frames => vec![steps, outputs],
                })
            }
            (Self::Convolutions { layers: [(first, _), (second, _)], from }, [x]) => {
                let frames = frames_of(x, first.inputs(), *from)?;
                let steps = second.steps(first.steps(frames));
                (first.outputs() == second.inputs()).then(|| vec![steps, second.outputs()])
            }
            (Self::FeedForward { layers, in_place }, inputs) => {
                let fits = is_of_width(inputs, layers.expand.inputs())
                    && layers.norm.as_ref().is_none_or(|norm| is_of_width(inputs, norm.width()))
                    && (!*in_place || inputs.len() == 1);
                let shape = of_linear([layers.expand.inputs(), layers.outputs()], inputs)?;
                fits.then_some(shape)
            }
            (Self::SelfAttention(attention), [x, bias]) => {
                let &[rows, width] = &x[..] else { return None };
                let fits = is_of_width(inputs, attention.width())
                    && bias.iter().product::<usize>() == rows
                    && attention.attention.heads > 0
                    && width % attention.attention.heads == 0;
                fits.then(|| x.clone())
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
}

/// How many frames of so many channels there are, if they lie so.
fn frames_of(x: &[usize], channels: usize, layout: Layout) -> Option<usize> {
    match (layout, x) {
        (Layout::Channels, &[1, found, frames]) | (Layout::Frames, &[frames, found]) => {
            (found == channels).then_some(frames)
        }
        _ => None,
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
