//! A bundle loaded: every graph ready to run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hilbert_formats::{Bundle, Manifest};

use super::front_end::FrontEnd;
use crate::alignment::{Alignment, AlignmentHead};
use crate::encoder::{SpeechEncoder, TextEncoder};
use crate::engine::{Engine, Graph};
use crate::error::{Error, ErrorKind, Result};
use crate::fusion::Fusion;
use crate::moe::MixtureOfExperts;

/// A model: the graphs, vocabulary and constants of one bundle.
///
/// It is immutable and may be shared by any number of classifiers in any number of threads.
pub struct Model {
    manifest: Manifest,
    sha256: String,
    engine: Engine,
    graphs: BTreeMap<String, Arc<Graph>>,
    pub(super) vocabulary: Cow<'static, [u8]>,
    pub(super) speech_encoder: SpeechEncoder,
    pub(super) text_encoder: TextEncoder,
    pub(super) fusion: Fusion,
    pub(super) experts: MixtureOfExperts,
    pub(super) alignment: Option<(AlignmentHead, Alignment)>,
}

impl Model {
    /// Loads the bundle at `path`, a folder or an archive. [`Bundle::open_trusted`] opens one that must be signed.
    ///
    /// # Errors
    /// Code 3, when the bundle is missing, corrupt or incompatible.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_bundle(&Bundle::open(path.as_ref())?)
    }

    /// Loads a bundle, from a folder, from an archive or embedded in the program.
    ///
    /// # Errors
    /// Code 3: [`ErrorKind::Formats`] for a file that is missing or differs from the manifest, [`ErrorKind::GraphLoad`] and
    /// [`ErrorKind::GraphSignature`] for its graphs, [`ErrorKind::Setting`] and [`ErrorKind::Bundle`] for its front end.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self> {
        Self::from_bundle_on(Engine::detect(), bundle)
    }

    /// Loads a bundle as [`Model::from_bundle`] does, to be computed by `engine`.
    ///
    /// # Errors
    /// As [`Model::from_bundle`].
    pub fn from_bundle_on(engine: Engine, bundle: &Bundle) -> Result<Self> {
        let started = Instant::now();
        let manifest = bundle.manifest().clone();
        let vocabulary = bundle.read(manifest.text.vocabulary())?;
        // Fails here rather than at the first document.
        FrontEnd::new(&manifest, &vocabulary)?;
        let mut graphs = BTreeMap::new();
        // The largest file first, while the least stands beside it.
        for (name, entry, _) in manifest.graphs_by_size() {
            let onnx = bundle.read_content(&entry.file)?;
            let graph = Graph::load_content(name, &onnx, entry, engine)?;
            graphs.insert(name.clone(), Arc::new(graph));
        }
        let graph = |name: &str| graphs.get(name).cloned().ok_or_else(|| missing(name));
        let model = Self {
            speech_encoder: SpeechEncoder::new(graph("speech_encoder")?),
            text_encoder: TextEncoder::new(graph("text_encoder")?),
            fusion: Fusion::new(&manifest.fusion, graph)?,
            experts: MixtureOfExperts::new(&manifest.experts, &manifest.tasks, graph)?,
            alignment: match &manifest.alignment {
                Some(constants) => Some((
                    AlignmentHead::new(graph("alignment")?),
                    Alignment::new(constants, &manifest.features, &manifest.audio)?,
                )),
                None => None,
            },
            vocabulary,
            sha256: bundle.manifest_sha256().to_owned(),
            engine,
            manifest,
            graphs,
        };
        let elapsed_ms = started.elapsed().as_millis();
        log::info!(
            "bundle {}: {} graphs loaded in {elapsed_ms} ms",
            model.manifest.name,
            model.graphs.len()
        );
        Ok(model)
    }

    /// The graph `name`, as [`Manifest::graph_names`] lists them.
    #[must_use]
    pub fn graph(&self, name: &str) -> Option<&Graph> {
        self.graphs.get(name).map(|graph| &**graph)
    }

    /// The bundle's manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of `manifest.json`, 64 lower-case hexadecimal digits. It identifies the bundle with all its files.
    #[must_use]
    pub fn bundle_sha256(&self) -> &str {
        &self.sha256
    }

    /// What computes its graphs.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The speech encoder.
    #[must_use]
    pub const fn speech_encoder(&self) -> &SpeechEncoder {
        &self.speech_encoder
    }

    /// The text encoder.
    #[must_use]
    pub const fn text_encoder(&self) -> &TextEncoder {
        &self.text_encoder
    }

    /// The fusion.
    #[must_use]
    pub const fn fusion(&self) -> &Fusion {
        &self.fusion
    }

    /// The mixture of experts.
    #[must_use]
    pub const fn experts(&self) -> &MixtureOfExperts {
        &self.experts
    }

    /// The alignment head and what its posteriors are held against, if the bundle has them.
    #[must_use]
    pub fn alignment(&self) -> Option<(&AlignmentHead, &Alignment)> {
        self.alignment.as_ref().map(|(head, alignment)| (head, alignment))
    }
}

/// A manifest that was parsed has every graph.
fn missing(name: &str) -> Error {
    Error::new(ErrorKind::Internal { what: "model", reason: format!("found no graph {name}") })
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.manifest.name)
            .field("sha256", &self.sha256)
            .field("graphs", &self.graphs.keys())
            .finish_non_exhaustive()
    }
}
