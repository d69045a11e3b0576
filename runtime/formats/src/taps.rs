//! `taps.safetensors`: inputs of every graph and a few values of every layer, with which a bundle tests itself.
//!
//! Normative description: `docs/parity-ledger.md`.

mod positions;
mod stored;

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

pub use self::positions::{Rows, positions};
pub use self::stored::{Input, Stored};
use crate::error::{Error, ErrorKind, FileProblem, Result};
use crate::manifest::TensorEntry;

/// The file's name in a bundle.
pub const FILE: &str = "taps.safetensors";
/// The schema this crate reads and writes.
pub const SCHEMA: &str = "hilbert.taps/1";
/// Most bytes of the file.
pub const MAX_BYTES: usize = 256 << 10;
/// Most elements of one value of a graph.
const MAX_ELEMENTS: usize = 1 << 26;

/// What a bundle tests itself with.
#[derive(Debug, Clone, PartialEq)]
pub struct Taps {
    /// Layers in the order in which they are computed, those of one graph side by side.
    pub layers: Vec<Layer>,
    /// Inputs by `GRAPH/PORT`, or by `PORT` alone where several graphs take the same.
    pub inputs: BTreeMap<String, Stored>,
}

/// A layer's values at a few of its elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Where it is.
    pub place: Place,
    /// As the float graph computes them from the inputs, at the first elements of [`positions`].
    pub float: Vec<f32>,
    /// As the bundle's own graph computes them.
    pub own: Vec<f32>,
}

/// A value of a graph that stands for a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Graph, as the manifest names it.
    pub graph: String,
    /// The reference's module, such as `speech.layers.0`, or `GRAPH.OUTPUT` where no module has this value.
    pub name: String,
    /// Name of the value in the graph.
    pub value: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Which of its rows are no padding; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
}

impl Taps {
    /// Reads the file's content and checks all of it.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] with [`FileProblem::TooLarge`] beyond [`MAX_BYTES`], and with [`FileProblem::Content`] for the
    /// first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(error(FileProblem::TooLarge { limit: MAX_BYTES as u64 }));
        }
        let broken =
            |e: safetensors::SafeTensorError| wrong("header", e.to_string(), "a safetensors file");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let stated = |key: &str| metadata.get(key).map_or("", String::as_str);
        if stated("schema") != SCHEMA {
            return Err(wrong("schema", format!("{:?}", stated("schema")), SCHEMA));
        }
        let places: Vec<Place> = serde_json::from_str(stated("layers"))
            .map_err(|e| wrong("layers", e.to_string(), "a list of layers"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let mut inputs = BTreeMap::new();
        let mut layers = BTreeMap::new();
        for (name, view) in tensors.iter() {
            match name.split_once('/') {
                Some(("inputs", port)) => {
                    inputs.insert(port.to_owned(), Stored::read(name, &view)?);
                }
                Some(("layers", layer)) => {
                    layers.insert(layer.to_owned(), rows(name, &view)?);
                }
                _ => return Err(wrong(name, "a tensor of this name".into(), "inputs or layers")),
            }
        }
        let layer = |place: Place| {
            let name = place.key();
            place.check()?;
            let at = format!("layers/{name}");
            let missing = || wrong(&at, "no such tensor".into(), "one for each layer, once");
            let (float, own) = layers.remove(&name).ok_or_else(missing)?;
            let most = positions::count(&place.shape, place.rows);
            if float.len() > most {
                let found = format!("{} elements", float.len());
                return Err(wrong(&at, found, &format!("at most {most}")));
            }
            Ok(Layer { place, float, own })
        };
        let read = places.into_iter().map(layer).collect::<Result<Vec<_>>>()?;
        if let Some(name) = layers.keys().next() {
            let at = format!("layers/{name}");
            return Err(wrong(&at, "a tensor of no layer".into(), "none"));
        }
        Ok(Self { layers: read, inputs })
    }

    /// The file's content: the same taps give the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let places: Vec<_> = self.layers.iter().map(|layer| &layer.place).collect();
        let mut header = serde_json::Map::new();
        let metadata = serde_json::json!({ "schema": SCHEMA, "layers": serde_json::json!(places).to_string() });
        header.insert("__metadata__".into(), metadata);
        let mut data: Vec<u8> = Vec::new();
        let mut write = |name: String, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>| {
            let start = data.len();
            data.extend(bytes);
            let offsets = [start, data.len()];
            let entry =
                serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
            header.insert(name, entry);
        };
        // Widest elements first, so that all are aligned.
        let mut inputs: Vec<_> = self.inputs.iter().collect();
        inputs.sort_by_key(|(_, stored)| stored.width() != 8);
        for (name, stored) in inputs.iter().filter(|(_, stored)| stored.width() > 1) {
            write(format!("inputs/{name}"), stored.dtype(), stored.shape.clone(), stored.bytes());
        }
        for layer in &self.layers {
            let both = if layer.own == layer.float { &[][..] } else { &layer.own };
            let shape = vec![if both.is_empty() { 1 } else { 2 }, layer.float.len()];
            let bytes = layer.float.iter().chain(both).flat_map(|v| v.to_le_bytes()).collect();
            write(format!("layers/{}", layer.place.key()), Dtype::F32, shape, bytes);
        }
        for (name, stored) in inputs.iter().filter(|(_, stored)| stored.width() == 1) {
            write(format!("inputs/{name}"), stored.dtype(), stored.shape.clone(), stored.bytes());
        }
        let mut header = serde_json::Value::Object(header).to_string();
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
    }

    /// The values of the input `port` of `graph`, row-major; what the file leaves out is zero.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] where the file has none, or one of another type, or one that is larger.
    pub fn input(&self, graph: &str, port: &TensorEntry) -> Result<Input> {
        let own = format!("{graph}/{}", port.name);
        let stored = self.inputs.get(&own).or_else(|| self.inputs.get(&port.name));
        let at = format!("inputs/{own}");
        let stored = stored.ok_or_else(|| wrong(&at, "no such tensor".into(), "one"))?;
        stored.padded(port).ok_or_else(|| {
            let found = format!("{:?} {:?}", stored.dtype(), stored.shape);
            wrong(&at, found, &format!("at most {:?} {:?}", port.dtype, port.shape))
        })
    }
}

impl Place {
    /// Its name in the file.
    fn key(&self) -> String {
        format!("{}/{}", self.graph, self.name)
    }

    /// Flat, row-major indices of the first `most` elements that are compared.
    #[must_use]
    pub fn positions(&self, most: usize) -> Vec<usize> {
        positions(&self.shape, self.rows, most)
    }

    fn check(&self) -> Result<()> {
        let at = format!("layers: {}", self.key());
        let elements = self.shape.iter().try_fold(1_usize, |n, len| n.checked_mul(*len));
        if !elements.is_some_and(|n| (1..=MAX_ELEMENTS).contains(&n)) {
            let expected = format!("1 to {MAX_ELEMENTS} elements");
            return Err(wrong(&at, format!("shape {:?}", self.shape), &expected));
        }
        if let Some(Rows { axis, real }) = self.rows {
            let len = self.shape.get(axis).copied().unwrap_or(0);
            if !(1..=len).contains(&real) {
                let found = format!("{real} rows of dimension {axis}");
                return Err(wrong(&at, found, &format!("1 to {len}")));
            }
        }
        Ok(())
    }
}

/// A layer's values: of the float graph, and of the bundle's own where they differ. `[1 or 2, n]`
fn rows(name: &str, view: &TensorView<'_>) -> Result<(Vec<f32>, Vec<f32>)> {
    let (rows, count) = match (view.dtype(), view.shape()) {
        (Dtype::F32, &[rows @ 1..=2, count]) if count > 0 => (rows, count),
        (dtype, shape) => {
            return Err(wrong(name, format!("{dtype:?} {shape:?}"), "F32 [1 or 2, n]"));
        }
    };
    let values: Vec<f32> =
        view.data().as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if values.len() != rows * count || !values.iter().all(|value| value.is_finite()) {
        return Err(wrong(name, "a number that is not finite".into(), "finite numbers"));
    }
    let (float, own) = values.split_at(count);
    Ok((float.to_vec(), if rows == 1 { float } else { own }.to_vec()))
}

fn wrong(at: &str, found: String, expected: &str) -> Error {
    let (at, expected) = (at.to_owned(), expected.to_owned());
    error(FileProblem::Content { at, found, expected })
}

fn error(problem: FileProblem) -> Error {
    ErrorKind::Bundle { file: FILE.to_owned(), problem }.into()
}
