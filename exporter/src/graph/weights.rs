//! Constants of a graph. Whether a weight is stored as int8, the recipe decides.

use super::parts::{integers, tensor};
use super::{GraphBuilder, Value, int};
use crate::checkpoint::Tensor;
use crate::error::{ErrorKind, Result};
use crate::onnx::DataType;
use crate::quantize::quantise;

impl GraphBuilder<'_> {
    /// The matrix of a linear layer, `[out, in]` in the checkpoint, as `[in, out]`; int8 scales belong to `out`.
    ///
    /// # Errors
    /// A tensor that is not there or not a matrix: a fault of the exporter.
    pub fn matrix(&mut self, name: &str) -> Result<Value> {
        let tensor = self.checkpoint.tensor(name)?;
        let [outputs, inputs] = tensor.shape[..] else {
            let found = tensor.shape.clone();
            return Err(
                ErrorKind::WeightShape { name: name.into(), found, expected: "a matrix" }.into()
            );
        };
        let shape = [inputs, outputs];
        if self.recipe.is_int8(name, &tensor.shape) {
            let q = quantise(&tensor.values, outputs);
            return Ok(self.dequantised(
                name,
                &transposed(&q.levels, outputs, inputs),
                &q.scales,
                &shape,
                1,
            ));
        }
        Ok(self.floats(name, &transposed(&tensor.values, outputs, inputs), &shape))
    }

    /// A weight in the checkpoint's own layout; int8 scales belong to its first dimension. Vectors stay float.
    ///
    /// # Errors
    /// A tensor that is not there: a fault of the exporter.
    pub fn weight(&mut self, name: &str) -> Result<Value> {
        let tensor = self.checkpoint.tensor(name)?;
        Ok(self.rows(name, tensor, tensor.shape.first().copied().unwrap_or(1)))
    }

    /// The first `count` rows of `tensor`, which the whole tensor's size makes int8 or float.
    pub fn rows(&mut self, name: &str, tensor: &Tensor, count: usize) -> Value {
        let rows = tensor.shape.first().copied().unwrap_or(1).max(1);
        let mut shape = tensor.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = count.min(rows);
        }
        let kept = &tensor.values[..tensor.values.len() / rows * count.min(rows)];
        if self.recipe.is_int8(name, &tensor.shape) {
            let q = quantise(kept, shape[0]);
            return self.dequantised(name, &q.levels, &q.scales, &shape, 0);
        }
        self.floats(name, kept, &shape)
    }

    /// Rows of a table `[n, width]` by i64 indices `[L]` -> `[L, width]`; an int8 table stays int8 until its rows are chosen.
    ///
    /// # Errors
    /// A tensor that is not there: a fault of the exporter.
    pub fn lookup(&mut self, name: &str, indices: &Value) -> Result<Value> {
        let tensor = self.checkpoint.tensor(name)?;
        let (rows, width) = (tensor.shape[0], tensor.shape[1]);
        let count = indices.shape[0];
        if !self.recipe.is_int8(name, &tensor.shape) {
            let table = self.floats(name, &tensor.values, &tensor.shape);
            return Ok(self.node(
                "Gather",
                &[&table, indices],
                vec![int("axis", 0)],
                vec![count, width],
            ));
        }
        let q = quantise(&tensor.values, rows);
        let table = self.bytes(name, &q.levels, &tensor.shape);
        // One scale a row as a column, so that the chosen scales multiply their rows without a reshape.
        let scales = self.floats(&format!("{name}.scale"), &q.scales, &[rows, 1]);
        let levels =
            self.node("Gather", &[&table, indices], vec![int("axis", 0)], vec![count, width]);
        let scales = self.node("Gather", &[&scales, indices], vec![int("axis", 0)], vec![count, 1]);
        let to = int("to", i64::from(DataType::Float as i32));
        let levels = self.node("Cast", &[&levels], vec![to], vec![count, width]);
        Ok(self.binary("Mul", &levels, &scales))
    }

    /// A float constant.
    pub fn floats(&mut self, name: &str, values: &[f32], shape: &[usize]) -> Value {
        self.store(
            name,
            DataType::Float,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            shape,
        )
    }

    /// A scalar, stored once however often it is used.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.floats(&format!("scalar_{value:e}"), &[value], &[])
    }

    /// `DequantizeLinear` over an int8 constant with one scale for each index of `axis`.
    fn dequantised(
        &mut self,
        name: &str,
        levels: &[i8],
        scales: &[f32],
        shape: &[usize],
        axis: i64,
    ) -> Value {
        let stored = self.bytes(name, levels, shape);
        let scales = self.floats(&format!("{name}.scale"), scales, &[scales.len()]);
        self.node("DequantizeLinear", &[&stored, &scales], vec![int("axis", axis)], shape.to_vec())
    }

    fn bytes(&mut self, name: &str, values: &[i8], shape: &[usize]) -> Value {
        self.store(
            name,
            DataType::Int8,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            shape,
        )
    }

    pub(super) fn dimensions(&mut self, values: &[usize]) -> Value {
        let name = values.iter().fold("integers".to_owned(), |name, v| format!("{name}_{v}"));
        self.store(&name, DataType::Int64, integers(values), &[values.len()])
    }

    fn store(&mut self, name: &str, data_type: DataType, raw: Vec<u8>, shape: &[usize]) -> Value {
        if self.stored.insert(name.into()) {
            self.graph.initializer.push(tensor(name, data_type, shape, raw));
        }
        Value { name: name.into(), shape: shape.to_vec() }
    }
}

/// `[rows, columns]` to `[columns, rows]`.
pub(crate) fn transposed<T: Copy>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}
