//! The larger constants of a file, which stay where they are until a kernel packs them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use hilbert_formats::bundle::{Content, Records};
use hilbert_formats::onnx::Constant;
use tract_onnx::pb::{GraphProto, TensorProto};

/// An ONNX file in memory.
#[derive(Clone, Copy)]
pub(in crate::engine) enum File<'a> {
    /// Bytes of which nothing can be kept.
    Bytes(&'a [u8]),
    /// A file of a bundle.
    Content(&'a Content),
}

impl<'a> File<'a> {
    pub(in crate::engine) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Content(content) => content.bytes(),
        }
    }
}

/// Where the values lie that were left out of a graph, by the names of its constants.
pub(in crate::engine) struct Held<'a> {
    file: File<'a>,
    ranges: HashMap<&'a str, Range<usize>>,
}

impl<'a> Held<'a> {
    pub(in crate::engine) fn new(file: File<'a>, constants: Vec<Constant<'a>>) -> Self {
        let ranges = constants.into_iter().map(|Constant { name, range }| (name, range)).collect();
        Self { file, ranges }
    }

    /// The values of a constant as they lie in memory, whether it holds them itself or not.
    pub(super) fn raw<'b>(&'b self, tensor: &'b TensorProto) -> &'b [u8] {
        match self.range(tensor) {
            Some(range) => &self.file.bytes()[range],
            None => &tensor.raw_data,
        }
    }

    /// The values of a constant, where they lie if they are part of the program.
    pub(super) fn part(&self, tensor: &TensorProto) -> Cow<'static, [u8]> {
        match (self.range(tensor), self.file) {
            (Some(range), File::Content(content)) => content.part(range),
            _ => self.raw(tensor).to_vec().into(),
        }
    }

    /// The values of a constant as records of `length` bytes, where they lie if they can be read there later.
    pub(super) fn records(&self, tensor: &TensorProto, length: usize) -> Records {
        match (self.range(tensor), self.file) {
            (Some(range), File::Content(content)) => content.records(range, length),
            _ => Records::in_memory(self.raw(tensor), length),
        }
    }

    /// Gives the constants that are left in the graph their values.
    pub(super) fn put_back(&self, graph: &mut GraphProto) {
        for tensor in &mut graph.initializer {
            if let Some(range) = self.range(tensor) {
                tensor.raw_data = self.file.bytes()[range].to_vec();
            }
        }
    }

    fn range(&self, tensor: &TensorProto) -> Option<Range<usize>> {
        self.ranges.get(&*tensor.name).cloned()
    }
}
