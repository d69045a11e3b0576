//! What each kernel computes, for a report of what a graph is made of.

use hilbert_kernels::{Contraction, Convolution, LayerNorm, Linear, SelfAttention, WordLinear};

use super::Kernel;
use crate::engine::Arithmetic;

pub(super) const LINEAR: &str = "linear";
pub(super) const LAYER_NORM: &str = "layer norm";
pub(super) const CONVOLUTION: &str = "convolution";
pub(super) const ATTENTION: &str = "attention";

/// Something that a kernel computes.
pub(in crate::engine) struct Part {
    /// What, in a word.
    pub(in crate::engine) name: &'static str,
    /// In what its products are computed.
    pub(in crate::engine) arithmetic: Arithmetic,
    /// Bytes that its weights take in memory.
    pub(in crate::engine) weight_bytes: usize,
}

impl Part {
    /// Its scores are products of int8, what it weighs are products of int16.
    const ATTENTION: Self =
        Self { name: ATTENTION, arithmetic: Arithmetic::Int16, weight_bytes: 0 };

    fn norm(norm: &LayerNorm) -> Self {
        Self { name: LAYER_NORM, arithmetic: Arithmetic::F32, weight_bytes: norm.bytes() }
    }

    fn linear(linear: &Linear) -> Self {
        Self { name: LINEAR, arithmetic: Arithmetic::Int8, weight_bytes: linear.bytes() }
    }

    fn word_linear(linear: &WordLinear) -> Self {
        Self { name: LINEAR, arithmetic: Arithmetic::Int16, weight_bytes: linear.bytes() }
    }

    fn convolution(convolution: &Convolution) -> Self {
        let (name, weight_bytes) = (CONVOLUTION, convolution.bytes());
        Self { name, arithmetic: Arithmetic::Int8, weight_bytes }
    }
}

impl Kernel {
    /// What it computes in one, in the order in which values are named after it.
    pub(in crate::engine) fn parts(&self) -> Vec<Part> {
        let one = |arithmetic, weight_bytes| Part { name: self.name(), arithmetic, weight_bytes };
        match self {
            Self::Linear { norm, layers } => {
                let layers = layers.iter().map(|(linear, _)| Part::linear(linear));
                norm.iter().map(Part::norm).chain(layers).collect()
            }
            Self::WordLinear { linear, .. } => vec![Part::word_linear(linear)],
            Self::Convolution { convolution, .. } => vec![Part::convolution(convolution)],
            Self::Convolutions { layers, .. } => {
                layers.iter().map(|(convolution, _)| Part::convolution(convolution)).collect()
            }
            Self::FeedForward { layers, .. } => {
                let second = match &layers.contract {
                    Contraction::Levels(linear) => Part::linear(linear),
                    Contraction::Words(linear) => Part::word_linear(linear),
                };
                let layers =
                    layers.norm.iter().map(Part::norm).chain([Part::linear(&layers.expand)]);
                layers.chain([second]).collect()
            }
            Self::SelfAttention(SelfAttention { norm, query, key, value, .. }) => {
                let layers = [query, key, value].map(Part::linear);
                norm.iter().map(Part::norm).chain(layers).chain([Part::ATTENTION]).collect()
            }
            Self::Attention(_) => vec![Part::ATTENTION],
            Self::LayerNorm(norm) => vec![Part::norm(norm)],
            Self::Statistics { .. } | Self::Mean | Self::ScaledRows => {
                vec![one(Arithmetic::F32, 0)]
            }
            Self::Table { table, .. } => vec![one(Arithmetic::F32, table.bytes())],
            Self::LookUp(table) => vec![one(Arithmetic::F32, table.bytes())],
        }
    }
}
