//! What is otherwise in one bundle than in another: manifest, graphs, files, and the documents that are decided otherwise.
//! Normative description of the JSON: `docs/inspect.md`.

mod documents;
mod fields;
mod graphs;
mod report;

use std::collections::BTreeSet;

use hilbert_formats::Bundle;
use serde::Serialize;

pub use self::documents::{
    ChangedDecision, DocumentDifference, DocumentOptions, Move, ProbableLabel, Stretch,
    TaskDifference,
};
pub use self::fields::FieldChange;
pub use self::graphs::{GraphChange, OperatorChange, TensorChange, TensorForm};
use crate::certificate::{Certificate, Status};
use crate::error::{ErrorKind, Result};
use crate::inspect::pieces;
use crate::progress::Progress;

/// The schema of the JSON.
pub const SCHEMA: &str = "hilbert.diff/1";

/// What is otherwise. Its `Display` is the output of `hilbert-export diff`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Always [`SCHEMA`].
    schema: &'static str,
    /// The old bundle.
    pub old: Side,
    /// The new bundle.
    pub new: Side,
    /// Fields of the manifest by their paths; what is said of files and graphs stands with these.
    pub manifest: Vec<FieldChange>,
    /// Graphs that are otherwise, by name.
    pub graphs: Vec<GraphChange>,
    /// Number of graphs that are the same.
    pub same_graphs: usize,
    /// Every file that is no graph, by name.
    pub files: Vec<FileChange>,
    /// Documents, where a list was given.
    pub documents: Option<DocumentDifference>,
}

/// One of the two bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// Version of its content.
    pub bundle_version: u32,
    /// SHA-256 of its manifest, which identifies it.
    pub manifest_sha256: String,
    /// What its certificate says; null without one.
    pub gate: Option<Status>,
    /// Pieces of its vocabulary.
    pub pieces: usize,
}

/// One file that is no graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its name.
    pub path: String,
    /// Whether it is otherwise.
    pub change: Change,
}

/// Whether something is otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is not.
    Same,
    /// Both bundles have it, and it is otherwise.
    Changed,
    /// Only the new bundle has it.
    Added,
    /// Only the old bundle has it.
    Removed,
}

/// Holds `new` against `old`: all their files and, where documents are given, what they decide on these.
///
/// # Errors
/// [`ErrorKind::Runtime`] for a bundle that the runtime refuses; as [`Certificate::of`]; whatever keeps a list or its recordings
/// from being read.
pub fn diff(
    old: &Bundle,
    new: &Bundle,
    documents: Option<&DocumentOptions>,
    progress: Progress<'_>,
) -> Result<Difference> {
    let graphs = graphs::changes(old, new)?;
    let all = old.manifest().graphs.keys().chain(new.manifest().graphs.keys());
    let all = all.collect::<BTreeSet<_>>().len();
    Ok(Difference {
        schema: SCHEMA,
        old: side(old)?,
        new: side(new)?,
        manifest: fields::of_manifests(old.manifest(), new.manifest()),
        same_graphs: all - graphs.len(),
        graphs,
        files: files(old, new)?,
        documents: documents
            .map(|options| documents::compare(old, new, options, progress))
            .transpose()?,
    })
}

fn side(bundle: &Bundle) -> Result<Side> {
    let manifest = bundle.manifest();
    Ok(Side {
        name: manifest.name.clone(),
        bundle_version: manifest.bundle_version,
        manifest_sha256: bundle.manifest_sha256().into(),
        gate: Certificate::of(bundle)?.map(|certificate| certificate.status),
        pieces: pieces(bundle)?,
    })
}

/// Every file of either bundle that holds none of its graphs, by name; each is read, so that its hash is checked.
fn files(old: &Bundle, new: &Bundle) -> Result<Vec<FileChange>> {
    let others = |bundle: &'_ Bundle| -> BTreeSet<String> {
        let manifest = bundle.manifest();
        let is_graph = |path: &str| manifest.graphs.values().any(|graph| graph.file == path);
        let files = manifest.files.iter().map(|file| file.path.clone());
        files.filter(|path| !is_graph(path) && bundle.has(path)).collect()
    };
    let (of_old, of_new) = (others(old), others(new));
    let mut files = Vec::new();
    for path in of_old.union(&of_new) {
        let read = |bundle: &Bundle, has: bool| {
            has.then(|| bundle.read(path)).transpose().map_err(ErrorKind::reading)
        };
        let change = match (read(old, of_old.contains(path))?, read(new, of_new.contains(path))?) {
            (Some(a), Some(b)) if a == b => Change::Same,
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        files.push(FileChange { path: path.clone(), change });
    }
    Ok(files)
}
