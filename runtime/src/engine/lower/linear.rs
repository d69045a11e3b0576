//! `MatMul` or `Gemm` by a constant, int8 or float, with the bias, the Gelu and the residual that follow.

use hilbert_kernels::{Activation, Linear, Panels, WordLinear};

use super::gelu::{self, other_input};
use super::nodes::Nodes;
use super::weights::{Quantised, float, floats, int, quantised, shape, vector};
use super::{Kernel, Lowered};

/// Lowers the layer whose product is node `i`.
pub(super) fn lower(nodes: &mut Nodes<'_>, i: usize) -> Option<Lowered> {
    let mut layer = match nodes.operation(i, "MatMul") {
        Some(node) => {
            let [x, weights] = &node.input[..] else { return None };
            Layer::new(i, x, &node.output, Weights::of(nodes, weights)?, false)?
        }
        None => gemm(nodes, i)?,
    };
    layer.follow(nodes);
    let Layer { weights, shape, is_transposed, bias, activation, .. } = layer;
    let [inputs, outputs] = shape;
    let at = |input: usize, output: usize| {
        if is_transposed { output * inputs + input } else { input * outputs + output }
    };
    let kernel = match weights {
        Weights::Int8(Quantised { levels, scales, in_panels, .. }) => {
            let panels = if in_panels {
                Panels::packed(shape, levels).ok()?
            } else {
                let level = |input, output| levels.get(at(input, output)).copied().unwrap_or(0);
                Panels::pack(shape, |input, output| level(input, output).cast_signed())
            };
            let linear = Linear::new(panels, &scales, &bias).ok()?;
            Kernel::Linear { norm: None, layers: vec![(linear, activation)] }
        }
        Weights::F32 { values, .. } => {
            let weight = |input, output| values.get(at(input, output)).copied().unwrap_or(0.0);
            Kernel::WordLinear { linear: WordLinear::pack(shape, weight, &bias).ok()?, activation }
        }
    };
    Some(Lowered::replace(nodes, &layer.gone, layer.inputs, layer.output, kernel))
}

/// The constant of a layer.
enum Weights {
    Int8(Quantised),
    F32 { values: Vec<f32>, shape: Vec<usize> },
}

impl Weights {
    fn of(nodes: &Nodes<'_>, value: &str) -> Option<Self> {
        if let Some(quantised) = quantised(nodes, value) {
            return Some(Self::Int8(quantised));
        }
        let tensor = nodes.constant(value)?;
        Some(Self::F32 { values: floats(tensor)?, shape: shape(tensor.tensor)? })
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Int8(quantised) => &quantised.shape,
            Self::F32 { shape, .. } => shape,
        }
    }

    /// Whether its scales, if it has any, belong to this axis.
    fn is_scaled_by(&self, axis: usize) -> bool {
        match self {
            Self::Int8(quantised) => quantised.axis == axis,
            Self::F32 { .. } => true,
        }
    }
}

/// What is known of a layer so far.
struct Layer {
    weights: Weights,
    /// `[inputs, outputs]`
    shape: [usize; 2],
    /// Whether weights lie as `[outputs, inputs]`.
    is_transposed: bool,
    bias: Vec<f32>,
    activation: Activation,
    /// The rows, and behind them the residual.
    inputs: Vec<String>,
    output: String,
    gone: Vec<usize>,
}

impl Layer {
    fn new(
        i: usize,
        x: &str,
        output: &[String],
        weights: Weights,
        is_transposed: bool,
    ) -> Option<Self> {
        let &[rows, columns] = weights.shape() else { return None };
        // Scales belong to outputs.
        if !weights.is_scaled_by(usize::from(!is_transposed)) {
            return None;
        }
        Some(Self {
            weights,
            shape: if is_transposed { [columns, rows] } else { [rows, columns] },
            is_transposed,
            bias: Vec::new(),
            activation: Activation::Identity,
            inputs: vec![x.to_owned()],
            output: output.first()?.clone(),
            gone: vec![i],
        })
    }

    /// Takes in the nodes behind the product, as far as a kernel does what they do.
    fn follow(&mut self, nodes: &Nodes<'_>) {
        if self.bias.is_empty()
            && let Some((i, node)) = nodes.taker(&self.output, "Add")
            && let Some(other) = other_input(node, &self.output)
            && let Some(bias) = vector(nodes, other, self.shape[1])
            && let Some(output) = node.output.first()
        {
            self.bias = bias;
            self.gone.push(i);
            self.output.clone_from(output);
        }
        if let Some((gone, output)) = gelu::of(nodes, &self.output) {
            self.activation = Activation::Gelu;
            self.gone.extend(gone);
            self.output = output;
        }
        if let Some((i, node)) = nodes.taker(&self.output, "Add")
            && let Some(other) = other_input(node, &self.output)
            && nodes.constant(other).is_none()
            && nodes.giver(other, "DequantizeLinear").is_none()
            && let Some(output) = node.output.first()
        {
            self.inputs.push(other.to_owned());
            self.gone.push(i);
            self.output.clone_from(output);
        }
    }
}

/// `Gemm` without factors and with a bias that is a vector.
fn gemm(nodes: &Nodes<'_>, i: usize) -> Option<Layer> {
    let node = nodes.operation(i, "Gemm")?;
    let is_one =
        |name| float(node, name).is_none_or(|factor| factor.to_bits() == 1.0_f32.to_bits());
    if !is_one("alpha") || !is_one("beta") || int(node, "transA").unwrap_or(0) != 0 {
        return None;
    }
    let [x, weights, bias @ ..] = &node.input[..] else { return None };
    let is_transposed = int(node, "transB").unwrap_or(0) != 0;
    let mut layer = Layer::new(i, x, &node.output, Weights::of(nodes, weights)?, is_transposed)?;
    if let [bias] = bias {
        layer.bias = vector(nodes, bias, layer.shape[1])?;
    }
    Some(layer)
}
