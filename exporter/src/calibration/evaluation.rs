//! One set of calibration documents, decided once by one bundle and then by every other that is held against it.

use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::Manifest;

use super::decisions::{Decided, decide_all};
use super::documents::{Document, Extent, draw};
use super::features::{Cache, Features};
use super::form::{Form, Loaded};
use super::gate::{self, TaskMeasures, Truth};
use super::list::{List, Words};
use crate::checkpoint::{Checkpoint, read};
use crate::error::{ErrorKind, Result};
use crate::package::Package;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// Documents, and what the bundle decides that others are held against.
pub struct Evaluation<'a> {
    list: &'a List,
    cache: Cache<'a>,
    progress: Progress<'a>,
    extents: Vec<Extent>,
    documents: Vec<Document>,
    loaded: Loaded,
    manifest: Manifest,
    decided: Vec<Decided>,
}

impl<'a> Evaluation<'a> {
    /// Encodes all entries of `list` as `bundle` does, draws `count` documents of them and decides these.
    ///
    /// # Errors
    /// [`ErrorKind::Calibration`] where the list gives fewer documents; whatever keeps a recording from being read.
    pub fn new(
        bundle: &Bundle,
        list: &'a List,
        count: usize,
        cache: &'a Path,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let evaluation = Self::up_to(bundle, list, count, cache, progress)?;
        let (found, recordings) = (evaluation.documents.len(), list.entries().len());
        if found < count {
            let problem = format!(
                "found {found} different documents in {recordings} recordings, expected {count}; --documents asks for fewer"
            );
            return Err(too_few(list, problem).into());
        }
        Ok(evaluation)
    }

    /// The same with as many documents as the list gives, where these are fewer.
    ///
    /// # Errors
    /// Whatever keeps a recording from being read.
    pub fn up_to(
        bundle: &Bundle,
        list: &'a List,
        count: usize,
        cache: &'a Path,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let mut loaded = Loaded::default();
        let form = Form::new(bundle, &mut loaded)?;
        let cache = Cache::new(cache);
        let features = encoded(&cache, &form, list, progress)?;
        let documents = draw(&features, count);
        let decided = decide_all(&form, &features, &documents)?;
        let extents = extents(&form, &features);
        let manifest = form.manifest;
        Ok(Self { list, cache, progress, extents, documents, loaded, manifest, decided })
    }

    /// The documents.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// What each entry of the list is cut into.
    #[must_use]
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// What was decided on each document.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// What `bundle` decides on the same documents, held against what was decided.
    ///
    /// # Errors
    /// As [`Evaluation::new`]; [`ErrorKind::Calibration`] for labels of the list that the tasks lack.
    pub fn measure(&self, bundle: &Bundle) -> Result<Vec<TaskMeasures>> {
        let truth = self.truth()?;
        let shipped = self.decide(bundle)?;
        Ok(gate::measure(&self.manifest.tasks, &truth, &self.decided, &shipped))
    }

    /// How many decisions of `bundle` differ, and by how much its probabilities do: half the sum of absolute differences, on
    /// average over documents and tasks.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn shift(&self, bundle: &Bundle) -> Result<(usize, f64)> {
        let shipped = self.decide(bundle)?;
        let (mut different, mut sum, mut count) = (0, 0.0, 0.0);
        for (a, b) in self.decided.iter().zip(&shipped) {
            different += usize::from(a.integrity_class() != b.integrity_class());
            for (a, b) in a.tasks.iter().zip(&b.tasks) {
                different += usize::from(a.labels != b.labels);
                let gaps = a.probabilities.iter().zip(&b.probabilities).map(|(p, q)| (p - q).abs());
                sum += gaps.sum::<f64>() / 2.0;
                count += 1.0;
            }
        }
        Ok((different, if count > 0.0 { sum / count } else { 0.0 }))
    }

    /// What `bundle` decides on the same documents; on those of which it cuts nothing like them, nothing.
    ///
    /// # Errors
    /// As [`Evaluation::new`].
    pub fn decide(&self, bundle: &Bundle) -> Result<Vec<Decided>> {
        // A copy: the graphs of one bundle after the other would add up.
        let form = Form::new(bundle, &mut self.loaded.clone())?;
        let features = encoded(&self.cache, &form, self.list, self.progress)?;
        let extents = extents(&form, &features);
        let carried = self.documents.iter().map(|d| d.carried(&self.extents, &extents));
        decide_all(&form, &features, &carried.collect::<Vec<_>>())
    }

    /// What the list knows of each document's labels.
    fn truth(&self) -> Result<Truth> {
        let mut labels = Vec::new();
        for entry in self.list.entries() {
            let tasks = self.manifest.tasks.iter().map(|task| self.list.labels(entry, task));
            labels.push(tasks.collect::<Result<Vec<_>>>()?);
        }
        let unknown = vec![None; self.manifest.tasks.len()];
        let known = |d: &Document| d.entry().map_or(&unknown, |entry| &labels[entry]).clone();
        Ok(self.documents.iter().map(known).collect())
    }
}

/// The bundle of a checkpoint's form, to be held against others: neither name nor version matter.
///
/// # Errors
/// As [`Package::new`].
pub fn bundle_of(checkpoint: &Checkpoint, recipe: &Recipe) -> Result<Bundle> {
    Package::new(checkpoint, recipe, &checkpoint.config().name, 1)?.bundle()
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

fn encoded(
    cache: &Cache<'_>,
    form: &Form,
    list: &List,
    progress: Progress<'_>,
) -> Result<Vec<Features>> {
    let entries = list.entries();
    let mut all = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        progress("encoding recordings", i, entries.len());
        all.push(cache.features(form, entry)?);
    }
    progress("encoding recordings", entries.len(), entries.len());
    Ok(all)
}

fn extents(form: &Form, features: &[Features]) -> Vec<Extent> {
    let rate = form.manifest.audio.sample_rate;
    features.iter().map(|features| Extent::new(features, rate)).collect()
}

fn too_few(list: &List, problem: String) -> ErrorKind {
    ErrorKind::Calibration { path: list.path().into(), problems: vec![problem] }
}
