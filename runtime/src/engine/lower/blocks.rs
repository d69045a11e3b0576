//! Kernels of which one alone takes what the other gives become one, which holds what is between them of some rows at a time: the two
//! layers of a feed-forward network, the two convolutions before an encoder's layers, the projections of self-attention.

use hilbert_kernels::{Activation, Contraction, FeedForward, Layout, Linear, SelfAttention};

use super::nodes::Nodes;
use super::{Kernel, Lowered};

/// Joins what belongs together.
pub(super) fn join(nodes: &mut Nodes<'_>, lowered: Vec<Lowered>) -> Vec<Lowered> {
    let mut left: Vec<Option<Lowered>> = lowered.into_iter().map(Some).collect();
    for second in 0..left.len() {
        let both = left[second].as_ref().and_then(|one| {
            let first = giver(nodes, &left, one)?;
            Some((first, joined(nodes, left[first].as_ref()?, one)?))
        });
        if let Some((first, both)) = both {
            (left[first], left[second]) = (None, Some(both));
        }
    }
    left.into_iter().flatten().collect()
}

/// The number of the one that gives what `second` takes first, if nothing else takes any of it.
fn giver(nodes: &Nodes<'_>, all: &[Option<Lowered>], second: &Lowered) -> Option<usize> {
    let node = nodes.giver_of(second.inputs(nodes).first()?)?;
    let is_for_it = |output: &String| nodes.takers(output) == [second.node];
    let outputs = nodes.node(node).map_or(&[][..], |node| &node.output);
    all.iter()
        .position(|one| one.as_ref().is_some_and(|one| one.node == node))
        .filter(|_| outputs.iter().all(is_for_it))
}

/// Both in one, if they fit.
fn joined(nodes: &mut Nodes<'_>, first: &Lowered, second: &Lowered) -> Option<Lowered> {
    let of_first = first.own_inputs(nodes).to_vec();
    let of_second = second.own_inputs(nodes).to_vec();
    let outputs = nodes.node(first.node).map_or(Vec::new(), |node| node.output.clone());
    let is_as_long = first.padding == second.padding;
    let (kernel, mut inputs) = match (&first.kernel, &second.kernel, &of_first[..], &of_second[..])
    {
        (
            Kernel::Linear { norm, layers },
            Kernel::Linear { norm: None, .. } | Kernel::WordLinear { .. },
            [x],
            [_, residual @ ..],
        ) if is_as_long => {
            let ([(expand, activation)], Some((contract, last))) =
                (&layers[..], contraction(&second.kernel))
            else {
                return None;
            };
            let in_place = residual.first() == Some(x);
            let (norm, expand) = (norm.clone(), expand.clone());
            let layers = FeedForward { norm, expand, activation: *activation, contract, last };
            let residual = residual.iter().filter(|_| !in_place).cloned();
            (
                Kernel::FeedForward { layers, in_place },
                std::iter::once(x.clone()).chain(residual).collect::<Vec<_>>(),
            )
        }
        (
            Kernel::Linear { norm, layers },
            Kernel::Attention(attention),
            [x],
            [projections @ .., bias],
        ) if is_as_long && outputs == projections => {
            let square = |(linear, activation): &(Linear, Activation)| {
                let fits = linear.inputs() == linear.outputs();
                (fits && *activation == Activation::Identity).then(|| linear.clone())
            };
            let layers: Option<Vec<Linear>> = layers.iter().map(square).collect();
            let Some(Ok([query, key, value])) = layers.map(<[Linear; 3]>::try_from) else {
                return None;
            };
            let (norm, attention) = (norm.clone(), *attention);
            let layers = SelfAttention { norm, query, key, value, attention };
            (Kernel::SelfAttention(layers), vec![x.clone(), bias.clone()])
        }
        (
            Kernel::Convolution { convolution: one, activation: between, from, to: Layout::Frames },
            Kernel::Convolution {
                convolution: other,
                activation: last,
                from: Layout::Frames,
                to: Layout::Frames,
            },
            [x],
            [_],
        ) => {
            let layers = [(one.clone(), *between), (other.clone(), *last)];
            (Kernel::Convolutions { layers, from: *from }, vec![x.clone()])
        }
        _ => return None,
    };
    let all = nodes.node(second.node);
    inputs.extend(
        all.and_then(|node| node.input.last()).filter(|_| second.padding.is_some()).cloned(),
    );
    let output = all.map_or(Vec::new(), |node| node.output.clone());
    let values = first.values.iter().chain(&second.values).cloned().collect();
    let node = nodes.replace(&[first.node, second.node], inputs, output);
    Some(Lowered { node, kernel, padding: second.padding, values })
}

/// The one layer of a kernel, and what is done to its sums.
fn contraction(kernel: &Kernel) -> Option<(Contraction, Activation)> {
    match kernel {
        Kernel::Linear { norm: None, layers } => match &layers[..] {
            [(linear, activation)] => Some((Contraction::Levels(linear.clone()), *activation)),
            _ => None,
        },
        Kernel::WordLinear { linear, activation } => {
            Some((Contraction::Words(linear.clone()), *activation))
        }
        _ => None,
    }
}
