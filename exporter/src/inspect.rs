//! What a bundle is, for those who did not make it. Normative description of the JSON: `docs/inspect.md`.

mod report;

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hilbert_formats::Bundle;
use hilbert_formats::manifest::{Manifest, TensorEntry, Weights};
use serde::Serialize;

use crate::certificate::Certificate;
use crate::constants::{Constant, Kind, constants, decode};
use crate::error::{ErrorKind, Result};
use crate::packing::listed;
use crate::quantize::is_quantised;

/// The schema of the JSON.
pub const SCHEMA: &str = "hilbert.inspect/1";

/// Operators by which a graph calculates with integers, or makes them of floats.
const INTEGER_OPERATORS: [&str; 6] = [
    "ConvInteger",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
];

/// A bundle all of whose files are as its manifest says. Its `Display` is the output of `hilbert-export inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Always [`SCHEMA`].
    schema: &'static str,
    /// SHA-256 of `manifest.json`, which identifies the bundle.
    pub manifest_sha256: String,
    /// Whether it carries a signature, which is not verified here.
    pub signed: bool,
    /// Bytes of all files, the manifest not counted.
    pub bytes: u64,
    /// How the weights are stored, whatever the manifest says of them.
    pub weights: FoundWeights,
    /// Every graph in the order of the computation.
    pub graphs: Vec<InspectedGraph>,
    /// Pieces of the vocabulary.
    pub pieces: usize,
    /// What is known of the decisions.
    pub certificate: Option<Certificate>,
    /// The manifest.
    pub manifest: Manifest,
}

/// How the weights of all graphs are stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundWeights {
    /// What the manifest says.
    pub labelled: Weights,
    /// Whether it is so: labelled int8, all that are large enough are int8 but for those that the certificate lists as
    /// floats; labelled f32, none is int8.
    pub as_labelled: bool,
    /// All graphs.
    pub stored: Stored,
    /// Names of weights that are large enough for int8 and floats.
    pub large_floats: Vec<String>,
    /// How many operators calculate with integers or make them of floats; without any, int8 is how weights are stored and
    /// activations are floats.
    pub integer_operators: usize,
}

/// One graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InspectedGraph {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// Inputs in order.
    pub inputs: Vec<TensorEntry>,
    /// Outputs in order.
    pub outputs: Vec<TensorEntry>,
    /// How often it has each operator.
    pub operators: BTreeMap<String, usize>,
    /// Its constants.
    pub stored: Stored,
    /// Names of its weights that are large enough for int8 and floats.
    pub large_floats: Vec<String>,
}

/// Constants by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stored {
    /// Weights of 8-bit levels.
    pub int8: Amount,
    /// Scales of levels, 32-bit floats.
    pub scales: Amount,
    /// Other 32-bit floats.
    pub f32: Amount,
    /// Lengths, dimensions and other types.
    pub other: Amount,
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Tensors.
    pub tensors: usize,
    /// Their elements.
    pub values: usize,
    /// Bytes of the elements.
    pub bytes: usize,
}

/// Reads all of a bundle; nothing is loaded into the engine.
///
/// # Errors
/// [`ErrorKind::Runtime`] for what the runtime refuses; as [`Certificate::of`].
pub fn inspect(bundle: &Bundle) -> Result<Inspection> {
    let manifest = bundle.manifest().clone();
    let read = |file: &str| bundle.read(file).map_err(ErrorKind::reading);
    let mut graphs = Vec::new();
    for name in manifest.graph_names() {
        graphs.push(graph(&name, &manifest, &read(&manifest.graphs[&name].file)?)?);
    }
    let bytes = listed(bundle).map(|file| Ok(file?.1.len() as u64)).sum::<Result<_>>()?;
    let certificate = Certificate::of(bundle)?;
    Ok(Inspection {
        schema: SCHEMA,
        manifest_sha256: bundle.manifest_sha256().into(),
        signed: !matches!(bundle.read_signature(), Ok(None)),
        bytes,
        weights: found_weights(manifest.weights, &graphs, certificate.as_ref()),
        graphs,
        pieces: pieces(bundle)?,
        certificate,
        manifest,
    })
}

/// Pieces of the vocabulary, one a line.
pub(crate) fn pieces(bundle: &Bundle) -> Result<usize> {
    let vocabulary = bundle.read(bundle.manifest().text.vocabulary());
    Ok(String::from_utf8_lossy(&vocabulary.map_err(ErrorKind::reading)?).lines().count())
}

fn graph(name: &str, manifest: &Manifest, onnx: &[u8]) -> Result<InspectedGraph> {
    let entry = manifest.graphs[name].clone();
    let graph = decode(name, onnx)?;
    let mut operators = BTreeMap::new();
    for node in &graph.node {
        *operators.entry(node.op_type().to_owned()).or_default() += 1;
    }
    let (mut stored, mut large_floats) = (Stored::default(), Vec::new());
    for constant in constants(&graph) {
        stored.add(&constant);
        if constant.kind == Kind::F32 && is_quantised(&constant.shape()) {
            large_floats.push(constant.name().to_owned());
        }
    }
    Ok(InspectedGraph {
        name: name.into(),
        file: entry.file,
        bytes: onnx.len() as u64,
        inputs: entry.inputs,
        outputs: entry.outputs,
        operators,
        stored,
        large_floats,
    })
}

fn found_weights(
    labelled: Weights,
    graphs: &[InspectedGraph],
    certificate: Option<&Certificate>,
) -> FoundWeights {
    let mut stored = Stored::default();
    graphs.iter().for_each(|graph| stored += graph.stored);
    let large_floats: Vec<_> = graphs.iter().flat_map(|graph| graph.large_floats.clone()).collect();
    let is_listed = |name| certificate.is_some_and(|c| c.float_tensors.contains(name));
    let as_labelled = match labelled {
        Weights::F32 => stored.int8.tensors == 0,
        Weights::Int8 => stored.int8.tensors > 0 && large_floats.iter().all(is_listed),
    };
    let operators = graphs.iter().flat_map(|graph| &graph.operators);
    let integers = operators.filter(|(name, _)| INTEGER_OPERATORS.contains(&name.as_str()));
    let integer_operators = integers.map(|(_, count)| count).sum();
    FoundWeights { labelled, as_labelled, stored, large_floats, integer_operators }
}

impl Stored {
    fn add(&mut self, constant: &Constant<'_>) {
        let amount = match constant.kind {
            Kind::Int8 => &mut self.int8,
            Kind::Scale => &mut self.scales,
            Kind::F32 => &mut self.f32,
            Kind::Other => &mut self.other,
        };
        *amount += Amount { tensors: 1, values: constant.values(), bytes: constant.bytes() };
    }
}

impl AddAssign for Stored {
    fn add_assign(&mut self, other: Self) {
        self.int8 += other.int8;
        self.scales += other.scales;
        self.f32 += other.f32;
        self.other += other.other;
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.tensors += other.tensors;
        self.values = self.values.saturating_add(other.values);
        self.bytes += other.bytes;
    }
}
