//! Constants of a graph, and what `DequantizeLinear` makes of them.

use std::borrow::Cow;

use hilbert_formats::panels::Panels;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::nodes::Nodes;

// What the format calls panels is what kernels read.
const _: () = assert!(Panels::COLUMNS == hilbert_kernels::Panels::COLUMNS);
const _: () = assert!(Panels::INPUTS == hilbert_kernels::Panels::INPUTS);

/// A constant and its values, which may lie elsewhere.
#[derive(Clone, Copy)]
pub(super) struct Constant<'a> {
    pub(super) tensor: &'a TensorProto,
    /// As in memory, least significant byte first; none where the values are fields of their own.
    pub(super) raw: &'a [u8],
}

/// An int8 constant of which each index of an axis has a scale.
pub(super) struct Quantised {
    /// A signed byte each, where they lie if they are part of the program.
    pub(super) levels: Cow<'static, [u8]>,
    pub(super) shape: Vec<usize>,
    pub(super) scales: Vec<f32>,
    pub(super) axis: usize,
    /// Whether levels lie in panels, and not in the order of the shape.
    pub(super) in_panels: bool,
}

/// What `value` was before `DequantizeLinear`, if it is a constant without a zero point, or panels of one.
pub(super) fn quantised(nodes: &Nodes<'_>, value: &str) -> Option<Quantised> {
    let (_, node) = nodes.giver(value, "DequantizeLinear")?;
    let [levels, scales, zero_point @ ..] = &node.input[..] else { return None };
    let axis_of = |shape: &[usize]| axis(int(node, "axis").unwrap_or(1), shape.len());
    let (constant, shape, in_panels) = match nodes.constant(levels) {
        Some(constant) => (constant, shape(constant.tensor)?, false),
        None => {
            let (constant, shape) = panels(nodes, levels, axis_of)?;
            (constant, shape, true)
        }
    };
    let axis = axis_of(&shape)?;
    let levels = int8(nodes, constant)?;
    let mut scales = floats(nodes.constant(scales)?)?;
    let channels = *shape.get(axis)?;
    if scales.len() == 1 {
        scales = vec![scales[0]; channels];
    }
    let is_zero = |name: &String| {
        name.is_empty()
            || nodes
                .constant(name)
                .and_then(|constant| int8(nodes, constant))
                .is_some_and(|zeros| zeros.iter().all(|z| *z == 0))
    };
    let fits = scales.len() == channels
        && zero_point.iter().all(is_zero)
        && int(node, "block_size").is_none();
    fits.then_some(Quantised { levels, shape, scales, axis, in_panels })
}

/// The constant whose panels are brought into the order of `value`'s shape, and this shape.
fn panels<'a>(
    nodes: &'a Nodes<'_>,
    value: &str,
    axis_of: impl Fn(&[usize]) -> Option<usize>,
) -> Option<(Constant<'a>, Vec<usize>)> {
    let (_, reshape) = nodes.giver(value, "Reshape")?;
    let [transposed, of_weights] = &reshape.input[..] else { return None };
    let (_, transpose) = nodes.giver(transposed, "Transpose")?;
    let constant = nodes.constant(transpose.input.first()?)?;
    let number = |length: i64| usize::try_from(length).ok();
    let of_weights: Vec<usize> =
        integers(nodes, of_weights)?.into_iter().map(number).collect::<Option<_>>()?;
    let panels = Panels::of(&of_weights, axis_of(&of_weights)?)?;
    let permutation = ints(transpose, "perm")?.iter().copied().map(number);
    let is_so = shape(constant.tensor)? == panels.stored()
        && permutation.eq(panels.permutation().iter().copied().map(Some));
    is_so.then_some((constant, of_weights))
}

/// A constant of floats with as many values as its shape says.
pub(super) fn floats(Constant { tensor, raw }: Constant<'_>) -> Option<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        return None;
    }
    let values = if raw.is_empty() {
        tensor.float_data.clone()
    } else {
        raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    (values.len() == count(tensor)?).then_some(values)
}

/// The only value of a constant.
pub(super) fn scalar(nodes: &Nodes<'_>, value: &str) -> Option<f32> {
    match floats(nodes.constant(value)?)?[..] {
        [scalar] => Some(scalar),
        _ => None,
    }
}

/// A vector of floats of this length.
pub(super) fn vector(nodes: &Nodes<'_>, value: &str, len: usize) -> Option<Vec<f32>> {
    let tensor = nodes.constant(value)?;
    (tensor.tensor.dims.len() == 1)
        .then(|| floats(tensor))
        .flatten()
        .filter(|values| values.len() == len)
}

/// The whole numbers of a constant, such as a shape.
pub(super) fn integers(nodes: &Nodes<'_>, value: &str) -> Option<Vec<i64>> {
    let Constant { tensor, raw } = nodes.constant(value)?;
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    let values = if raw.is_empty() {
        tensor.int64_data.clone()
    } else {
        raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    };
    (values.len() == count(tensor)?).then_some(values)
}

/// The integer attribute `name` of a node.
pub(super) fn int(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

/// The attribute `name` of a node, a list of whole numbers.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    attribute(node, name).map(|attribute| &*attribute.ints)
}

/// The float attribute `name` of a node.
pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name).map(|attribute| attribute.f)
}

/// The text attribute `name` of a node.
pub(super) fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [u8]> {
    attribute(node, name).map(|attribute| &*attribute.s)
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An axis counted from the end where it is negative.
fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    usize::try_from(axis).ok()
}

/// A constant of int8, a signed byte each, with as many values as its shape says.
fn int8(nodes: &Nodes<'_>, constant: Constant<'_>) -> Option<Cow<'static, [u8]>> {
    let Constant { tensor, raw } = constant;
    if tensor.data_type != DataType::Int8 as i32 {
        return None;
    }
    let byte = |value: &i32| i8::try_from(*value).ok().map(i8::cast_unsigned);
    let values = if raw.is_empty() {
        tensor.int32_data.iter().map(byte).collect::<Option<Vec<u8>>>()?.into()
    } else {
        nodes.part(constant)
    };
    (values.len() == count(tensor)?).then_some(values)
}

/// The shape of a constant.
pub(super) fn shape(tensor: &TensorProto) -> Option<Vec<usize>> {
    tensor.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect()
}

fn count(tensor: &TensorProto) -> Option<usize> {
    shape(tensor)?.iter().try_fold(1_usize, |count, dim| count.checked_mul(*dim))
}
