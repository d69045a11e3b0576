//! `LayerNormalization` over the last dimension by constants.

use hilbert_kernels::LayerNorm;

use super::nodes::Nodes;
use super::weights::{float, floats, int};
use super::{Kernel, Lowered};

/// Lowers the layer norm that is node `i`.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let node = nodes.operation(i, "LayerNormalization")?;
    let ([x, scale, bias], [output]) = (&node.input[..], &node.output[..]) else { return None };
    let vector =
        |name| nodes.constant(name).filter(|one| one.tensor.dims.len() == 1).and_then(floats);
    let (scale, bias) = (vector(scale)?, vector(bias)?);
    if int(node, "axis").unwrap_or(-1) != -1 {
        return None;
    }
    let epsilon = float(node, "epsilon").unwrap_or(1e-5);
    let (x, output) = (x.clone(), output.clone());
    let norm = LayerNorm::new(scale, bias, epsilon).ok()?;
    Some(Lowered::replace(nodes, &[i], vec![x], output, Kernel::LayerNorm(norm)))
}
