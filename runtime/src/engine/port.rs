//! What goes into a graph and comes out of it.

use std::fmt;

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::{Dtype, TensorEntry};
use tract_core::prelude::{Tensor, TractResult};

use crate::limits::{MAX_RANK, MAX_VALUES};

/// One input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    name: String,
    dtype: Dtype,
    shape: BoundedVec<usize, MAX_RANK>,
    len: usize,
}

impl Port {
    /// The port that the manifest states, or `None` beyond the limits on rank and size.
    pub(super) fn new(entry: &TensorEntry) -> Option<Self> {
        let shape = BoundedVec::from_slice(&entry.shape).ok()?;
        let len = entry.shape.iter().try_fold(1_usize, |len, &n| len.checked_mul(n))?;
        (1..=MAX_VALUES).contains(&len).then(|| Self {
            name: entry.name.clone(),
            dtype: entry.dtype,
            shape,
            len,
        })
    }

    /// Its name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its element type.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its fixed shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many values it has: the product of the shape, never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a port has at least one value")]
    pub const fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.dtype, self.shape())
    }
}

/// Values for one input of a graph, row-major.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

impl Input<'_> {
    pub(super) const fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::I64(_) => Dtype::I64,
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    pub(super) fn to_tensor(self, port: &Port) -> TractResult<Tensor> {
        match self {
            Self::F32(values) => Tensor::from_shape(port.shape(), values),
            Self::I64(values) => Tensor::from_shape(port.shape(), values),
        }
    }
}

#[cfg(test)]
mod tests {
    use hilbert_formats::manifest::{Dtype, TensorEntry};

    use super::Port;

    #[test]
    fn a_port_beyond_the_limits_is_none() {
        let rows: [(&[usize], Option<usize>); 7] = [
            (&[], Some(1)),
            (&[1, 80, 1000], Some(80_000)),
            (&[2, 2, 2, 2], Some(16)),
            (&[1, 1, 1, 1, 1], None),
            (&[4, 0], None),
            (&[usize::MAX, 2], None),
            (&[1 << 22, 2], None),
        ];
        let failed: Vec<_> = rows
            .iter()
            .filter(|(shape, len)| {
                let entry =
                    TensorEntry { name: "x".to_owned(), dtype: Dtype::F32, shape: shape.to_vec() };
                Port::new(&entry).map(|port| port.len()) != *len
            })
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
