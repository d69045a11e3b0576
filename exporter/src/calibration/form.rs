//! One bundle as graphs that run. Bundles share the graphs that they have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use hilbert_formats::Bundle;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::{Manifest, Weights};
use hilbert_runtime::{
    Alignment, AlignmentHead, Engine, Fusion, Graph, MixtureOfExperts, SpeechEncoder, TextEncoder,
};

use crate::error::{Error, ErrorKind, Result};

/// Graphs that were loaded, by the SHA-256 of their files, their engine and its version.
#[derive(Debug, Clone, Default)]
pub struct Loaded(BTreeMap<String, Arc<Graph>>);

/// The stages of one bundle, from the encoders to the experts.
#[derive(Debug)]
pub struct Form {
    /// Constants.
    pub manifest: Manifest,
    /// Content of the vocabulary's file.
    pub vocabulary: Vec<u8>,
    /// A segment to its row and its frames.
    pub speech_encoder: SpeechEncoder,
    /// A row of tokens to its row.
    pub text_encoder: TextEncoder,
    /// Rows to the document.
    pub fusion: Fusion,
    /// The document to every task's output.
    pub experts: MixtureOfExperts,
    /// What the text of cues is held against.
    pub alignment: Option<(AlignmentHead, Alignment)>,
    /// What the rows of a recording depend on: the speech encoder's and the alignment head's file, and the engine.
    pub speech_key: String,
    /// What the rows of a transcript depend on: the text encoder's file, and the engine.
    pub text_key: String,
}

/// What decides as such a bundle ships: int8 weights are multiplied as int8.
fn engine(weights: Weights) -> Engine {
    match weights {
        Weights::F32 => Engine::Float,
        Weights::Int8 => Engine::detect(),
    }
}

/// Its name: `f32`, or `kernels`, which give the same bits on every instruction set.
#[must_use]
pub fn engine_name(weights: Weights) -> String {
    match engine(weights) {
        Engine::Float => Engine::Float.to_string(),
        Engine::Kernels(_) => "kernels".to_owned(),
    }
}

impl Form {
    /// The graphs of `bundle`, those that `loaded` has already and the others.
    ///
    /// # Errors
    /// [`ErrorKind::Runtime`] for a file or a graph that the runtime refuses.
    pub fn new(bundle: &Bundle, loaded: &mut Loaded) -> Result<Self> {
        let manifest = bundle.manifest().clone();
        let engine = engine(manifest.weights);
        let read = |file: &str| bundle.read(file).map_err(|error| refused(error.into()));
        let (mut graphs, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for (name, entry) in &manifest.graphs {
            let file = manifest.files.iter().find(|file| file.path == entry.file);
            let file = file.ok_or_else(|| ErrorKind::NoGraph { name: name.clone() })?;
            // Another version may round otherwise.
            let key = format!(
                "{} {} {}",
                file.sha256,
                engine_name(manifest.weights),
                env!("CARGO_PKG_VERSION")
            );
            let graph = match loaded.0.get(&key) {
                Some(graph) => Arc::clone(graph),
                None => {
                    let onnx = read(&entry.file)?;
                    Arc::new(Graph::load(name, &onnx, entry, engine).map_err(refused)?)
                }
            };
            graphs.insert(name.clone(), Arc::clone(&graph));
            loaded.0.insert(key.clone(), graph);
            keys.insert(name.as_str(), key);
        }
        let key = |name: &str| keys.get(name).map_or("", String::as_str);
        let missing = |name: &str| {
            hilbert_runtime::ErrorKind::Internal {
                what: "calibration",
                reason: format!("found no graph {name}"),
            }
            .into()
        };
        let graph = |name: &str| graphs.get(name).cloned().ok_or_else(|| missing(name));
        let alignment = match &manifest.alignment {
            None => None,
            Some(constants) => Some((
                AlignmentHead::new(graph("alignment").map_err(refused)?),
                Alignment::new(constants, &manifest.features, &manifest.audio).map_err(refused)?,
            )),
        };
        Ok(Self {
            speech_encoder: SpeechEncoder::new(graph("speech_encoder").map_err(refused)?),
            text_encoder: TextEncoder::new(graph("text_encoder").map_err(refused)?),
            fusion: Fusion::new(&manifest.fusion, graph).map_err(refused)?,
            experts: MixtureOfExperts::new(&manifest.experts, &manifest.tasks, graph)
                .map_err(refused)?,
            alignment,
            speech_key: sha256([key("speech_encoder"), key("alignment")].concat().as_bytes()),
            text_key: key("text_encoder").into(),
            vocabulary: read(manifest.text.vocabulary())?.into_owned(),
            manifest,
        })
    }
}

fn refused(source: hilbert_runtime::Error) -> Error {
    ErrorKind::Runtime { stage: "loading it".into(), source }.into()
}
