//! Which documents two bundles decide otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hilbert_formats::{Bundle, Manifest};
use serde::Serialize;

use crate::calibration::decisions::{Decided, TaskDecision};
use crate::calibration::documents::{Crop, Document, Extent};
use crate::calibration::list::{Entry, Words};
use crate::calibration::{Evaluation, List};
use crate::error::Result;
use crate::progress::Progress;

/// Which documents are decided.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentOptions {
    /// The list, as `train.py --data` reads it.
    pub list: PathBuf,
    /// Documents drawn of it, as the gate draws them; fewer where it does not give as many.
    pub documents: usize,
    /// Folder that keeps what the encoders made of each recording.
    pub cache: PathBuf,
}

/// What two bundles decide on the same documents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentDifference {
    /// Recordings or transcripts of the list.
    pub recordings: usize,
    /// Documents: crops and pairs of them, as the old bundle cuts them.
    pub documents: usize,
    /// Of these not compared, for the new bundle cuts recordings otherwise and nothing of it lies in them.
    pub without_counterpart: usize,
    /// Tasks that both have, then `integrity` where both have it.
    pub tasks: Vec<TaskDifference>,
    /// Tasks that only one has; not compared.
    pub not_shared: Vec<String>,
    /// Each decision that is otherwise, in the order of the documents.
    pub changed: Vec<ChangedDecision>,
}

/// What both decide on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskDifference {
    /// Its name, or `integrity`.
    pub name: String,
    /// Whether both have the same labels; decisions are compared by labels all the same.
    pub same_labels: bool,
    /// Decisions compared.
    pub decisions: usize,
    /// How many of them differ.
    pub different: usize,
    /// How often each label became which, those that stayed among them.
    pub moves: Vec<Move>,
}

/// How often one decision became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Labels that the old bundle decided for; several or none of a multi-label task, none of an `integrity` without score.
    pub old: Vec<String>,
    /// Labels that the new bundle decided for.
    pub new: Vec<String>,
    /// Documents.
    pub documents: usize,
}

/// One decision that is otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedDecision {
    /// The task.
    pub task: String,
    /// What is heard; null without sound.
    pub audio: Option<Stretch>,
    /// What is read; null without words.
    pub text: Option<Stretch>,
    /// Labels that the old bundle decided for.
    pub old: Vec<ProbableLabel>,
    /// Labels that the new bundle decided for.
    pub new: Vec<ProbableLabel>,
}

/// A part of a recording or of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stretch {
    /// Line of the list, from 1.
    pub line: usize,
    /// The file; null where the line itself has the words.
    pub file: Option<PathBuf>,
    /// First and last segment of the line's recording, from 1; without a recording, rows of tokens.
    pub range: [usize; 2],
    /// Start and end, seconds; null without a recording.
    pub span_s: Option<[f64; 2]>,
}

/// A label that was decided for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbableLabel {
    /// The label.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f64,
}

/// Decides the documents of a list with both bundles.
///
/// # Errors
/// As [`List::open`] and [`Evaluation::up_to`].
pub(super) fn compare(
    old: &Bundle,
    new: &Bundle,
    options: &DocumentOptions,
    progress: Progress<'_>,
) -> Result<DocumentDifference> {
    let list = List::open(&options.list)?;
    let evaluation = Evaluation::up_to(old, &list, options.documents, &options.cache, progress)?;
    let decided = evaluation.decide(new)?;
    let pairs = evaluation.decided().iter().zip(&decided).zip(evaluation.documents());
    let is_compared = |((old, new), _): &((&Decided, &Decided), &Document)| {
        old.tasks.is_empty() || !new.tasks.is_empty()
    };
    let pairs: Vec<_> = pairs.filter(is_compared).collect();
    let (shared, not_shared) = shared(old.manifest(), new.manifest());
    let mut tasks = Vec::new();
    let mut changed = Vec::new();
    for task in &shared {
        let mut moves = BTreeMap::<_, usize>::new();
        for (i, ((a, b), document)) in pairs.iter().enumerate() {
            let [a, b] = [(*a, 0), (*b, 1)].map(|(decided, side)| task.decision(decided, side));
            if a.is_none() && b.is_none() {
                continue;
            }
            let [a, b] = [a, b].map(Option::unwrap_or_default);
            let key = (labels(&a), labels(&b));
            if key.0 != key.1 {
                let [audio, text] = stretches(document, list.entries(), evaluation.extents());
                let task = task.name.clone();
                changed.push((i, ChangedDecision { task, audio, text, old: a, new: b }));
            }
            *moves.entry(key).or_default() += 1;
        }
        tasks.push(task.difference(moves));
    }
    changed.sort_by_key(|(document, _)| *document);
    Ok(DocumentDifference {
        recordings: list.entries().len(),
        documents: evaluation.documents().len(),
        without_counterpart: evaluation.documents().len() - pairs.len(),
        tasks,
        not_shared,
        changed: changed.into_iter().map(|(_, changed)| changed).collect(),
    })
}

/// Names of labels, sorted, for bundles may list them in another order.
fn labels(decided: &[ProbableLabel]) -> Vec<String> {
    let mut labels: Vec<_> = decided.iter().map(|one| one.label.clone()).collect();
    labels.sort();
    labels
}

/// A task that both bundles have: where it is in each, and its labels there.
struct Shared<'a> {
    name: String,
    /// Index of the task; none for `integrity`.
    at: Option<[usize; 2]>,
    labels: [&'a [String]; 2],
}

/// Tasks that both have, and names of the others.
fn shared<'a>(old: &'a Manifest, new: &'a Manifest) -> (Vec<Shared<'a>>, Vec<String>) {
    let (mut shared, mut others) = (Vec::new(), Vec::new());
    for (i, task) in old.tasks.iter().enumerate() {
        match new.tasks.iter().position(|other| other.name == task.name) {
            None => others.push(task.name.clone()),
            Some(j) => shared.push(Shared {
                name: task.name.clone(),
                at: Some([i, j]),
                labels: [&task.labels, &new.tasks[j].labels],
            }),
        }
    }
    let is_new = |name: &String| old.tasks.iter().all(|task| task.name != *name);
    others.extend(new.tasks.iter().map(|task| task.name.clone()).filter(is_new));
    match (&old.alignment, &new.alignment) {
        (Some(a), Some(b)) => shared.push(Shared {
            name: "integrity".into(),
            at: None,
            labels: [&a.integrity.labels, &b.integrity.labels],
        }),
        (None, None) => {}
        _ => others.push("integrity".into()),
    }
    (shared, others)
}

impl Shared<'_> {
    /// What was decided on the task by the old bundle (0) or the new one (1).
    fn decision(&self, decided: &Decided, side: usize) -> Option<Vec<ProbableLabel>> {
        let TaskDecision { labels, probabilities } = match self.at {
            Some(at) => decided.tasks.get(at[side])?,
            None => decided.integrity.as_ref()?,
        };
        let probable = |label: &usize| {
            let name = self.labels[side].get(*label)?.clone();
            Some(ProbableLabel { label: name, probability: *probabilities.get(*label)? })
        };
        Some(labels.iter().filter_map(probable).collect())
    }

    fn difference(&self, moves: BTreeMap<(Vec<String>, Vec<String>), usize>) -> TaskDifference {
        let moves = moves.into_iter().map(|((old, new), documents)| Move { old, new, documents });
        let moves: Vec<_> = moves.collect();
        let count =
            |is: fn(&Move) -> bool| moves.iter().filter(|m| is(m)).map(|m| m.documents).sum();
        TaskDifference {
            name: self.name.clone(),
            same_labels: self.labels[0] == self.labels[1],
            decisions: count(|_| true),
            different: count(|m| m.old != m.new),
            moves,
        }
    }
}

/// Where the sound and the words of a document are; none of an entry that has none.
fn stretches(document: &Document, entries: &[Entry], extents: &[Extent]) -> [Option<Stretch>; 2] {
    let audio = document.audio.as_ref().filter(|c| !extents[c.entry].segments.is_empty());
    let text = document.text.as_ref().filter(|c| extents[c.entry].tokens > 0);
    let stretch = |crop: &Crop, file: fn(&Entry) -> Option<&Path>| {
        let entry = &entries[crop.entry];
        Stretch {
            line: entry.line,
            file: file(entry).map(Path::to_owned),
            range: [crop.first + 1, crop.end],
            span_s: crop.span_s(&extents[crop.entry]),
        }
    };
    [
        audio.map(|crop| stretch(crop, |entry| entry.recording.as_deref())),
        text.map(|crop| stretch(crop, transcript)),
    ]
}

fn transcript(entry: &Entry) -> Option<&Path> {
    match &entry.words {
        Some(Words::File(path)) => Some(path),
        _ => None,
    }
}
