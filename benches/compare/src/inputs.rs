//! Inputs and outputs of the encoders, as safetensors.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};

use crate::Result;

/// What the graph is run on: one item an inference.
#[derive(Debug)]
pub struct Inputs {
    /// The items, at least one.
    pub items: Vec<Item>,
}

/// One inference's inputs.
#[derive(Debug, Default)]
pub struct Item {
    tensors: BTreeMap<String, (Vec<usize>, Values)>,
}

/// Values of one input, row-major.
#[derive(Debug)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
}

impl Inputs {
    /// Reads a file of tensors `[items, ...]`, named as the graph's inputs; each item has the shape `[1, ...]`.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or its tensors have different numbers of items.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let mut items: Vec<Item> = Vec::new();
        for (name, tensor) in file.tensors() {
            let (count, shape) = tensor.shape().split_first().ok_or("found a scalar")?;
            if items.is_empty() {
                items.resize_with(*count, Item::default);
            }
            if items.len() != *count || *count == 0 {
                return Err(format!("{name}: found {count} items, expected {}", items.len()).into());
            }
            let shape = [&[1], shape].concat();
            let chunks = tensor.data().chunks_exact(tensor.data().len() / count);
            for (item, bytes) in items.iter_mut().zip(chunks) {
                let values = match tensor.dtype() {
                    Dtype::F32 => Values::F32(numbers(bytes, f32::from_le_bytes)),
                    Dtype::I64 => Values::I64(numbers(bytes, i64::from_le_bytes)),
                    other => {
                        return Err(format!("{name}: found {other:?}, expected F32 or I64").into());
                    }
                };
                item.tensors.insert(name.clone(), (shape.clone(), values));
            }
        }
        if items.is_empty() { Err("found no inputs".into()) } else { Ok(Self { items }) }
    }
}

impl Item {
    /// The input of this name: its shape and values.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<(&[usize], &Values)> {
        let (shape, values) =
            self.tensors.get(name).ok_or_else(|| format!("found no input {name}"))?;
        Ok((shape, values))
    }
}

/// Writes one tensor `[items, values]` for each output: `0`, `1` and on.
///
/// # Errors
/// When the file cannot be written.
pub fn write_outputs(path: &Path, items: &[Vec<Vec<f32>>]) -> Result<()> {
    let count = items.first().map_or(0, Vec::len);
    let outputs: Vec<Vec<u8>> = (0..count)
        .map(|i| items.iter().flat_map(|item| &item[i]).flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    write(
        path,
        outputs.iter().enumerate().map(|(i, bytes)| {
            (
                i.to_string(),
                Dtype::F32,
                vec![items.len(), bytes.len() / 4 / items.len()],
                bytes.as_slice(),
            )
        }),
    )
}

/// Writes tensors of little-endian values.
///
/// # Errors
/// When the file cannot be written.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (String, Dtype, Vec<usize>, &'a [u8])>,
) -> Result<()> {
    let views = tensors
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)));
    Ok(serialize_to_file(views.collect::<Result<Vec<_>>>()?, None, path)?)
}

fn numbers<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| read(chunk)).collect()
}
