//! One set of calibration documents, decided once by the floats and then by every form that is held against them.

use std::path::Path;

use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::{Manifest, Weights};

use super::decisions::{Decided, decide_all};
use super::documents::{Document, draw};
use super::features::{Cache, Features};
use super::form::{Form, Loaded};
use super::gate::{self, TaskMeasures, Truth};
use super::list::{Entry, List, Words};
use crate::checkpoint::{Checkpoint, read};
use crate::error::{ErrorKind, Result};
use crate::package::Package;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// Documents, what is known of them, and what the f32 form decides.
pub struct Evaluation<'a> {
    checkpoint: &'a Checkpoint,
    cache: Cache<'a>,
    progress: Progress<'a>,
    entries: Vec<Entry>,
    documents: Vec<Document>,
    truth: Truth,
    loaded: Loaded,
    manifest: Manifest,
    float: Vec<Decided>,
}

impl<'a> Evaluation<'a> {
    /// Encodes all entries of `list` in the f32 form, draws `count` documents of them and decides these.
    ///
    /// # Errors
    /// [`ErrorKind::Calibration`] where the list gives fewer documents or has labels that the tasks lack; whatever keeps a
    /// recording from being read.
    pub fn new(
        checkpoint: &'a Checkpoint,
        list: &List,
        count: usize,
        cache: &'a Path,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let package = package(checkpoint, &Recipe::uniform(Weights::F32))?;
        let mut loaded = Loaded::default();
        let form = Form::new(&package, &mut loaded)?;
        let cache = Cache::new(cache, checkpoint);
        let entries = list.entries().to_vec();
        let features = encoded(&cache, &form, &entries, progress)?;
        let documents = draw(&features, count);
        if documents.len() < count {
            let (found, recordings) = (documents.len(), entries.len());
            let problem = format!(
                "found {found} different documents in {recordings} recordings, expected {count}; --documents asks for fewer"
            );
            return Err(too_few(list, problem).into());
        }
        let mut labels = Vec::new();
        for entry in &entries {
            let tasks = form.manifest.tasks.iter().map(|task| list.labels(entry, task));
            labels.push(tasks.collect::<Result<Vec<_>>>()?);
        }
        let unknown = vec![None; form.manifest.tasks.len()];
        let known = |d: &Document| d.entry().map_or(&unknown, |entry| &labels[entry]).clone();
        let truth = documents.iter().map(known).collect();
        let float = decide_all(&form, &features, &documents)?;
        let manifest = form.manifest;
        Ok(Self { checkpoint, cache, progress, entries, documents, truth, loaded, manifest, float })
    }

    /// Number of documents.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// What the form of `recipe` decides on the same documents, held against the f32 form.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn measure(&self, recipe: &Recipe) -> Result<Vec<TaskMeasures>> {
        let shipped = self.decide(recipe)?;
        Ok(gate::measure(&self.manifest.tasks, &self.truth, &self.float, &shipped))
    }

    /// How many decisions of the form of `recipe` differ, and by how much its probabilities do: half the sum of absolute
    /// differences, on average over documents and tasks.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn shift(&self, recipe: &Recipe) -> Result<(usize, f64)> {
        let shipped = self.decide(recipe)?;
        let (mut different, mut sum, mut count) = (0, 0.0, 0.0);
        for (a, b) in self.float.iter().zip(&shipped) {
            different += usize::from(a.integrity != b.integrity);
            for (a, b) in a.tasks.iter().zip(&b.tasks) {
                different += usize::from(a.labels != b.labels);
                let gaps = a.probabilities.iter().zip(&b.probabilities).map(|(p, q)| (p - q).abs());
                sum += gaps.sum::<f64>() / 2.0;
                count += 1.0;
            }
        }
        Ok((different, if count > 0.0 { sum / count } else { 0.0 }))
    }

    fn decide(&self, recipe: &Recipe) -> Result<Vec<Decided>> {
        let package = package(self.checkpoint, recipe)?;
        // A copy: the graphs of one form after the other would add up.
        let form = Form::new(&package, &mut self.loaded.clone())?;
        let features = encoded(&self.cache, &form, &self.entries, self.progress)?;
        decide_all(&form, &features, &self.documents)
    }
}

/// SHA-256 over the list and, entry by entry, over what it names.
///
/// # Errors
/// [`ErrorKind::Read`].
pub fn list_sha256(list: &List) -> Result<String> {
    let mut content = sha256(&read(list.path())?);
    for entry in list.entries() {
        let words = match &entry.words {
            Some(Words::File(path)) => Some(path),
            _ => None,
        };
        for path in entry.recording.iter().chain(words) {
            content += &sha256(&read(path)?);
        }
    }
    Ok(sha256(content.as_bytes()))
}

/// Graphs alone: neither name nor version matter here.
fn package(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Package> {
    Package::new(checkpoint, recipe, &checkpoint.config().name, 1)
}

fn encoded(
    cache: &Cache<'_>,
    form: &Form,
    entries: &[Entry],
    progress: Progress<'_>,
) -> Result<Vec<Features>> {
    let mut all = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        progress("encoding recordings", i, entries.len());
        all.push(cache.features(form, entry)?);
    }
    progress("encoding recordings", entries.len(), entries.len());
    Ok(all)
}

fn too_few(list: &List, problem: String) -> ErrorKind {
    ErrorKind::Calibration { path: list.path().into(), problems: vec![problem] }
}
