//! An int8 constant that is no factor of a product, such as positions: kept as int8, unfolded while the graph runs.

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
