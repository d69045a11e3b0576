//! Graphs, manifest, vocabulary and taps of one bundle.
//!
//! The same checkpoint and options give the same bytes: nothing depends on time, machine or order of a hash.

use std::collections::BTreeMap;
use std::iter;
use std::path::Path;

use hilbert_formats::bundle::{Bundle, MANIFEST, sha256};
use hilbert_formats::manifest::{
    Alignment, Audio, Experts, Features, FileEntry, Fusion, GraphMemory, Manifest, Provenance,
    SCHEMA, Task, Text, Weights,
};

use crate::checkpoint::{AlignmentConfig, Checkpoint, Config};
use crate::error::{ErrorKind, Result};
use crate::fusion::{self, BLOCK, Modality};
use crate::graph::Graph;
use crate::recipe::Recipe;
use crate::staged::{Form, Staged};
use crate::{alignment, moe, speech, text};

const VOCABULARY: &str = "vocab.txt";

/// Words of more characters are `[UNK]`: the limit of `word_pieces.tokenizer` in the reference.
const MAX_WORD_CHARS: usize = 100;

/// A bundle in memory, its manifest checked.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Manifest,
    files: Vec<(String, Vec<u8>)>,
}

impl Package {
    /// Builds every graph of `checkpoint`.
    ///
    /// It has neither taps nor a certificate yet: [`Package::with_file`].
    ///
    /// # Errors
    /// [`ErrorKind::Recipe`] for rules that name no tensor; [`ErrorKind::Manifest`] where the checkpoint's facts, the name or the version are not what a manifest may hold.
    pub fn new(
        checkpoint: &Checkpoint,
        recipe: &Recipe,
        name: &str,
        bundle_version: u32,
    ) -> Result<Self> {
        let tensors = checkpoint.quantisable();
        let problems = recipe.problems(&tensors);
        if !problems.is_empty() {
            return Err(ErrorKind::Recipe { problems }.into());
        }
        let graphs = graphs(checkpoint, recipe)?;
        let entries = graphs.iter().map(|g| (g.name.clone(), g.entry.clone())).collect();
        let mut files: Vec<_> = graphs.into_iter().map(|g| (g.entry.file, g.bytes)).collect();
        files.push((VOCABULARY.into(), checkpoint.vocabulary().to_vec()));
        files.sort();
        let config = checkpoint.config();
        let (mel, model) = (&config.log_mel, &config.model);
        let manifest = Manifest {
            schema: SCHEMA.into(),
            name: name.into(),
            bundle_version,
            weights: if recipe.any_int8(&tensors) { Weights::Int8 } else { Weights::F32 },
            licence: config.licence.clone(),
            provenance: Provenance {
                checkpoint_sha256: checkpoint.sha256().into(),
                data_sha256: config.provenance.data_sha256.clone(),
                device: config.provenance.device.clone(),
                seed: config.provenance.seed,
                versions: config.provenance.versions.clone(),
                credits: config.credits.clone(),
                exporter: env!("CARGO_PKG_VERSION").into(),
            },
            files: files.iter().map(|(path, bytes)| file_entry(path, bytes)).collect(),
            graphs: entries,
            audio: Audio { sample_rate: mel.sample_rate },
            features: Features::LogMel {
                n_fft: mel.n_fft,
                hop: mel.hop,
                n_mels: mel.n_mels,
                frames: mel.frames,
                floor: mel.floor,
                dynamic_range: mel.dynamic_range,
                offset: mel.offset,
                scale: mel.scale,
            },
            segmentation: config.segmentation.clone(),
            text: Text::WordPiece {
                vocabulary: VOCABULARY.into(),
                max_tokens: model.text.max_tokens,
                max_word_chars: MAX_WORD_CHARS,
            },
            fusion: Fusion {
                width: model.fusion.width,
                heads: model.fusion.heads,
                block: BLOCK,
                n_max: model.fusion.n_max,
                period_min_s: model.fusion.period_min_s,
                period_max_s: model.fusion.period_max_s,
            },
            experts: Experts {
                count: model.experts.count,
                width: model.experts.width,
                threshold: model.experts.threshold,
            },
            tasks: tasks(checkpoint),
            alignment: alignment_entry(config),
        };
        Ok(Self { manifest: checked(&manifest)?, files })
    }

    /// The content of a file; empty where there is none.
    #[must_use]
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.iter().find(|(path, _)| path == name).map_or(&[], |(_, bytes)| bytes)
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every file beside the manifest: name and content, by name.
    #[must_use]
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// The same bundle with one more file, listed with its hash.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] for a name that a manifest may not hold.
    pub fn with_file(mut self, name: &str, bytes: Vec<u8>) -> Result<Self> {
        self.manifest.files.push(file_entry(name, &bytes));
        self.manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.files.push((name.into(), bytes));
        self.files.sort();
        Ok(Self { manifest: checked(&self.manifest)?, files: self.files })
    }

    /// The same bundle whose manifest states the heap of each graph.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] for figures that a manifest may not hold, or of some graphs alone.
    pub fn with_memory(mut self, figures: &BTreeMap<String, GraphMemory>) -> Result<Self> {
        for (name, entry) in &mut self.manifest.graphs {
            entry.memory = figures.get(name).copied();
        }
        Ok(Self { manifest: checked(&self.manifest)?, files: self.files })
    }

    /// The bundle, in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`], which only a fault of the exporter can cause.
    pub fn bundle(&self) -> Result<Bundle> {
        let mut files = self.files.clone();
        files.push((MANIFEST.into(), self.manifest.to_json().into()));
        Ok(Bundle::from_owned(files).map_err(|source| ErrorKind::Manifest { source })?)
    }

    /// Writes the bundle beside the folder `target`; [`Staged::commit`] puts it there.
    ///
    /// # Errors
    /// As [`Staged::new`].
    pub fn stage(&self, target: &Path, force: bool) -> Result<Staged> {
        let manifest = (MANIFEST.to_owned(), self.manifest.to_json().into_bytes().into());
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), bytes.into()));
        Staged::new(iter::once(manifest).chain(files).map(Ok), Form::Folder, target, force)
    }
}

fn graphs(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Vec<Graph>> {
    let config = &checkpoint.config().model;
    let speech =
        checkpoint.speech_onnx().map(|encoder| Ok(encoder.graph(checkpoint.config(), recipe)));
    let text = checkpoint.text_onnx().map(|encoder| Ok(encoder.graph(checkpoint.config(), recipe)));
    let mut graphs = vec![
        speech.unwrap_or_else(|| speech::speech_encoder(checkpoint, recipe))?,
        text.unwrap_or_else(|| text::text_encoder(checkpoint, recipe))?,
    ];
    if let Some(head) = &checkpoint.config().alignment {
        graphs.push(alignment::alignment(checkpoint, head, recipe)?);
    }
    for modality in Modality::BOTH {
        graphs.push(fusion::project(checkpoint, recipe, modality)?);
        graphs.push(fusion::cross(checkpoint, recipe, modality)?);
        graphs.push(fusion::finish(checkpoint, recipe, modality)?);
    }
    graphs.push(fusion::join(checkpoint, recipe)?);
    graphs.push(moe::router(checkpoint, recipe)?);
    for i in 0..config.experts.count {
        graphs.push(moe::expert(checkpoint, recipe, i)?);
    }
    for task in &config.tasks {
        graphs.push(moe::head(checkpoint, recipe, task)?);
    }
    Ok(graphs)
}

fn alignment_entry(config: &Config) -> Option<Alignment> {
    let AlignmentConfig { hidden: _, alphabet, margin_s, worst_fit, integrity } =
        config.alignment.clone()?;
    let speech = &config.model.speech;
    let (frames, width) = (speech.frames / speech.reduction(), speech.width);
    Some(Alignment { frames, width, alphabet, margin_s, worst_fit, integrity })
}

fn tasks(checkpoint: &Checkpoint) -> Vec<Task> {
    let config = checkpoint.config();
    let with_calibration = |task: &crate::checkpoint::TaskConfig| {
        let calibration = config.calibration.get(&task.name)?.clone();
        let conformal = config.conformal.get(&task.name).cloned();
        let (name, labels) = (task.name.clone(), task.labels.clone());
        Some(Task { name, kind: task.kind, labels, calibration, conformal, threshold: None })
    };
    config.model.tasks.iter().filter_map(with_calibration).collect()
}

fn file_entry(path: &str, bytes: &[u8]) -> FileEntry {
    FileEntry {
        path: path.into(),
        bytes: bytes.len() as u64,
        sha256: sha256(bytes),
        optional: false,
    }
}

/// The manifest as a reader gets it.
fn checked(manifest: &Manifest) -> Result<Manifest> {
    Ok(Manifest::parse(manifest.to_json().as_bytes())
        .map_err(|source| ErrorKind::Manifest { source })?)
}
