//! Where the constants of an ONNX file lie, so that nobody has to copy them to read the rest.
//!
//! As much of protocol buffers (protobuf.dev, "Encoding") as this takes: fields are walked, messages that are of no interest are
//! copied as they are. What is irregular is left to the engine, which has to say what is wrong with it.

use std::ops::Range;
use std::str;

/// Shorter constants stay where they are, bytes.
const SMALLEST: usize = 4096;

/// Numbers of the fields, from onnx.proto: of `ModelProto`, of `GraphProto`, of `TensorProto`.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const TENSOR_NAME: u64 = 8;
const RAW_DATA: u64 = 9;

/// An ONNX file taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline<'a> {
    /// The file without the values of its larger constants: an ONNX file itself.
    pub rest: Vec<u8>,
    /// These constants, no two of one name.
    pub constants: Vec<Constant<'a>>,
}

/// A constant of at least 4,096 bytes whose values lie in the file as they would in memory, least significant byte first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant<'a> {
    /// Its name in the graph.
    pub name: &'a str,
    /// Where its values lie in the file, bytes.
    pub range: Range<usize>,
}

/// Takes a file apart; `None` for one that is irregular, such as one with two graphs or two constants of one name.
#[must_use]
pub fn outline(onnx: &[u8]) -> Option<Outline<'_>> {
    let mut rest = Vec::new();
    let mut constants = Vec::new();
    let mut graphs = 0;
    for field in fields(onnx, 0..onnx.len()) {
        let field = field?;
        match (field.number, field.content) {
            (GRAPH, Some(content)) => {
                graphs += 1;
                push(&mut rest, GRAPH, &graph(onnx, content, &mut constants)?);
            }
            _ => rest.extend_from_slice(&onnx[field.whole]),
        }
    }
    let is_unique = |(i, one): (usize, &Constant<'_>)| {
        constants[..i].iter().all(|other: &Constant<'_>| other.name != one.name)
    };
    (graphs == 1 && constants.iter().enumerate().all(is_unique))
        .then_some(Outline { rest, constants })
}

fn graph<'a>(
    onnx: &'a [u8],
    graph: Range<usize>,
    constants: &mut Vec<Constant<'a>>,
) -> Option<Vec<u8>> {
    let mut rest = Vec::new();
    for field in fields(onnx, graph) {
        let field = field?;
        match (field.number, field.content) {
            (INITIALIZER, Some(content)) => match tensor(onnx, content)? {
                Some((outline, constant)) => {
                    push(&mut rest, INITIALIZER, &outline);
                    constants.push(constant);
                }
                None => rest.extend_from_slice(&onnx[field.whole]),
            },
            _ => rest.extend_from_slice(&onnx[field.whole]),
        }
    }
    Some(rest)
}

/// A constant apart from its values, if these are many and in one piece.
fn tensor(onnx: &[u8], tensor: Range<usize>) -> Option<Option<(Vec<u8>, Constant<'_>)>> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    let mut rest = Vec::new();
    for field in fields(onnx, tensor) {
        let field = field?;
        match (field.number, field.content) {
            (RAW_DATA, Some(content)) => {
                values.push(content);
                continue;
            }
            (TENSOR_NAME, Some(content)) => names.push(content),
            _ => {}
        }
        // Of a constant that stays as it is this is made in vain, but it is short.
        rest.extend_from_slice(onnx.get(field.whole).filter(|bytes| bytes.len() < SMALLEST)?);
    }
    let ([name], [range]) = (&names[..], &values[..]) else { return Some(None) };
    let name = str::from_utf8(&onnx[name.clone()]).ok()?;
    let constant = Constant { name, range: range.clone() };
    Some((range.len() >= SMALLEST).then_some((rest, constant)))
}

/// One field of a message.
struct Field {
    number: u64,
    /// Where it lies, its key included.
    whole: Range<usize>,
    /// Where its content lies, if it has a length: bytes, text, a message.
    content: Option<Range<usize>>,
}

/// The fields of the message in `range`; a last `None` where they are not well formed.
fn fields(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Option<Field>> {
    let Range { start: mut at, end } = range;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let field = field(bytes, at..end);
        at = field.as_ref().map_or(end, |field| field.whole.end);
        Some(field)
    })
}

fn field(bytes: &[u8], range: Range<usize>) -> Option<Field> {
    let Range { start, end } = range;
    let (key, at) = varint(bytes, start..end)?;
    let (at, length) = match key & 7 {
        0 => (varint(bytes, at..end)?.1, 0),
        1 => (at, 8),
        2 => {
            let (length, at) = varint(bytes, at..end)?;
            (at, usize::try_from(length).ok()?)
        }
        5 => (at, 4),
        _ => return None,
    };
    let behind = at.checked_add(length).filter(|behind| *behind <= end)?;
    let content = (key & 7 == 2).then_some(at..behind);
    Some(Field { number: key >> 3, whole: start..behind, content })
}

/// A number, and where it ends.
fn varint(bytes: &[u8], range: Range<usize>) -> Option<(u64, usize)> {
    let start = range.start;
    let mut number = 0;
    for (i, byte) in bytes.get(range)?.iter().take(10).enumerate() {
        number |= u64::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            return Some((number, start + i + 1));
        }
    }
    None
}

/// Appends a field with a length.
fn push(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    for mut rest in [number << 3 | 2, content.len() as u64] {
        while rest > 127 {
            let [low, ..] = rest.to_le_bytes();
            message.push(low | 128);
            rest >>= 7;
        }
        let [low, ..] = rest.to_le_bytes();
        message.push(low);
    }
    message.extend_from_slice(content);
}
