//! A graph under construction, and what it is lowered to and computes.

use tract_core::internal::IntoTensor;
use tract_core::prelude::{IntoRunnable, IntoTValue, Tensor, TypedModel};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::prelude::InferenceModelExt;

use crate::engine::Engine;
use crate::engine::kernel::KernelOp;
use crate::engine::load::model_of;
use crate::engine::lower::{File, Held};

/// A graph under construction, of which every value but the constants is an f32 of fixed shape.
#[derive(Clone, Default)]
pub(super) struct Case {
    pub(super) graph: GraphProto,
    inputs: Vec<Vec<usize>>,
}

impl Case {
    pub(super) fn input(mut self, name: &str, shape: &[usize]) -> Self {
        self.graph.input.push(value_info(name, shape));
        self.inputs.push(shape.to_vec());
        self
    }

    pub(super) fn node(self, operation: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(operation, inputs, output, Vec::new())
    }

    pub(super) fn node_with(
        mut self,
        operation: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph.node.push(NodeProto {
            name: format!("{operation} of {output}"),
            op_type: operation.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        self
    }

    pub(super) fn floats(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.graph.initializer.push(constant(name, DataType::Float, shape, raw));
        self
    }

    pub(super) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.graph.initializer.push(constant(name, DataType::Int64, &[values.len()], raw));
        self
    }

    /// An int8 constant `NAME` with a scale for each index of `axis`, unfolded by `DequantizeLinear`.
    pub(super) fn quantised(self, name: &str, shape: &[usize], axis: usize) -> Self {
        self.levels(&format!("{name}.levels"), shape).dequantised(name, shape[axis], axis)
    }

    /// The same of levels in panels, which these dimensions of a `Transpose` bring into the order of the shape.
    pub(super) fn in_panels(
        self,
        name: &str,
        (stored, perm): (&[usize], &[i64]),
        shape: &[usize],
        axis: usize,
    ) -> Self {
        let [panels, transposed, dims, levels] =
            ["panels", "transposed", "dims", "levels"].map(|part| format!("{name}.{part}"));
        let lengths: Vec<i64> = shape.iter().map(|&length| length as i64).collect();
        self.levels(&panels, stored)
            .integers(&dims, &lengths)
            .node_with("Transpose", &[&panels], &transposed, vec![ints("perm", perm)])
            .node("Reshape", &[&transposed, &dims], &levels)
            .dequantised(name, shape[axis], axis)
    }

    fn levels(mut self, name: &str, shape: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        let raw = (0..count).map(|i| u8::try_from(i * 37 % 251).unwrap()).collect();
        self.graph.initializer.push(constant(name, DataType::Int8, shape, raw));
        self
    }

    fn dequantised(self, name: &str, channels: usize, axis: usize) -> Self {
        let scales: Vec<f32> = (0..channels).map(|i| 0.01 + 0.001 * i as f32).collect();
        let (levels, scale) = (format!("{name}.levels"), format!("{name}.scale"));
        self.floats(&scale, &[channels], &scales).node_with(
            "DequantizeLinear",
            &[&levels, &scale],
            name,
            vec![int("axis", axis as i64)],
        )
    }

    pub(super) fn output(mut self, name: &str, shape: &[usize]) -> Self {
        self.graph.output.push(value_info(name, shape));
        self
    }

    /// `y = gelu(x)` as opset 17 spells it, the half taken of `x` or of the product.
    pub(super) fn gelu(self, x: &str, y: &str, half_of_product: bool) -> Self {
        let case = self
            .floats("root", &[], &[0.5_f32.sqrt()])
            .floats("one", &[], &[1.0])
            .floats("half", &[], &[0.5])
            .node("Mul", &[x, "root"], "scaled")
            .node("Erf", &["scaled"], "erf")
            .node("Add", &["erf", "one"], "sum");
        if half_of_product {
            case.node("Mul", &[x, "sum"], "product").node("Mul", &["product", "half"], y)
        } else {
            case.node("Mul", &[x, "half"], "halved").node("Mul", &["halved", "sum"], y)
        }
    }

    pub(super) fn model(&self, engine: Engine, taps: &[&str]) -> TypedModel {
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        let proto = ModelProto {
            ir_version: 8,
            opset_import: vec![opset],
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        };
        let held = Held::new(File::Bytes(&[]), Vec::new());
        model_of(proto, &held, taps, engine).unwrap().into_typed().unwrap()
    }

    /// The kernels by name, after both forms were found to give the same numbers.
    pub(super) fn kernels(&self) -> Vec<&'static str> {
        let lowered = self.model(Engine::detect(), &[]);
        let kernels = kernels_of(&lowered);
        let [found, expected] =
            [lowered, self.model(Engine::Float, &[])].map(|model| self.run(model));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.shape(), expected.shape());
            found
                .close_enough(expected, true)
                .unwrap_or_else(|error| panic!("{kernels:?}: {error}"));
        }
        kernels
    }

    /// What the kernels' numbers differ by from stock tract's, as a share of the power of these.
    pub(super) fn noise(&self) -> f32 {
        let [found, expected] = [Engine::detect(), Engine::Float].map(|engine| {
            let value = self.run(self.model(engine, &[])).remove(0);
            value.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
        });
        assert_eq!(found.len(), expected.len());
        let signal: f32 = expected.iter().map(|e| e * e).sum();
        let noise: f32 = found.iter().zip(&expected).map(|(f, e)| (f - e) * (f - e)).sum();
        noise / signal
    }

    pub(super) fn run(&self, model: TypedModel) -> Vec<Tensor> {
        let inputs = self.inputs.iter().map(|shape| {
            let width = shape[shape.len() - 1];
            let count = shape.iter().product::<usize>();
            let value = |i: usize| {
                if i.is_multiple_of(width) { 127.0 } else { (i * 53 % 201) as f32 - 100.0 }
            };
            let values: Vec<f32> = (0..count).map(value).collect();
            Tensor::from_shape(shape, &values).unwrap().into_tvalue()
        });
        let plan = model.into_optimized().unwrap().into_runnable().unwrap();
        plan.run(inputs.collect()).unwrap().into_iter().map(|value| value.into_tensor()).collect()
    }
}

pub(super) fn kernels_of(model: &TypedModel) -> Vec<&'static str> {
    let kernel =
        |node: &tract_core::internal::TypedNode| Some(node.op_as::<KernelOp>()?.kernel.name());
    let mut names: Vec<_> = model.nodes().iter().filter_map(kernel).collect();
    names.sort_unstable();
    names
}

pub(super) fn constant(
    name: &str,
    data_type: DataType,
    shape: &[usize],
    raw_data: Vec<u8>,
) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type: data_type as i32,
        dims: shape.iter().map(|&dim| dim as i64).collect(),
        raw_data,
        ..TensorProto::default()
    }
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = |&dim: &usize| Dimension {
        value: Some(dimension::Value::DimValue(dim as i64)),
        ..Dimension::default()
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let (r#type, ints) = (AttributeType::Ints as i32, values.to_vec());
    AttributeProto { name: name.to_owned(), r#type, ints, ..AttributeProto::default() }
}
