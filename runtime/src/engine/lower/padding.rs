//! Rows of padding that nothing reads are not computed.
//!
//! A mask says which rows of an encoder are real. Attention leaves masked keys out, what follows weighs masked rows with 0, and
//! in between rows do not meet: what the masked ones hold makes no difference. This pass proves it for one graph and hands the
//! mask to the operations it has proven it for. They compute the rows up to the last real one; results are the same, bit for bit.

use std::collections::HashSet;

use hilbert_kernels::{Layout, masked_below};
use tract_onnx::pb::NodeProto;

use super::gelu::other_input;
use super::nodes::Nodes;
use super::weights::{integers, scalar};
use super::{Kernel, Lowered};

/// Which rows of an output an operation computes: `factor` times those up to the last that counts, and `more`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Padding {
    /// Rows that count are rounded up to a multiple of this: rows that meet later are computed together.
    pub(in crate::engine) multiple: usize,
    pub(in crate::engine) factor: usize,
    pub(in crate::engine) more: usize,
}

impl Padding {
    /// Rows to compute, at least: `bias` is 0, or far below for rows that do not count.
    pub(in crate::engine) fn rows(self, bias: &[f32]) -> usize {
        let masked = masked_below(bias);
        let is_masked = |bias: &f32| *bias < masked;
        let last =
            bias.iter().rposition(|bias| !is_masked(bias)).map_or(bias.len(), |last| last + 1);
        last.next_multiple_of(self.multiple) * self.factor + self.more
    }
}

/// A mask of rows, and the operations on these rows whose masked rows nothing reads.
struct Space {
    mask: String,
    /// What is added to the scores of keys: 0, or far below for masked rows.
    bias: String,
    multiple: usize,
    members: HashSet<usize>,
}

/// Finds what computes padding in vain, and hands it the mask.
pub(super) fn skip(nodes: &mut Nodes<'_>, lowered: &mut [Lowered]) {
    let mut spaces: Vec<Space> = Vec::new();
    // The last first: rows of one mask may be halved to those of another.
    let mut attentions: Vec<usize> = lowered
        .iter()
        .filter(|one| matches!(one.kernel, Kernel::Attention(_)))
        .map(|one| one.node)
        .collect();
    attentions.sort_by_cached_key(|&node| std::cmp::Reverse(nodes.position(node)));
    for node in attentions {
        let Some(bias) = nodes.node(node).and_then(|node| node.input.get(3)).cloned() else {
            continue;
        };
        if spaces.iter().any(|space| space.bias == bias) {
            continue;
        }
        let Some(mask) = mask_of(nodes, &bias) else { continue };
        let mut space = Space { mask, bias, multiple: 1, members: HashSet::new() };
        space.grow(nodes, lowered);
        space.prune(nodes, &spaces);
        spaces.push(space);
    }
    for space in &spaces {
        for i in 0..lowered.len() {
            if space.members.contains(&lowered[i].node) && lowered[i].padding.is_none() {
                let padding = Padding { multiple: space.multiple, factor: 1, more: 0 };
                hand(nodes, &mut lowered[i], &space.bias, padding);
                skip_before(nodes, lowered, i, &space.bias, padding);
            }
        }
    }
}

/// Hands the mask to an operation.
fn hand(nodes: &mut Nodes<'_>, one: &mut Lowered, bias: &str, padding: Padding) {
    one.padding = Some(padding);
    nodes.add_input(one.node, bias);
}

/// The convolution that only convolution `i` reads computes the frames that the rows of that one see.
fn skip_before(
    nodes: &mut Nodes<'_>,
    lowered: &mut [Lowered],
    i: usize,
    bias: &str,
    padding: Padding,
) {
    let Kernel::Convolution { convolution, from: Layout::Frames, .. } = &lowered[i].kernel else {
        return;
    };
    let (stride, reach) = (convolution.stride(), convolution.reach());
    let Some(giver) = nodes.sole_giver(lowered[i].node) else { return };
    let Some(before) = lowered.iter_mut().find(|one| one.node == giver) else { return };
    if matches!(before.kernel, Kernel::Convolution { to: Layout::Frames, .. })
        && before.padding.is_none()
    {
        let padding = Padding { factor: stride, more: reach.saturating_sub(stride), ..padding };
        hand(nodes, before, bias, padding);
    }
}

impl Space {
    /// Takes in every operation on rows that its attentions are connected with.
    fn grow(&mut self, nodes: &Nodes<'_>, lowered: &[Lowered]) {
        let is_attention = |one: &&Lowered| matches!(one.kernel, Kernel::Attention(_));
        let attentions = lowered.iter().filter(is_attention).map(|one| one.node);
        let mut left: Vec<usize> = attentions.filter(|&i| self.is_bias_of(nodes, i)).collect();
        while let Some(i) = left.pop() {
            let Some(node) = nodes.node(i).filter(|_| self.members.insert(i)) else { continue };
            // Of a convolution's rows each is made of several others.
            if !is_convolution(lowered, i) {
                let givers = node.input.iter().filter_map(|input| nodes.giver_of(input));
                left.extend(givers.filter(|&i| self.is_by_row(nodes, lowered, i)));
            }
            let takers = node.output.iter().flat_map(|output| nodes.takers(output)).copied();
            let is_by_row =
                |&i: &usize| !is_convolution(lowered, i) && self.is_by_row(nodes, lowered, i);
            left.extend(takers.filter(is_by_row));
        }
    }

    /// Whether node `i` computes each row of its output by itself, a convolution from several rows, others from the same one,
    /// attention from all rows that this mask keeps.
    fn is_by_row(&self, nodes: &Nodes<'_>, lowered: &[Lowered], i: usize) -> bool {
        let kernel = lowered.iter().find(|one| one.node == i).map(|one| &one.kernel);
        match kernel {
            Some(Kernel::Convolution { to, .. }) => *to == Layout::Frames,
            Some(Kernel::Attention(_)) => self.is_bias_of(nodes, i),
            Some(Kernel::Table { .. }) => false,
            Some(_) => true,
            None => ["Add", "Sub", "Mul"]
                .iter()
                .any(|operation| nodes.operation(i, operation).is_some()),
        }
    }

    /// Whether the attention that is node `i` leaves out what this mask does.
    fn is_bias_of(&self, nodes: &Nodes<'_>, i: usize) -> bool {
        nodes.node(i).is_some_and(|node| node.input.get(3) == Some(&self.bias))
    }

    /// Leaves out operations whose masked rows something reads, until none is left.
    fn prune(&mut self, nodes: &Nodes<'_>, spaces: &[Self]) {
        loop {
            let mut multiple = 1;
            let mut is_read = |i: &usize| {
                let Some([output]) = nodes.node(*i).map(|node| &node.output[..]) else {
                    return true;
                };
                nodes.is_kept(output)
                    || nodes.takers(output).iter().any(|&taker| {
                        if self.members.contains(&taker) || self.is_masked(nodes, taker, output) {
                            return false;
                        }
                        let halves = self.halved(nodes, taker, spaces);
                        multiple = multiple.max(halves.unwrap_or(1));
                        halves.is_none()
                    })
            };
            let read: Vec<usize> = self.members.iter().copied().filter(|i| is_read(i)).collect();
            self.multiple = multiple;
            if read.is_empty() {
                return;
            }
            self.members.retain(|i| !read.contains(i));
        }
    }

    /// Whether node `i` gives masked rows of `value` the weight 0.
    fn is_masked(&self, nodes: &Nodes<'_>, i: usize, value: &str) -> bool {
        if let Some(node) = nodes.operation(i, "MatMul") {
            // mask / count times the rows
            let [weights, rows] = &node.input[..] else { return false };
            let divided = nodes.giver(weights, "Div").and_then(|(_, node)| node.input.first());
            return rows == value && divided == Some(&self.mask);
        }
        let Some(other) = nodes.operation(i, "Mul").and_then(|node| other_input(node, value))
        else {
            return false;
        };
        // the rows times the mask as a column
        let Some((_, reshape)) = nodes.giver(other, "Reshape") else { return false };
        let [mask, shape] = &reshape.input[..] else { return false };
        *mask == self.mask && matches!(integers(nodes, shape).as_deref(), Some([_, 1]))
    }

    /// The multiple of rows that count where node `i` takes the mean of pairs of rows, for operations that read no more of
    /// them than is computed.
    fn halved(&self, nodes: &Nodes<'_>, i: usize, spaces: &[Self]) -> Option<usize> {
        let reshape = nodes.operation(i, "Reshape")?;
        let [_, 2, _] = integers(nodes, reshape.input.get(1)?)?[..] else { return None };
        let (_, mean) = nodes.taker(reshape.output.first()?, "ReduceMean")?;
        let axes = super::weights::ints(mean, "axes")?;
        let is_flat = super::weights::int(mean, "keepdims") == Some(0);
        let rows = mean.output.first()?;
        let space = spaces.iter().find(|space| is_every_second(nodes, &space.mask, &self.mask))?;
        let within = !nodes.takers(rows).is_empty()
            && nodes.takers(rows).iter().all(|taker| space.members.contains(taker));
        (axes == [1] && is_flat && within).then_some(2 * space.multiple)
    }
}

fn is_convolution(lowered: &[Lowered], i: usize) -> bool {
    lowered.iter().any(|one| one.node == i && matches!(one.kernel, Kernel::Convolution { .. }))
}

/// The mask of which `bias` is `(mask - 1) * 10000` or so.
fn mask_of(nodes: &Nodes<'_>, bias: &str) -> Option<String> {
    let (_, product) = nodes.giver(bias, "Mul")?;
    let (shifted, factor) = with_scalar(nodes, product)?;
    let (_, difference) = nodes.giver(shifted, "Sub")?;
    let [mask, one] = &difference.input[..] else { return None };
    let is_shifted = scalar(nodes, one).is_some_and(|one| one.to_bits() == 1.0_f32.to_bits());
    // Attention leaves out what the mask has as 0.
    (is_shifted && -factor < masked_below(&[0.0])).then(|| mask.clone())
}

fn with_scalar<'a>(nodes: &Nodes<'_>, node: &'a NodeProto) -> Option<(&'a str, f32)> {
    let [a, b] = &node.input[..] else { return None };
    scalar(nodes, b).map(|factor| (&**a, factor)).or_else(|| Some((&**b, scalar(nodes, a)?)))
}

/// Whether `value` is every second column of `mask`, the first among them.
fn is_every_second(nodes: &Nodes<'_>, value: &str, mask: &str) -> bool {
    let Some((_, slice)) = nodes.giver(value, "Slice") else { return false };
    let [of, start, _, _, step] = &slice.input[..] else { return false };
    let is = |value: &str, number| integers(nodes, value).is_some_and(|values| values == [number]);
    of == mask && is(start, 0) && is(step, 2)
}
