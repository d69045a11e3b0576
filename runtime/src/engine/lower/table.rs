//! An int8 constant that is no factor of a product, such as positions: kept as int8, unfolded while the graph runs.

use super::gelu::other_input;
use super::nodes::Nodes;
use super::weights::{Quantised, quantised};
use super::{Kernel, Lowered};

/// A smaller one is not worth an operation.
const SMALLEST: usize = 4096;

/// Lowers the table that node `i` unfolds, where anything takes it still.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let output = nodes.operation(i, "DequantizeLinear")?.output.first()?.clone();
    if nodes.takers(&output).is_empty() {
        return None;
    }
    let Quantised { levels, shape, scales, axis } = quantised(nodes, &output)?;
    if levels.len() < SMALLEST {
        return None;
    }
    let kernel = Kernel::Table { levels, scales, shape, axis };
    Some(Lowered::replace(nodes, &[i], Vec::new(), output, kernel))
}

/// Lets each table that is added to a kernel's rows, and has no other use, add itself.
pub(super) fn add(nodes: &mut Nodes<'_>, lowered: &mut [Lowered]) {
    for one in lowered {
        if let Some((sum, rows, output)) = sum_of(nodes, one) {
            one.node = nodes.replace(&[one.node, sum], vec![rows], vec![output.clone()]);
            one.values = vec![output];
        }
    }
}

/// The node that adds a table to a kernel's rows, the rows, and the sum.
fn sum_of(nodes: &Nodes<'_>, table: &Lowered) -> Option<(usize, String, String)> {
    let Kernel::Table { .. } = table.kernel else { return None };
    let value = nodes.node(table.node)?.output.first()?;
    let (i, node) = nodes.taker(value, "Add")?;
    let rows = other_input(node, value)?;
    nodes.is_of_kernel(rows).then(|| Some((i, rows.to_owned(), node.output.first()?.clone())))?
}
