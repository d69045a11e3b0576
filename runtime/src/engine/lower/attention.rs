//! Multi-head attention as the exporter writes it: products, softmax, products, with heads split and joined around them.

use hilbert_kernels::Attention;
use tract_onnx::pb::NodeProto;

use super::gelu::other_input;
use super::nodes::Nodes;
use super::weights::{int, integers, ints, scalar};
use super::{Kernel, Lowered};

/// Lowers the attention whose softmax is node `i`.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let softmax = nodes.operation(i, "Softmax")?;
    if int(softmax, "axis").unwrap_or(-1) != -1 {
        return None;
    }
    // scores + bias
    let (sum, node) = sole(nodes, softmax.input.first()?, "Add")?;
    let (product, of_scores, bias) = node.input.iter().find_map(|scores| {
        let (product, of_scores) = sole(nodes, scores, "MatMul")?;
        Some((product, of_scores, other_input(node, scores)?))
    })?;
    let [query, key] = &of_scores.input[..] else { return None };
    let (query_nodes, query, heads) = split_heads(nodes, query, &[1, 0, 2])?;
    let (key_nodes, key, of_key) = split_heads(nodes, key, &[1, 2, 0])?;
    // softmax times values
    let (weighted, node) = nodes.taker(softmax.output.first()?, "MatMul")?;
    let [_, value] = &node.input[..] else { return None };
    let (value_nodes, value, of_value) = split_heads(nodes, value, &[1, 0, 2])?;
    let (transpose, node) = nodes.taker(node.output.first()?, "Transpose")?;
    if ints(node, "perm")? != [1, 0, 2] {
        return None;
    }
    let (reshape, node) = nodes.taker(node.output.first()?, "Reshape")?;
    let [_, width] = integers(nodes, node.input.get(1)?)?[..] else { return None };
    let [heads, head] = heads;
    if of_key != [heads, head] || of_value != of_key || heads.checked_mul(head) != Some(width) {
        return None;
    }
    let output = node.output.first()?.clone();

    let mut gone = vec![i, sum, product, weighted, transpose, reshape];
    gone.extend(query_nodes.into_iter().chain(key_nodes).chain(value_nodes));
    let (mut query, mut scale) = (query, 1.0);
    if let Some((scaling, node)) = sole(nodes, &query, "Mul")
        && let Some((factor, unscaled)) = scaled(nodes, node)
    {
        gone.push(scaling);
        (query, scale) = (unscaled, factor);
    }
    let inputs = vec![query, key, value, bias.to_owned()];
    let attention = Attention { heads: usize::try_from(heads).ok()?, scale };
    Some(Lowered::replace(nodes, &gone, inputs, output, Kernel::Attention(attention)))
}

/// The node of this operation that gives `value`, if one node alone takes it.
fn sole<'a>(nodes: &'a Nodes<'_>, value: &str, operation: &str) -> Option<(usize, &'a NodeProto)> {
    let [_] = nodes.takers(value) else { return None };
    nodes.giver(value, operation)
}

/// From `value`, `[heads, ..]` in the order `perm`, back to the rows that were cut into heads: the nodes between, the rows, and
/// the number of heads and their width.
fn split_heads(
    nodes: &Nodes<'_>,
    value: &str,
    perm: &[i64],
) -> Option<(Vec<usize>, String, [i64; 2])> {
    let (transpose, node) = sole(nodes, value, "Transpose")?;
    if ints(node, "perm")? != perm {
        return None;
    }
    let (reshape, node) = sole(nodes, node.input.first()?, "Reshape")?;
    let [rows, shape] = &node.input[..] else { return None };
    let [_, heads, head] = integers(nodes, shape)?[..] else { return None };
    Some((vec![transpose, reshape], rows.clone(), [heads, head]))
}

/// The factor of a product, and what it scales.
fn scaled(nodes: &Nodes<'_>, node: &NodeProto) -> Option<(f32, String)> {
    let [a, b] = &node.input[..] else { return None };
    if let Some(factor) = scalar(nodes, b) {
        return Some((factor, a.clone()));
    }
    Some((scalar(nodes, a)?, b.clone()))
}
