//! A bundle tested on the machine that it runs on, with the inputs and values that it carries.
//!
//! `docs/parity-ledger.md` says what `taps.safetensors` holds and why the threshold has its value.

mod agreement;

use hilbert_formats::manifest::{Dtype, GraphEntry, TensorEntry};
use hilbert_formats::taps::{self, Layer, Taps};
use hilbert_formats::{Bundle, taps::Input as Stored};
use serde::Serialize;

pub use self::agreement::Agreement;
use crate::engine::{Engine, Graph, Input};
use crate::error::{Error, ErrorKind, Result};

/// Signal-to-noise ratio that the engine keeps to what a graph means, dB: errors of a thousandth of the signal. Rounding to
/// 32-bit floats costs far less, a wrong operation far more.
pub const ENGINE_DB: f64 = 60.0;

/// The same for [`Engine::Kernels`], which round activations to 255 levels a row.
pub const KERNELS_DB: f64 = 20.0;

/// Values of a layer that kernels are held to.
const FEWEST_VALUES: usize = 8;

/// How much of a bundle is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The outputs of every graph, each as the classifier loads it.
    Outputs,
    /// Every layer, which the engine gives as it never would otherwise.
    Layers,
}

/// How the layers of a bundle did. It serialises to the JSON of `hilbert selftest`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// Always `hilbert.selftest/1`.
    pub schema: &'static str,
    /// Name of the bundle.
    pub bundle: String,
    /// SHA-256 of its manifest.
    pub sha256: String,
    /// What computed: `f32`, or an instruction set.
    pub engine: String,
    /// [`ENGINE_DB`] or [`KERNELS_DB`].
    pub threshold_db: f64,
    /// The first layer under the threshold; none where all pass.
    pub first_under: Option<String>,
    /// Every layer that was tested, in the order of the computation.
    pub layers: Vec<LayerTest>,
}

/// How one layer did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerTest {
    /// Its graph.
    pub graph: String,
    /// The reference's module, such as `speech.layers.0`, or `GRAPH.OUTPUT`.
    pub name: String,
    /// Values compared.
    pub values: usize,
    /// This machine against what the bundle's own graph means: the engine's error alone.
    pub engine: Agreement,
    /// This machine against the graph in floats: the engine's error and that of the weights' form.
    pub float: Agreement,
}

impl SelfTest {
    /// The first layer in which the engine does not keep to the graph.
    #[must_use]
    pub fn first_failed(&self) -> Option<&LayerTest> {
        self.layers.iter().find(|layer| !self.passes(layer))
    }

    /// Whether the engine keeps to the graph in this layer. The ratio of a handful of numbers turns either way when activations
    /// are rounded: kernels are not held to it.
    #[must_use]
    pub fn passes(&self, layer: &LayerTest) -> bool {
        let is_held = self.threshold_db >= ENGINE_DB || layer.values >= FEWEST_VALUES;
        !is_held || layer.engine.snr_db >= self.threshold_db
    }
}

/// Runs every graph of `bundle` by `engine` on the inputs that it carries and compares what comes out with what it carries.
///
/// One graph is in memory at a time.
///
/// # Errors
/// Code 3 for a bundle that has no `taps.safetensors`, or one that does not fit its graphs; otherwise as
/// [`Graph::load_with_taps`] and [`Graph::run`].
pub fn selftest(bundle: &Bundle, depth: Depth, engine: Engine) -> Result<SelfTest> {
    let taps = Taps::parse(&bundle.read(taps::FILE)?)?;
    let manifest = bundle.manifest();
    let mut layers = Vec::new();
    for of_graph in taps.layers.chunk_by(|a, b| a.place.graph == b.place.graph) {
        let Some(name) = of_graph.first().map(|layer| &layer.place.graph) else { continue };
        let entry = manifest.graphs.get(name).ok_or_else(|| {
            does_not_fit(format!("a layer of the graph {name}"), "graphs of the manifest")
        })?;
        let onnx = bundle.read(&entry.file)?;
        layers.extend(test_graph(name, &onnx, entry, &taps, of_graph, (depth, engine))?);
    }
    let mut test = SelfTest {
        schema: "hilbert.selftest/1",
        bundle: manifest.name.clone(),
        sha256: bundle.manifest_sha256().to_owned(),
        threshold_db: match engine {
            Engine::Float => ENGINE_DB,
            Engine::Kernels(_) => KERNELS_DB,
        },
        engine: engine.to_string(),
        first_under: None,
        layers,
    };
    test.first_under = test.first_failed().map(|layer| layer.name.clone());
    Ok(test)
}

fn test_graph(
    name: &str,
    onnx: &[u8],
    entry: &GraphEntry,
    taps: &Taps,
    layers: &[Layer],
    (depth, engine): (Depth, Engine),
) -> Result<Vec<LayerTest>> {
    let is_output = |layer: &&Layer| entry.outputs.iter().any(|o| o.name == layer.place.value);
    let (outputs, inside): (Vec<&Layer>, Vec<&Layer>) = layers.iter().partition(is_output);
    let inside = if depth == Depth::Layers { inside } else { Vec::new() };
    let ports: Vec<_> = inside.iter().map(|layer| port(layer)).collect();
    let graph = Graph::load_with_taps(name, onnx, entry, &ports, engine)?;
    let stored: Vec<Stored> = entry
        .inputs
        .iter()
        .map(|port| taps.input(name, port))
        .collect::<hilbert_formats::Result<_>>()?;
    let inputs: Vec<Input<'_>> = stored.iter().map(input).collect::<Result<_>>()?;
    let values = graph.run_with_taps(&inputs)?;
    let value_of = |layer: &Layer| {
        let output = entry.outputs.iter().position(|o| o.name == layer.place.value);
        let tap = inside.iter().position(|other| other.place == layer.place);
        values.get(output.or(tap.map(|tap| entry.outputs.len() + tap))?)
    };
    let tested = layers.iter().filter(|layer| depth == Depth::Layers || outputs.contains(layer));
    tested
        .map(|layer| {
            let place = &layer.place;
            let values = value_of(layer).map_or(&[][..], Vec::as_slice);
            let found: Option<Vec<f32>> = place
                .positions(layer.own.len())
                .into_iter()
                .map(|at| values.get(at).copied())
                .collect();
            let found = found.ok_or_else(|| {
                does_not_fit(format!("{} of shape {:?}", place.name, place.shape), "the graph's")
            })?;
            Ok(LayerTest {
                graph: name.to_owned(),
                name: place.name.clone(),
                values: found.len(),
                engine: Agreement::between(&layer.own, &found),
                float: Agreement::between(&layer.float, &found),
            })
        })
        .collect()
}

fn port(layer: &Layer) -> TensorEntry {
    let (name, shape) = (layer.place.value.clone(), layer.place.shape.clone());
    TensorEntry { name, dtype: Dtype::F32, shape }
}

fn input(stored: &Stored) -> Result<Input<'_>> {
    match stored {
        Stored::F32(values) => Ok(Input::F32(values)),
        Stored::I64(values) => Ok(Input::I64(values)),
        Stored::Levels(_) => Err(Error::new(ErrorKind::Internal {
            what: "selftest",
            reason: "found levels where a port's own type was asked for".to_owned(),
        })),
    }
}

fn does_not_fit(found: String, expected: &str) -> Error {
    let (what, expected) = (taps::FILE.to_owned(), expected.to_owned());
    Error::new(ErrorKind::Bundle { what, found, expected })
}
