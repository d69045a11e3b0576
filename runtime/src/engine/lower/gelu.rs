//! Gelu, which graphs spell in several ways: opset 17 has no operation of that name.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::nodes::Nodes;
use super::weights::{scalar, text};

/// The nodes that compute the Gelu of `value`, which nothing else takes, and what they give.
pub(super) fn of(nodes: &Nodes<'_>, value: &str) -> Option<(Vec<usize>, String)> {
    if let Some((i, node)) = nodes.taker(value, "Gelu") {
        let is_exact = text(node, "approximate").is_none_or(|form| form == b"none");
        return is_exact.then(|| Some((vec![i], node.output.first()?.clone())))?;
    }
    // x / sqrt 2 -> Erf -> + 1 -> * x / 2, the half taken of x, of the sum or of the product.
    let &[a, b] = nodes.takers(value) else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(root, other)| {
        let scaled = scaled_by_root(nodes, root, value)?;
        let (erf, node) = nodes.taker(scaled, "Erf")?;
        let (sum, node) = nodes.taker(node.output.first()?, "Add")?;
        let one = other_input(node, &nodes.operation(erf, "Erf")?.output[0])?;
        if !is_near(scalar(nodes, one)?, 1.0) {
            return None;
        }
        let sum_value = node.output.first()?;
        let (first, node) = (other, nodes.operation(other, "Mul")?);
        let factor = other_input(node, value)?;
        let product = node.output.first()?;
        // (x * 0.5) * sum
        if scalar(nodes, factor).is_some_and(|half| is_near(half, 0.5)) {
            let (last, node) = nodes.taker(product, "Mul")?;
            let fits =
                other_input(node, product)? == sum_value && nodes.takers(sum_value) == [last];
            return fits.then(|| {
                Some((vec![root, erf, sum, first, last], node.output.first()?.clone()))
            })?;
        }
        // (x * sum) * 0.5
        let (last, node) = nodes.taker(product, "Mul")?;
        let fits = factor == sum_value
            && nodes.takers(sum_value) == [first]
            && is_near(scalar(nodes, other_input(node, product)?)?, 0.5);
        fits.then(|| Some((vec![root, erf, sum, first, last], node.output.first()?.clone())))?
    })
}

/// `value / sqrt 2`, if node `i` computes it.
fn scaled_by_root<'a>(nodes: &'a Nodes<'_>, i: usize, value: &str) -> Option<&'a str> {
    let (node, expected) = match nodes.operation(i, "Mul") {
        Some(node) => (node, FRAC_1_SQRT_2),
        None => (nodes.operation(i, "Div")?, SQRT_2),
    };
    let [a, b] = &node.input[..] else { return None };
    let constant = if a == value {
        b
    } else if node.op_type == "Mul" {
        a
    } else {
        return None;
    };
    is_near(scalar(nodes, constant)?, expected).then(|| node.output.first().map(String::as_str))?
}

/// The other of the two inputs of a node.
pub(super) fn other_input<'a>(node: &'a tract_onnx::pb::NodeProto, value: &str) -> Option<&'a str> {
    match &node.input[..] {
        [a, b] if a == value && b != value => Some(b),
        [a, b] if b == value && a != value => Some(a),
        _ => None,
    }
}

fn is_near(found: f32, expected: f32) -> bool {
    (found - expected).abs() <= 1e-6 * expected
}
