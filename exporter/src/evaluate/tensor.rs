//! Numbers and their shape.

use crate::onnx::{DataType, TensorProto};

/// A tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many elements as the shape says.
    pub elements: Elements,
}

/// Elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Floats of any width.
    Real(Vec<f64>),
    /// Integers of any width.
    Whole(Vec<i64>),
}

impl Tensor {
    /// A tensor of 32-bit floats.
    #[must_use]
    pub fn of_f32(shape: &[usize], values: &[f32]) -> Self {
        Self::real(shape.to_vec(), values.iter().map(|v| f64::from(*v)).collect())
    }

    /// The elements as the nearest 32-bit floats; none of integers.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
        self.reals().map(|values| values.iter().map(|v| *v as f32).collect()).unwrap_or_default()
    }

    pub(super) fn real(shape: Vec<usize>, values: Vec<f64>) -> Self {
        Self { shape, elements: Elements::Real(values) }
    }

    pub(super) fn reals(&self) -> Result<&[f64], String> {
        match &self.elements {
            Elements::Real(values) => Ok(values),
            Elements::Whole(_) => Err("found integers, expected floats".into()),
        }
    }

    pub(super) fn wholes(&self) -> Result<&[i64], String> {
        match &self.elements {
            Elements::Whole(values) => Ok(values),
            Elements::Real(_) => Err("found floats, expected integers".into()),
        }
    }

    /// Whole numbers that are lengths, positions or dimensions.
    pub(crate) fn indices(&self) -> Result<Vec<usize>, String> {
        let index =
            |n: &i64| usize::try_from(*n).map_err(|_| format!("found {n}, expected 0 or more"));
        self.wholes()?.iter().map(index).collect()
    }

    pub(crate) fn from_proto(stored: &TensorProto) -> Result<Self, String> {
        let length = |n: &i64| usize::try_from(*n).map_err(|_| format!("found a length of {n}"));
        let shape: Vec<usize> = stored.dims.iter().map(length).collect::<Result<_, _>>()?;
        let raw = stored.raw_data();
        let elements = match stored.data_type() {
            DataType::Float => Elements::Real(elements(raw, |b| f64::from(f32::from_le_bytes(b)))),
            DataType::Int8 => Elements::Whole(elements(raw, |b| i64::from(i8::from_le_bytes(b)))),
            DataType::Int64 => Elements::Whole(elements(raw, i64::from_le_bytes)),
            other => return Err(format!("found a constant of type {other:?}")),
        };
        let tensor = Self { shape, elements };
        let (found, expected) = (tensor.len(), tensor.shape.iter().product::<usize>());
        if found == expected {
            Ok(tensor)
        } else {
            Err(format!("found {found} elements of {:?}, expected {expected}", tensor.shape))
        }
    }

    fn len(&self) -> usize {
        match &self.elements {
            Elements::Real(values) => values.len(),
            Elements::Whole(values) => values.len(),
        }
    }
}

fn elements<T, const N: usize>(raw: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}
