//! Int8 layers that take the same rows become one kernel: it rounds the rows once, and normalises them if nobody else takes
//! what the norm gives.

use super::nodes::Nodes;
use super::{Kernel, Lowered};

/// Joins the layers that take the same rows, as many of them, and with them the norm that only they take.
pub(super) fn join(nodes: &mut Nodes<'_>, lowered: Vec<Lowered>) -> Vec<Lowered> {
    let is_norm = |one: &Lowered| matches!(one.kernel, Kernel::LayerNorm(_));
    let (norms, others): (Vec<_>, Vec<_>) = lowered.into_iter().partition(is_norm);
    let mut joined: Vec<Lowered> = Vec::new();
    for one in others {
        match joined.iter_mut().find(|other| are_siblings(nodes, other, &one)) {
            Some(other) => other.take(nodes, one),
            None => joined.push(one),
        }
    }
    for norm in norms {
        match joined.iter_mut().find(|layers| is_only_for(nodes, &norm, layers)) {
            Some(layers) => layers.normalise(nodes, norm),
            None => joined.push(norm),
        }
    }
    joined
}

/// Whether both are layers without a residual that take the same rows, and as many of them.
fn are_siblings(nodes: &Nodes<'_>, one: &Lowered, other: &Lowered) -> bool {
    takes_rows_alone(nodes, one)
        && takes_rows_alone(nodes, other)
        && one.inputs(nodes) == other.inputs(nodes)
        && one.padding == other.padding
}

/// Whether the layers are the only ones that take what `norm` gives, and as many of its rows.
fn is_only_for(nodes: &Nodes<'_>, norm: &Lowered, layers: &Lowered) -> bool {
    let output = nodes.node(norm.node).and_then(|node| node.output.first());
    let ([_, of_norm @ ..], [x, of_layers @ ..]) = (norm.inputs(nodes), layers.inputs(nodes))
    else {
        return false;
    };
    takes_rows_alone(nodes, layers)
        && output == Some(x)
        && nodes.takers(x) == [layers.node]
        && of_norm == of_layers
        && norm.padding == layers.padding
}

fn takes_rows_alone(nodes: &Nodes<'_>, one: &Lowered) -> bool {
    matches!(one.kernel, Kernel::Linear { norm: None, .. }) && one.own_inputs(nodes).len() == 1
}

impl Lowered {
    /// Takes in the layers of a sibling.
    fn take(&mut self, nodes: &mut Nodes<'_>, sibling: Self) {
        if let (Kernel::Linear { layers, .. }, Kernel::Linear { layers: others, .. }) =
            (&mut self.kernel, sibling.kernel)
        {
            layers.extend(others);
            self.values.extend(sibling.values);
            let inputs = self.inputs(nodes).to_vec();
            self.node = nodes.replace(&[self.node, sibling.node], inputs, self.values.clone());
        }
    }

    /// Takes in the norm before its layers.
    fn normalise(&mut self, nodes: &mut Nodes<'_>, before: Self) {
        if let (Kernel::Linear { norm, .. }, Kernel::LayerNorm(of_rows)) =
            (&mut self.kernel, before.kernel)
        {
            *norm = Some(of_rows);
            let inputs = nodes.node(before.node).map_or(Vec::new(), |node| node.input.clone());
            self.node = nodes.replace(&[self.node, before.node], inputs, self.values.clone());
            self.values.splice(..0, before.values);
        }
    }
}
