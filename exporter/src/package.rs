//! Puts graphs, manifest, vocabulary and taps into one folder, whole or not at all.
//!
//! The same checkpoint and options give the same bytes: nothing depends on time, machine or order of a hash.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use hilbert_formats::bundle::{Bundle, MANIFEST, sha256};
use hilbert_formats::manifest::{
    Alignment, Audio, Experts, Features, FileEntry, Fusion, Manifest, Provenance, SCHEMA, Task,
    Text, Weights,
};

use crate::checkpoint::{AlignmentConfig, Checkpoint, Config};
use crate::error::{ErrorKind, Result};
use crate::fusion::{self, BLOCK, Modality};
use crate::graph::Graph;
use crate::recipe::Recipe;
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

    /// The bundle, in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`], which only a fault of the exporter can cause.
    pub fn bundle(&self) -> Result<Bundle> {
        let mut files = self.files.clone();
        files.push((MANIFEST.into(), self.manifest.to_json().into()));
        Ok(Bundle::from_owned(files).map_err(|source| ErrorKind::Manifest { source })?)
    }

    /// Writes the bundle beside `target`; [`Staged::commit`] puts it there.
    ///
    /// # Errors
    /// [`ErrorKind::TargetExists`] for a bundle without `force`; [`ErrorKind::TargetNotBundle`] for anything else that
    /// exists, and for a bundle's folder with files that its manifest does not list; [`ErrorKind::Write`].
    pub fn stage(&self, target: &Path, force: bool) -> Result<Staged> {
        let replaces = replaceable(target, force)?;
        let not_folder =
            || ErrorKind::TargetNotBundle { path: target.into(), found: "no folder's name".into() };
        let name = target.file_name().ok_or_else(not_folder)?.to_string_lossy();
        let beside =
            |end: &str| target.with_file_name(format!(".{name}.{}.{end}", std::process::id()));
        let (folder, target) = (beside("partial"), target.to_path_buf());
        let replaced = replaces.then(|| beside("replaced"));
        if let Some(parent) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(write_error(parent))?;
        }
        fs::create_dir(&folder).map_err(write_error(&folder))?;
        let staged = Staged { folder, target, replaced };
        for (name, bytes) in &self.files {
            write(&staged.folder.join(name), bytes)?;
        }
        write(&staged.folder.join(MANIFEST), self.manifest.to_json().as_bytes())?;
        Ok(staged)
    }
}

/// A bundle that is written but not yet at its place. Dropped without [`Staged::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    target: PathBuf,
    replaced: Option<PathBuf>,
}

impl Staged {
    /// Where the bundle is now.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the bundle at its target by renaming; a bundle that stands there is removed after it.
    ///
    /// # Errors
    /// [`ErrorKind::Write`]; a bundle that stood at the target is then back at its place.
    pub fn commit(self) -> Result<()> {
        if let Some(replaced) = &self.replaced {
            fs::rename(&self.target, replaced).map_err(write_error(&self.target))?;
        }
        let renamed = fs::rename(&self.folder, &self.target).map_err(write_error(&self.target));
        if let Some(replaced) = &self.replaced {
            if renamed.is_err() {
                fs::rename(replaced, &self.target).map_err(write_error(&self.target))?;
            } else {
                fs::remove_dir_all(replaced).map_err(write_error(replaced))?;
            }
        }
        Ok(renamed?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.folder.exists() {
            // A folder that cannot be removed stays: the error that led here says more than this one would.
            drop(fs::remove_dir_all(&self.folder));
        }
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

/// Whether a bundle stands at `target` that may be replaced; anything else there is an error.
fn replaceable(target: &Path, force: bool) -> Result<bool> {
    if fs::symlink_metadata(target).is_err() {
        return Ok(false);
    }
    let other =
        |found: &str| ErrorKind::TargetNotBundle { path: target.into(), found: found.into() };
    let Ok(entries) = fs::read_dir(target) else { return Err(other("a file").into()) };
    let manifest =
        fs::read(target.join(MANIFEST)).map_err(|_| other("a folder without manifest.json"))?;
    let manifest = Manifest::parse(&manifest)
        .map_err(|e| other(&format!("a folder whose manifest is not valid ({e})")))?;
    let mut listed: BTreeSet<_> = manifest.files.iter().map(|f| f.path.as_str()).collect();
    listed.insert(MANIFEST);
    for entry in entries {
        let name = entry.map_err(write_error(target))?.file_name();
        if !name.to_str().is_some_and(|n| listed.contains(n)) {
            let found = format!(
                "a bundle's folder with {}, which its manifest does not list",
                name.display()
            );
            return Err(other(&found).into());
        }
    }
    if force { Ok(true) } else { Err(ErrorKind::TargetExists { path: target.into() }.into()) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    Ok(written.map_err(write_error(path))?)
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> ErrorKind {
    move |source| ErrorKind::Write { path: path.into(), source }
}
