//! A kernel as an operation of tract, before and after typing.

use std::sync::Arc;

use hilbert_kernels::Isa;
use tract_core::internal::{
    Datum, DatumExt, DimLike, EvalContext, EvalOp, IntoTValue, IntoTensor, Op, OutletId,
    SpecialOps, StaticName, TDim, TValue, TVec, Tensor, TractErrorContext, TractResult, TypedFact,
    TypedModel, TypedOp, as_op, ensure, not_out_of_plan, op_as_typed_op, tensor0, tvec,
};
use tract_onnx::tract_hir::infer::{InferenceResult, Solver, TensorProxy};
use tract_onnx::tract_hir::ops::expandable::Expansion;

use super::Kernel;
use crate::engine::lower::{Named, Padding};

/// A kernel in a typed model.
#[derive(Debug, Clone)]
pub(in crate::engine) struct KernelOp {
    pub(in crate::engine) kernel: Arc<Kernel>,
    pub(in crate::engine) isa: Isa,
    /// Which rows it computes, if not all: then the last of its inputs is the bias that says which count.
    pub(in crate::engine) padding: Option<Padding>,
    /// Names of the values that its parts compute.
    pub(in crate::engine) values: Arc<[String]>,
}

impl PartialEq for KernelOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel)
            && self.isa == other.isa
            && self.padding == other.padding
    }
}

impl Eq for KernelOp {}

impl KernelOp {
    pub(in crate::engine) fn new(named: Named, isa: Isa) -> Self {
        let Named { name: _, kernel, padding, values } = named;
        Self { kernel: Arc::new(kernel), isa, padding, values: values.into() }
    }

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> TractResult<Vec<Vec<usize>>> {
        let name = self.kernel.name();
        let own = match (self.padding, inputs) {
            (Some(_), [own @ .., _]) => own,
            _ => inputs,
        };
        self.kernel
            .output_shapes(own)
            .filter(|shapes| self.padding.is_none() || shapes.iter().all(|shape| shape.len() == 2))
            .with_context(|| format!("{name}: found inputs of shapes {inputs:?}, which do not fit"))
    }

    /// Computes the first `rows` of `all` rows of `outs`.
    fn run(
        &self,
        inputs: &[&[f32]],
        [rows, all]: [usize; 2],
        shapes: &[Vec<usize>],
        outs: &mut [Tensor],
    ) -> TractResult<()> {
        let mut plain = outs
            .iter_mut()
            .map(|out| out.try_as_plain_ram_mut())
            .collect::<TractResult<TVec<_>>>()?;
        let mut places: TVec<&mut [f32]> = TVec::new();
        for (out, shape) in plain.iter_mut().zip(shapes) {
            let width = shape.last().copied().unwrap_or(1);
            places.push(&mut out.as_slice_mut::<f32>()?[..rows * width]);
        }
        Ok(self.kernel.run(self.isa, inputs, all, &mut places)?)
    }
}

impl Op for KernelOp {
    fn name(&self) -> StaticName {
        self.kernel.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for KernelOp {
    // A table would be folded to floats.
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shapes: Vec<_> = inputs.iter().map(|input| input.shape().to_vec()).collect();
        let out_shapes = self.output_shapes(&shapes)?;
        let own = inputs.len() - usize::from(self.padding.is_some());
        // An input that nobody else needs becomes the output, others are copied.
        let in_place = self.kernel.in_place(own);
        let mut outs: TVec<Tensor> = match in_place {
            Some(i) => {
                let taken = std::mem::replace(&mut inputs[i], tensor0(0.0_f32).into_tvalue());
                tvec![taken.into_tensor()]
            }
            None => {
                let zeros = |shape: &Vec<usize>| Tensor::zero::<f32>(shape);
                out_shapes.iter().map(zeros).collect::<TractResult<_>>()?
            }
        };
        let plain = inputs
            .iter()
            .map(|input| input.try_as_plain_ram())
            .collect::<TractResult<TVec<_>>>()?;
        let slices =
            plain.iter().map(|input| input.as_slice::<f32>()).collect::<TractResult<TVec<_>>>()?;
        // All outputs have as many.
        let all = out_shapes.first().map_or(0, |shape| shape.iter().rev().skip(1).product());
        let rows = match self.padding {
            Some(padding) => padding.rows(slices[own]).min(all),
            None => all,
        };
        let firsts: TVec<&[f32]> = slices[..own]
            .iter()
            .zip(&shapes)
            .enumerate()
            .map(|(i, (values, of))| match of[..] {
                _ if in_place == Some(i) => values,
                [_, width] if self.kernel.is_by_row(i) => &values[..rows * width],
                [_] if self.kernel.is_by_row(i) => &values[..rows],
                _ => values,
            })
            .collect();
        self.run(&firsts, [rows, all], &out_shapes, &mut outs)?;
        Ok(outs.into_iter().map(Tensor::into_tvalue).collect())
    }
}

impl TypedOp for KernelOp {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shapes = inputs
            .iter()
            .map(|fact| concrete(&fact.shape.to_tvec()))
            .collect::<TractResult<Vec<_>>>()?;
        ensure!(
            inputs.iter().all(|fact| fact.datum_type == f32::datum_type()),
            "{}: found inputs other than f32",
            self.kernel.name()
        );
        Ok(self.output_shapes(&shapes)?.into_iter().map(f32::fact).collect())
    }

    as_op!();
}

/// A kernel in a model that is not typed yet.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Pending(pub(in crate::engine) KernelOp);

impl Expansion for Pending {
    fn name(&self) -> StaticName {
        self.0.kernel.name().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.0.kernel.outputs())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for tensor in inputs.iter().chain(outputs) {
            solver.equals(&tensor.datum_type, f32::datum_type())?;
        }
        let shapes = inputs.iter().map(|input| &input.shape);
        solver.given_all(shapes, move |solver, shapes| {
            let shapes =
                shapes.iter().map(|shape| concrete(shape)).collect::<TractResult<Vec<_>>>()?;
            for (output, shape) in outputs.iter().zip(self.0.output_shapes(&shapes)?) {
                let shape: TVec<TDim> = shape.into_iter().map(TDim::from).collect();
                solver.equals(&output.shape, shape)?;
            }
            Ok(())
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.0.clone(), inputs)
    }
}

/// The shape, every dimension a number.
fn concrete(shape: &[TDim]) -> TractResult<Vec<usize>> {
    shape.iter().map(|dim| Ok(dim.to_usize()?)).collect()
}
