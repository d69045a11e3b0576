//! Products of matrices, and convolution as one.

use super::Result;
use crate::evaluate::tensor::Tensor;

/// The last two dimensions multiply; dimensions before them are the same, or one side has none.
pub(super) fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mismatch = || format!("found shapes {:?} and {:?}", a.shape, b.shape);
    let ([many_a @ .., m, k], [many_b @ .., k_b, n]) = (&a.shape[..], &b.shape[..]) else {
        return Err(mismatch());
    };
    let (left, right) = (a.reals()?, b.reals()?);
    let lengths = (many_a.iter().product::<usize>(), many_b.iter().product::<usize>());
    if k != k_b || !(many_a == many_b || lengths.0 == 1 || lengths.1 == 1) {
        return Err(mismatch());
    }
    let many = if lengths.0 >= lengths.1 { many_a } else { many_b };
    let mut values = Vec::with_capacity(lengths.0.max(lengths.1) * m * n);
    for i in 0..lengths.0.max(lengths.1) {
        let left = &left[i % lengths.0 * m * k..][..m * k];
        let right = &right[i % lengths.1 * k * n..][..k * n];
        values.extend(product(left, right, *k, *n));
    }
    Ok(Tensor::real([many, &[*m, *n]].concat(), values))
}

/// `[m, k] [k, n]`, four rows of the right side at a time, so that a row of the result is written a quarter as often.
fn product(left: &[f64], right: &[f64], k: usize, n: usize) -> Vec<f64> {
    let mut result = vec![0.0; left.len() / k.max(1) * n];
    if k == 0 || n == 0 {
        return result;
    }
    for (row, sums) in left.chunks_exact(k).zip(result.chunks_exact_mut(n)) {
        for (weights, block) in row.chunks(4).zip(right.chunks(4 * n)) {
            let &[w0, w1, w2, w3] = weights else {
                for (weight, other) in weights.iter().zip(block.chunks_exact(n)) {
                    sums.iter_mut().zip(other).for_each(|(sum, v)| *sum += weight * v);
                }
                continue;
            };
            let (r0, rest) = block.split_at(n);
            let (r1, rest) = rest.split_at(n);
            let (r2, r3) = rest.split_at(n);
            for ((((sum, v0), v1), v2), v3) in sums.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
                *sum += w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3;
            }
        }
    }
    result
}

/// One input in one group, without dilation: `[1, in, T]`, `[out, in, K]`, `[out]` -> `[1, out, T']`.
pub(super) fn conv(
    x: &Tensor,
    kernel: &Tensor,
    bias: &Tensor,
    pads: &[usize],
    strides: &[usize],
) -> Result<Tensor> {
    let (&[1, inputs, time], &[outputs, of_kernel, width]) = (&x.shape[..], &kernel.shape[..])
    else {
        return Err(format!("found shapes {:?} and {:?}", x.shape, kernel.shape));
    };
    let (&[before, after], &[stride]) = (pads, strides) else {
        return Err(format!("found pads {pads:?} and strides {strides:?}"));
    };
    let padded = before + time + after;
    if of_kernel != inputs || stride == 0 || padded < width || bias.shape != [outputs] {
        return Err(format!("found shapes {:?} and {:?}", x.shape, kernel.shape));
    }
    let count = (padded - width) / stride + 1;
    let x = x.reals()?;
    let mut windows = Vec::with_capacity(inputs * width * count);
    for (input, k) in (0..inputs).flat_map(|i| (0..width).map(move |k| (i, k))) {
        let at = |t: usize| (t * stride + k).checked_sub(before).filter(|place| *place < time);
        windows.extend((0..count).map(|t| at(t).map_or(0.0, |place| x[input * time + place])));
    }
    let mut values = product(kernel.reals()?, &windows, inputs * width, count);
    for (row, bias) in values.chunks_exact_mut(count).zip(bias.reals()?) {
        row.iter_mut().for_each(|value| *value += bias);
    }
    Ok(Tensor::real(vec![1, outputs, count], values))
}
