//! A graph's input as the file holds it.

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::wrong;
use crate::error::Result;
use crate::manifest::{self, TensorEntry};

/// Level that stands for zero.
const ZERO: u8 = 128;
/// Levels from one whole number to the next.
const LEVELS: f32 = 64.0;

/// An input without the zeros at the end of its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its shape, no longer than the port's in any dimension.
    pub shape: Vec<usize>,
    /// Its values, row-major; as many as the shape says.
    pub values: Input,
}

/// Values of an input, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Floats from -2 to 127/64 in steps of 1/64: a byte `b` stands for `(b - 128) / 64`, exactly.
    Levels(Vec<u8>),
}

impl Stored {
    /// The value of a byte of [`Input::Levels`].
    #[must_use]
    pub fn level(byte: u8) -> f32 {
        (f32::from(byte) - f32::from(ZERO)) / LEVELS
    }

    pub(super) fn read(name: &str, view: &TensorView<'_>) -> Result<Self> {
        let values = match view.dtype() {
            Dtype::F32 => Input::F32(elements(view.data(), f32::from_le_bytes)),
            Dtype::I64 => Input::I64(elements(view.data(), i64::from_le_bytes)),
            Dtype::U8 => Input::Levels(view.data().to_vec()),
            other => return Err(wrong(name, format!("type {other:?}"), "F32, I64 or U8")),
        };
        if let Input::F32(values) = &values
            && !values.iter().all(|value| value.is_finite())
        {
            return Err(wrong(name, "a number that is not finite".into(), "finite numbers"));
        }
        Ok(Self { shape: view.shape().to_vec(), values })
    }

    pub(super) fn dtype(&self) -> Dtype {
        match self.values {
            Input::F32(_) => Dtype::F32,
            Input::I64(_) => Dtype::I64,
            Input::Levels(_) => Dtype::U8,
        }
    }

    /// Bytes of one element.
    pub(super) fn width(&self) -> usize {
        match self.values {
            Input::F32(_) => 4,
            Input::I64(_) => 8,
            Input::Levels(_) => 1,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match &self.values {
            Input::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Input::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Input::Levels(values) => values.clone(),
        }
    }

    /// The port's values, zero where none are stored; `None` for another type, or where more is stored than it takes.
    #[must_use]
    pub fn padded(&self, port: &TensorEntry) -> Option<Input> {
        let fits = self.shape.len() == port.shape.len()
            && self.shape.iter().zip(&port.shape).all(|(stored, port)| stored <= port);
        if !fits {
            return None;
        }
        let shapes = (&self.shape[..], &port.shape[..]);
        match (&self.values, port.dtype) {
            (Input::F32(values), manifest::Dtype::F32) => Some(Input::F32(padded(values, shapes)?)),
            (Input::Levels(bytes), manifest::Dtype::F32) => {
                let values: Vec<f32> = bytes.iter().map(|byte| Self::level(*byte)).collect();
                Some(Input::F32(padded(&values, shapes)?))
            }
            (Input::I64(values), manifest::Dtype::I64) => Some(Input::I64(padded(values, shapes)?)),
            _ => None,
        }
    }
}

/// A box of values in the corner of a larger one of zeros.
fn padded<T: Copy + Default>(values: &[T], (own, whole): (&[usize], &[usize])) -> Option<Vec<T>> {
    let len = whole.iter().try_fold(1_usize, |n, len| n.checked_mul(*len))?;
    let mut result = vec![T::default(); len];
    for (index, value) in values.iter().enumerate() {
        let (mut rest, mut flat, mut stride) = (index, 0, 1);
        for (own, whole) in own.iter().zip(whole).rev() {
            flat += rest % own * stride;
            rest /= own;
            stride *= whole;
        }
        *result.get_mut(flat)? = *value;
    }
    Some(result)
}

fn elements<T, const N: usize>(data: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|chunk| from(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_any_dimension_is_zero() {
        let stored = Stored { shape: vec![2, 1], values: Input::I64(vec![5, 6]) };
        let port =
            |shape: &[usize], dtype| TensorEntry { name: "x".into(), dtype, shape: shape.to_vec() };
        let whole = stored.padded(&port(&[3, 2], manifest::Dtype::I64));
        assert_eq!(whole, Some(Input::I64(vec![5, 0, 6, 0, 0, 0])));
        assert_eq!(stored.padded(&port(&[1, 2], manifest::Dtype::I64)), None);
        assert_eq!(stored.padded(&port(&[2, 1, 1], manifest::Dtype::I64)), None);
        assert_eq!(stored.padded(&port(&[3, 2], manifest::Dtype::F32)), None);
    }

    #[test]
    fn bytes_are_floats_in_steps_of_a_sixty_fourth() {
        let stored = Stored { shape: vec![1, 3], values: Input::Levels(vec![0, 129, 255]) };
        let port = TensorEntry { name: "x".into(), dtype: manifest::Dtype::F32, shape: vec![1, 4] };
        assert_eq!(stored.padded(&port), Some(Input::F32(vec![-2.0, 0.015625, 1.984375, 0.0])));
    }
}
