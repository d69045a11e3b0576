//! The operators of opset 17 that the exporter writes, each as its specification reads.

mod matrices;

use std::sync::Arc;

use self::matrices::{conv, matmul};
use super::tensor::{Elements, Tensor};
use crate::onnx::{AttributeProto, DataType, NodeProto};

/// Every operator that [`evaluate`] knows.
pub(super) const KNOWN: [&str; 24] = [
    "Add",
    "Cast",
    "Concat",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Erf",
    "Exp",
    "Gather",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Mul",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Softmax",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
];

type Result<T> = std::result::Result<T, String>;

/// The first output of one operation.
pub(super) fn evaluate(node: &NodeProto, inputs: &[Arc<Tensor>]) -> Result<Tensor> {
    let input = |i: usize| inputs.get(i).map(|x| &**x).ok_or_else(|| format!("found no input {i}"));
    let x = input(0)?;
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    let int = |name: &str, usual: i64| attribute(name).map_or(usual, AttributeProto::i);
    let ints = |name: &str| -> Result<Vec<usize>> {
        let given = attribute(name).map_or(&[][..], |a| &a.ints);
        let index = |n: &i64| usize::try_from(*n).map_err(|_| format!("found {name} of {n}"));
        given.iter().map(index).collect()
    };
    let axis = |usual: i64| dimension(int("axis", usual), x.shape.len());
    match node.op_type() {
        "Add" => binary(x, input(1)?, |a, b| a + b),
        "Sub" => binary(x, input(1)?, |a, b| a - b),
        "Mul" => binary(x, input(1)?, |a, b| a * b),
        "Div" => binary(x, input(1)?, |a, b| a / b),
        "Max" => binary(x, input(1)?, f64::max),
        "Erf" => unary(x, libm::erf),
        "Exp" => unary(x, libm::exp),
        "Tanh" => unary(x, libm::tanh),
        "Sqrt" => unary(x, f64::sqrt),
        "MatMul" => matmul(x, input(1)?),
        "Conv" => conv(x, input(1)?, input(2)?, &ints("pads")?, &ints("strides")?),
        "Softmax" => rows(x, axis(-1)?, |row| softmax(row).0),
        "LogSoftmax" => rows(x, axis(-1)?, |row| {
            let (_, (largest, sum)) = softmax(row);
            row.iter().map(|v| v - largest - libm::log(sum)).collect()
        }),
        "LayerNormalization" => {
            let epsilon = f64::from(attribute("epsilon").map_or(1e-5, AttributeProto::f));
            let (scale, bias) = (input(1)?.reals()?, input(2)?.reals()?);
            rows(x, axis(-1)?, |row| layer_norm(row, scale, bias, epsilon))
        }
        "ReduceMean" | "ReduceMax" | "ReduceSum" => {
            let axes =
                if node.op_type() == "ReduceSum" { input(1)?.indices()? } else { ints("axes")? };
            reduce(node.op_type(), x, &axes, int("keepdims", 1) != 0)
        }
        "Reshape" => Ok(Tensor { shape: input(1)?.indices()?, elements: x.elements.clone() }),
        "Transpose" => transpose(x, &ints("perm")?),
        "Slice" => {
            let [starts, ends, axes, steps] =
                [1, 2, 3, 4].map(|i| input(i).and_then(Tensor::indices));
            let (Ok([start]), Ok([end]), Ok([axis]), Ok([step])) = (
                <[usize; 1]>::try_from(starts?),
                <[usize; 1]>::try_from(ends?),
                <[usize; 1]>::try_from(axes?),
                <[usize; 1]>::try_from(steps?),
            ) else {
                return Err("found a slice of several dimensions, expected one".into());
            };
            slice(x, axis, (start..end).step_by(step.max(1)))
        }
        "Gather" => gather(x, input(1)?, axis(0)?),
        "Concat" => concat(inputs, axis(0)?),
        "Cast" if int("to", 0) == i64::from(DataType::Float as i32) => Ok(cast(x)),
        "DequantizeLinear" => dequantise(x, input(1)?, int("axis", 1)),
        _ => Err("found an operator or a form of it that is not known".into()),
    }
}

fn dimension(axis: i64, rank: usize) -> Result<usize> {
    let from_end = usize::try_from(axis.unsigned_abs()).ok().and_then(|n| rank.checked_sub(n));
    let axis = if axis < 0 { from_end } else { usize::try_from(axis).ok() };
    axis.filter(|axis| *axis < rank).ok_or_else(|| format!("found no such dimension of {rank}"))
}

fn unary(x: &Tensor, of: fn(f64) -> f64) -> Result<Tensor> {
    Ok(Tensor::real(x.shape.clone(), x.reals()?.iter().map(|v| of(*v)).collect()))
}

/// Element by element, broadcast from the last dimension.
fn binary(a: &Tensor, b: &Tensor, of: fn(f64, f64) -> f64) -> Result<Tensor> {
    let (left, right) = (a.reals()?, b.reals()?);
    if a.shape == b.shape {
        let values = left.iter().zip(right).map(|(a, b)| of(*a, *b)).collect();
        return Ok(Tensor::real(a.shape.clone(), values));
    }
    let rank = a.shape.len().max(b.shape.len());
    let padded = |shape: &[usize]| [vec![1; rank - shape.len()], shape.to_vec()].concat();
    let (of_a, of_b) = (padded(&a.shape), padded(&b.shape));
    let fits = of_a.iter().zip(&of_b).all(|(m, n)| m == n || *m == 1 || *n == 1);
    if !fits {
        return Err(format!("found shapes {:?} and {:?}", a.shape, b.shape));
    }
    let shape: Vec<usize> = of_a.iter().zip(&of_b).map(|(m, n)| *m.max(n)).collect();
    let (of_a, of_b) = (broadcast_strides(&of_a), broadcast_strides(&of_b));
    let values = indices(&shape, &of_a).zip(indices(&shape, &of_b));
    Ok(Tensor::real(shape.clone(), values.map(|(i, j)| of(left[i], right[j])).collect()))
}

/// How far apart neighbours along each dimension are; 0 along those of length 1.
fn broadcast_strides(shape: &[usize]) -> Vec<usize> {
    let all = strides(shape);
    all.iter().zip(shape).map(|(stride, len)| if *len == 1 { 0 } else { *stride }).collect()
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let inner = |axis: usize| shape[axis + 1..].iter().product();
    (0..shape.len()).map(inner).collect()
}

/// For every element of a tensor of this shape, in order, where `strides` say it is.
fn indices<'a>(shape: &'a [usize], strides: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    let mut counters = vec![0; shape.len()];
    let mut at = 0;
    (0..shape.iter().product::<usize>()).map(move |_| {
        let here = at;
        for axis in (0..shape.len()).rev() {
            counters[axis] += 1;
            at += strides[axis];
            if counters[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            counters[axis] = 0;
        }
        here
    })
}

/// A function of each row, which lies along the last dimension.
fn rows(x: &Tensor, axis: usize, of: impl Fn(&[f64]) -> Vec<f64>) -> Result<Tensor> {
    if axis + 1 != x.shape.len() {
        return Err(format!("found dimension {axis} of {:?}, expected the last", x.shape));
    }
    let values = x.reals()?.chunks_exact(x.shape[axis].max(1)).flat_map(of).collect();
    Ok(Tensor::real(x.shape.clone(), values))
}

/// The softmax, and the largest number and the sum of exponentials that it took.
fn softmax(row: &[f64]) -> (Vec<f64>, (f64, f64)) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let terms: Vec<f64> = row.iter().map(|v| libm::exp(v - largest)).collect();
    let sum: f64 = terms.iter().sum();
    (terms.iter().map(|term| term / sum).collect(), (largest, sum))
}

fn layer_norm(row: &[f64], scale: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    let deviation = (variance + epsilon).sqrt();
    row.iter().zip(scale).zip(bias).map(|((v, s), b)| (v - mean) / deviation * s + b).collect()
}

fn reduce(operator: &str, x: &Tensor, axes: &[usize], keep: bool) -> Result<Tensor> {
    let &[axis] = axes else { return Err(format!("found dimensions {axes:?}, expected one")) };
    let len = *x.shape.get(axis).ok_or_else(|| format!("found no dimension {axis}"))?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let values = x.reals()?;
    let mut result = Vec::with_capacity(values.len() / len.max(1));
    for outer in values.chunks_exact((len * inner).max(1)) {
        for i in 0..inner {
            let along = outer.iter().skip(i).step_by(inner);
            result.push(match operator {
                "ReduceMax" => along.copied().fold(f64::NEG_INFINITY, f64::max),
                "ReduceSum" => along.sum(),
                _ => along.sum::<f64>() / len as f64,
            });
        }
    }
    let mut shape = x.shape.clone();
    if keep {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    Ok(Tensor::real(shape, result))
}

/// Dimension `i` of the result is dimension `order[i]` of `x`.
pub(crate) fn transpose(x: &Tensor, order: &[usize]) -> Result<Tensor> {
    let of_x = strides(&x.shape);
    if order.len() != x.shape.len() || order.iter().any(|axis| *axis >= order.len()) {
        return Err(format!("found the order {order:?} for {:?}", x.shape));
    }
    let shape: Vec<usize> = order.iter().map(|axis| x.shape[*axis]).collect();
    let steps: Vec<usize> = order.iter().map(|axis| of_x[*axis]).collect();
    let elements = match &x.elements {
        Elements::Real(values) => {
            Elements::Real(indices(&shape, &steps).map(|i| values[i]).collect())
        }
        Elements::Whole(values) => {
            Elements::Whole(indices(&shape, &steps).map(|i| values[i]).collect())
        }
    };
    Ok(Tensor { shape, elements })
}

/// These places of one dimension.
fn slice(x: &Tensor, axis: usize, places: impl Iterator<Item = usize> + Clone) -> Result<Tensor> {
    let len = *x.shape.get(axis).ok_or_else(|| format!("found no dimension {axis}"))?;
    if let Some(place) = places.clone().find(|place| *place >= len) {
        return Err(format!("found place {place} of dimension {axis} of {:?}", x.shape));
    }
    let inner: usize = x.shape[axis + 1..].iter().product();
    let mut shape = x.shape.clone();
    shape[axis] = places.clone().count();
    fn pick<T: Copy>(values: &[T], outer: usize, inner: usize, places: &[usize]) -> Vec<T> {
        let blocks = values.chunks_exact((outer * inner).max(1));
        blocks
            .flat_map(|block| places.iter().flat_map(move |p| &block[p * inner..(p + 1) * inner]))
            .copied()
            .collect()
    }
    let places: Vec<usize> = places.collect();
    let elements = match &x.elements {
        Elements::Real(values) => Elements::Real(pick(values, len, inner, &places)),
        Elements::Whole(values) => Elements::Whole(pick(values, len, inner, &places)),
    };
    Ok(Tensor { shape, elements })
}

fn gather(x: &Tensor, places: &Tensor, axis: usize) -> Result<Tensor> {
    if axis != 0 {
        return Err(format!("found dimension {axis}, expected 0"));
    }
    let mut picked = slice(x, 0, places.indices()?.into_iter())?;
    picked.shape.splice(0..1, places.shape.iter().copied());
    Ok(picked)
}

fn concat(parts: &[Arc<Tensor>], axis: usize) -> Result<Tensor> {
    let mut shape = parts[0].shape.clone();
    let length = |part: &Arc<Tensor>| part.shape[axis..].iter().product::<usize>();
    let fits = |part: &Arc<Tensor>| {
        part.shape.len() == shape.len()
            && part.shape.iter().zip(&shape).enumerate().all(|(i, (m, n))| i == axis || m == n)
    };
    if !parts.iter().all(fits) {
        return Err("found parts of different shapes".into());
    }
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    let outer: usize = shape[..axis].iter().product();
    let mut values = Vec::new();
    for i in 0..outer {
        for part in parts {
            let len = length(part);
            values.extend_from_slice(&part.reals()?[i * len..(i + 1) * len]);
        }
    }
    Ok(Tensor::real(shape, values))
}

fn cast(x: &Tensor) -> Tensor {
    match &x.elements {
        Elements::Real(_) => x.clone(),
        #[expect(clippy::cast_precision_loss, reason = "int8 levels are small whole numbers")]
        Elements::Whole(values) => {
            Tensor::real(x.shape.clone(), values.iter().map(|v| *v as f64).collect())
        }
    }
}

/// Levels times the scale of their place along `axis`, or the only scale; without a zero point.
pub(crate) fn dequantise(levels: &Tensor, scales: &Tensor, axis: i64) -> Result<Tensor> {
    let axis = dimension(axis, levels.shape.len())?;
    let scales = scales.reals()?;
    if ![1, levels.shape[axis]].contains(&scales.len()) {
        return Err(format!("found {} scales of {:?}", scales.len(), levels.shape));
    }
    let inner: usize = levels.shape[axis + 1..].iter().product();
    let Tensor { shape, elements: Elements::Real(mut values) } = cast(levels) else {
        return Err("found no levels".into());
    };
    for (block, values) in values.chunks_exact_mut(inner.max(1)).enumerate() {
        let scale = scales[block % scales.len()];
        values.iter_mut().for_each(|value| *value *= scale);
    }
    Ok(Tensor::real(shape, values))
}
