//! `Conv` over time by an int8 constant, with the Gelu that follows, and without the transpositions around it.

use hilbert_kernels::{Activation, Convolution, Layout, Panels};
use tract_onnx::pb::NodeProto;

use super::nodes::Nodes;
use super::weights::{Quantised, int, integers, ints, quantised, vector};
use super::{Kernel, Lowered, gelu};

/// Lowers the convolution that is node `i`.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let node = nodes.operation(i, "Conv")?;
    let [x, weights, bias @ ..] = &node.input[..] else { return None };
    let Quantised { levels, shape, scales, axis: 0, in_panels } = quantised(nodes, weights)? else {
        return None;
    };
    let &[outputs, inputs, width] = &shape[..] else { return None };
    let all_ones = |name| ints(node, name).is_none_or(|values| values.iter().all(|v| *v == 1));
    if int(node, "group").unwrap_or(1) != 1 || !all_ones("dilations") || has_automatic_pads(node) {
        return None;
    }
    let number = |value: &i64| usize::try_from(*value).ok();
    let stride =
        ints(node, "strides").map_or(Some(1), |strides| strides.first().and_then(number))?;
    let pads = match ints(node, "pads") {
        None => [0; 2],
        Some([before, behind]) => [number(before)?, number(behind)?],
        Some(_) => return None,
    };
    let bias = match bias {
        [] => Vec::new(),
        [bias] => vector(nodes, bias, outputs)?,
        _ => return None,
    };
    let panels = if in_panels {
        Panels::packed([width * inputs, outputs], levels).ok()?
    } else {
        let level = |i| levels.get(i).copied().unwrap_or(0_u8).cast_signed();
        Panels::pack_windows([outputs, inputs, width], level)
    };
    let convolution = Convolution::new(panels, inputs, stride, pads, &scales, &bias).ok()?;

    let (mut gone, mut output) = (vec![i], node.output.first()?.clone());
    let mut activation = Activation::Identity;
    if let Some((nodes_of_gelu, active)) = gelu::of(nodes, &output) {
        activation = Activation::Gelu;
        gone.extend(nodes_of_gelu);
        output = active;
    }
    let (mut from, mut to) = (Layout::Channels, Layout::Channels);
    let mut x = x.clone();
    if let Some(rows) = transposed_rows(nodes, &x) {
        (x, from) = (rows, Layout::Frames);
    }
    if let Some((between, rows)) = rows_behind(nodes, &output) {
        gone.extend(between);
        (output, to) = (rows, Layout::Frames);
    }
    let kernel = Kernel::Convolution { convolution, activation, from, to };
    Some(Lowered::replace(nodes, &gone, vec![x], output, kernel))
}

/// Lets each convolution whose output another takes, and nobody else, hand it frame after frame.
pub(super) fn join(nodes: &Nodes<'_>, lowered: &mut [Lowered]) {
    for i in 0..lowered.len() {
        let Kernel::Convolution { from: Layout::Channels, .. } = lowered[i].kernel else {
            continue;
        };
        let Some(giver) = nodes.sole_giver(lowered[i].node) else { continue };
        let Some(before) = lowered.iter_mut().find(|one| one.node == giver) else { continue };
        let Kernel::Convolution { to, .. } = &mut before.kernel else { continue };
        if *to == Layout::Channels {
            *to = Layout::Frames;
            if let Kernel::Convolution { from, .. } = &mut lowered[i].kernel {
                *from = Layout::Frames;
            }
        }
    }
}

fn has_automatic_pads(node: &NodeProto) -> bool {
    super::weights::text(node, "auto_pad").is_some_and(|form| form != b"NOTSET")
}

/// The matrix `[T, channels]` of which `value`, `[1, channels, T]`, is the transposed one.
fn transposed_rows(nodes: &Nodes<'_>, value: &str) -> Option<String> {
    let (_, reshape) = nodes.giver(value, "Reshape")?;
    let [transposed, shape] = &reshape.input[..] else { return None };
    let [1, _, _] = integers(nodes, shape)?[..] else { return None };
    let (_, transpose) = nodes.giver(transposed, "Transpose")?;
    (ints(transpose, "perm")? == [1, 0]).then(|| transpose.input.first().cloned())?
}

/// The matrix `[T, channels]` that is made of `value`, `[1, channels, T]`, and nothing else, and the nodes that make it.
fn rows_behind(nodes: &Nodes<'_>, value: &str) -> Option<(Vec<usize>, String)> {
    let (i, reshape) = nodes.taker(value, "Reshape")?;
    let [_, _] = integers(nodes, reshape.input.get(1)?)?[..] else { return None };
    let (j, transpose) = nodes.taker(reshape.output.first()?, "Transpose")?;
    (ints(transpose, "perm")? == [1, 0])
        .then(|| Some((vec![i, j], transpose.output.first()?.clone())))?
}
