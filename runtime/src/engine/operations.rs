//! What a loaded graph is made of: proof of what is computed in which form.

use serde::Serialize;
use tract_core::internal::{DimLike, TypedModel, TypedNode};
use tract_core::ops::konst::Const;
use tract_core::ops::source::TypedSource;

use super::kernel::{KernelOp, Part};

/// One operation of a graph as the engine has read it; tract may fuse some of its own further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Name of its node: of the value that it gives, or the engine's own.
    pub name: String,
    /// What it computes, such as `linear`, or the engine's name for it.
    pub operation: String,
    /// What computes it: the instruction set of our kernel, or `tract`.
    pub kernel: String,
    /// In what its products are computed.
    pub arithmetic: Arithmetic,
    /// Bytes of the constants that it holds in memory, scales and bias included.
    pub weight_bytes: usize,
}

/// In what products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    /// Products of 8-bit integers, summed in 32 bits.
    Int8,
    /// Products of levels of 12 bits in 16-bit integers, summed in 32 bits.
    Int16,
    /// 32-bit floats, and whole numbers such as shapes.
    F32,
}

/// The operations of `model` in its order, without inputs and constants.
pub(super) fn of(model: &TypedModel) -> Vec<Operation> {
    let is_computed = |node: &&TypedNode| !node.op_is::<Const>() && !node.op_is::<TypedSource>();
    model.nodes().iter().filter(is_computed).flat_map(|node| of_node(model, node)).collect()
}

fn of_node(model: &TypedModel, node: &TypedNode) -> Vec<Operation> {
    let Some(KernelOp { kernel, isa, values, .. }) = node.op_as() else {
        return vec![of_tract(model, node)];
    };
    let parts = kernel.parts().into_iter().zip(values.iter());
    let operation = |(part, value): (Part, &String)| Operation {
        name: value.clone(),
        operation: part.name.to_owned(),
        kernel: isa.to_string(),
        arithmetic: part.arithmetic,
        weight_bytes: part.weight_bytes,
    };
    parts.map(operation).collect()
}

fn of_tract(model: &TypedModel, node: &TypedNode) -> Operation {
    let constants = node.inputs.iter().filter_map(|&input| {
        let fact = model.outlet_fact(input).ok()?;
        fact.konst.as_ref()?;
        fact.mem_size().to_usize().ok()
    });
    Operation {
        name: node.name.clone(),
        operation: node.op.name().into_owned(),
        kernel: "tract".to_owned(),
        arithmetic: Arithmetic::F32,
        weight_bytes: constants.sum(),
    }
}
