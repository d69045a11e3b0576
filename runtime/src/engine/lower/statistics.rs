//! Means and deviations of rows, `concat(w x, sqrt(max(w (x - w x)^2, floor)))`, and rows times a column.

use super::gelu::other_input;
use super::nodes::Nodes;
use super::weights::{int, integers, scalar};
use super::{Kernel, Lowered};

/// Lowers the statistics that node `i` joins.
pub(super) fn pooling(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let concat = nodes.operation(i, "Concat")?;
    let [mean, deviation] = &concat.input[..] else { return None };
    if int(concat, "axis")? != 1 {
        return None;
    }
    let (of_mean, node) = nodes.giver(mean, "MatMul")?;
    let [weights, x] = &node.input[..] else { return None };
    let (root, node) = nodes.giver(deviation, "Sqrt")?;
    let (largest, node) = nodes.giver(node.input.first()?, "Max")?;
    let (variance, floor) = node.input.iter().find_map(|value| {
        let (of_variance, _) = nodes.giver(value, "MatMul")?;
        Some((of_variance, scalar(nodes, other_input(node, value)?)?))
    })?;
    let node = nodes.operation(variance, "MatMul")?;
    let [of_squares, squares] = &node.input[..] else { return None };
    let (square, node) = nodes.giver(squares, "Mul")?;
    let [from_mean, again] = &node.input[..] else { return None };
    let (difference, node) = nodes.giver(from_mean, "Sub")?;
    let fits = of_squares == weights
        && from_mean == again
        && node.input == [x.as_str(), mean.as_str()]
        && nodes.giver(weights, "Div").is_some();
    let gone = [difference, square, variance, largest, root, of_mean, i];
    if !fits || !gone[..6].iter().all(|&node| are_all_takers(nodes, node, &gone)) {
        return None;
    }
    let inputs = vec![x.clone(), weights.clone()];
    let output = concat.output.first()?.clone();
    Some(Lowered::replace(nodes, &gone, inputs, output, Kernel::Statistics { floor }))
}

/// Lowers node `i`, the mean of a kernel's rows by weights that are a quotient.
pub(super) fn mean(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let node = nodes.operation(i, "MatMul")?;
    let [weights, x] = &node.input[..] else { return None };
    if nodes.giver(weights, "Div").is_none() || !nodes.is_of_kernel(x) {
        return None;
    }
    let (inputs, output) = (vec![x.clone(), weights.clone()], node.output.first()?.clone());
    Some(Lowered::replace(nodes, &[i], inputs, output, Kernel::Mean))
}

/// Whether nobody but `takers` takes what node `i` gives.
fn are_all_takers(nodes: &Nodes<'_>, i: usize, takers: &[usize]) -> bool {
    let output = nodes.node(i).and_then(|node| node.output.first());
    output.is_some_and(|output| {
        let found = nodes.takers(output);
        !found.is_empty() && found.iter().all(|taker| takers.contains(taker))
    })
}

/// Lowers node `i`, the product of a kernel's rows with a column.
pub(super) fn scaled_rows(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let node = nodes.operation(i, "Mul")?;
    let (x, column) = node.input.iter().find_map(|column| {
        let (_, reshape) = nodes.giver(column, "Reshape")?;
        let [rows, 1] = integers(nodes, reshape.input.get(1)?)?[..] else { return None };
        (rows > 1).then_some(())?;
        Some((other_input(node, column)?.to_owned(), column.clone()))
    })?;
    if !nodes.is_of_kernel(&x) {
        return None;
    }
    let output = node.output.first()?.clone();
    Some(Lowered::replace(nodes, &[i], vec![x, column], output, Kernel::ScaledRows))
}
