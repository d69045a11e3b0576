//! An int8 constant that is no factor of a product, such as positions or the embeddings of tokens: kept as int8, unfolded while
//! the graph runs.

use hilbert_kernels::Table;
use tract_onnx::pb::tensor_proto::DataType;

use super::gelu::other_input;
use super::nodes::Nodes;
use super::weights::{Quantised, floats, int, quantised, shape};
use super::{Kernel, LookUp, Lowered};

/// A smaller one is not worth an operation.
const SMALLEST: usize = 4096;
/// Up to so many rows every number is a float of its own.
const MOST_ROWS: usize = 1 << 24;

/// Lowers the table, with a scale for each index of its first axis, that node `i` unfolds, where anything takes it still.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let output = nodes.operation(i, "DequantizeLinear")?.output.first()?.clone();
    if nodes.takers(&output).is_empty() {
        return None;
    }
    let Quantised { levels, shape, scales, axis: 0, in_panels: false } = quantised(nodes, &output)?
    else {
        return None;
    };
    if levels.len() < SMALLEST {
        return None;
    }
    let kernel = Kernel::Table { table: Table::new(levels, scales).ok()?, shape };
    Some(Lowered::replace(nodes, &[i], Vec::new(), output, kernel))
}

/// Lowers the choice of rows of an int8 table that node `i` makes, with the choice of their scales and the product of both:
/// `Mul(Cast(Gather(levels, numbers)), Gather(scales, numbers))`.
pub(super) fn look_up(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let node = nodes.operation(i, "Gather")?;
    let [levels, numbers] = &node.input[..] else { return None };
    let levels =
        nodes.constant(levels).filter(|one| one.tensor.data_type == DataType::Int8 as i32)?;
    let &[rows, width] = &shape(levels.tensor)?[..] else { return None };
    let (cast, to_floats) = nodes.taker(node.output.first()?, "Cast")?;
    let chosen = to_floats.output.first()?;
    let (product, by_scale) = nodes.taker(chosen, "Mul")?;
    let (of_scales, scales_node) = nodes.giver(other_input(by_scale, chosen)?, "Gather")?;
    let [scales, same_numbers] = &scales_node.input[..] else { return None };
    let scales = nodes.constant(scales).filter(|one| one.tensor.dims == [rows as i64, 1])?;
    let fits = same_numbers == numbers
        && rows <= MOST_ROWS
        && int(node, "axis").unwrap_or(0) == 0
        && int(scales_node, "axis").unwrap_or(0) == 0
        && int(to_floats, "to") == Some(DataType::Float as i64)
        && nodes.takers(scales_node.output.first()?) == [product];
    if !fits {
        return None;
    }
    // Rows that are no whole number, or fields of their own, are not all there.
    let whole = levels.raw.len() == rows * width;
    let records = whole.then(|| nodes.records(levels, width))?;
    let table = LookUp::new(records, floats(scales)?)?;
    let (numbers, output) = (numbers.clone(), by_scale.output.first()?.clone());
    // Kernels take floats, which are exact up to `MOST_ROWS`.
    let as_floats = nodes.cast(&numbers, DataType::Float);
    let gone = [i, cast, of_scales, product];
    Some(Lowered::replace(nodes, &gone, vec![as_floats], output, Kernel::LookUp(table)))
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
