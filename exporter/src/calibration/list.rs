//! The list of recordings, as `models/reference/train.py --data` reads it (`models/README.md`): one JSON object a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hilbert_formats::manifest::{Task, TaskKind};
use serde::Deserialize;
use serde_json::Value;

use crate::checkpoint::read;
use crate::error::{ErrorKind, Result};

/// Recordings with what is known of them.
#[derive(Debug, Clone)]
pub struct List {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Lower ends of the classes from the second on, of the tasks whose labels are scores.
    cuts: BTreeMap<String, Vec<f64>>,
}

/// One recording, its transcript, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// WAV or FLAC.
    pub recording: Option<PathBuf>,
    /// Where the words are.
    pub words: Option<Words>,
    /// Line of the list, from 1.
    pub line: usize,
    labels: BTreeMap<String, Value>,
}

/// A transcript's file, or what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// SubRip or plain text.
    File(PathBuf),
    /// The words themselves, untimed.
    Text(String),
}

#[derive(Deserialize)]
struct Header {
    tasks: Vec<TaskLine>,
}

#[derive(Deserialize)]
struct TaskLine {
    name: String,
    #[serde(default)]
    cuts: Vec<f64>,
}

#[derive(Deserialize)]
struct Line {
    recording: Option<PathBuf>,
    transcript: Option<PathBuf>,
    text: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
}

impl List {
    /// Reads a list; files that it names are relative to it and are not opened.
    ///
    /// # Errors
    /// [`ErrorKind::Read`]; [`ErrorKind::Calibration`] with every line that is wrong.
    pub fn open(path: &Path) -> Result<Self> {
        let content = read(path)?;
        let content = String::from_utf8_lossy(&content);
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut entries, mut problems, mut cuts) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (text, line) in content.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty()) {
            if line == 1
                && let Ok(header) = serde_json::from_str::<Header>(text)
            {
                let scored = header.tasks.into_iter().filter(|task| !task.cuts.is_empty());
                cuts = scored.map(|task| (task.name, task.cuts)).collect();
                continue;
            }
            match serde_json::from_str::<Line>(text) {
                Ok(one) => match one.entry(folder, line) {
                    Some(entry) => entries.push(entry),
                    None => problems.push(format!(
                        "line {line}: found neither recording, transcript nor text, expected one of them"
                    )),
                },
                Err(error) => problems.push(format!("line {line}: {error}")),
            }
        }
        if entries.is_empty() && problems.is_empty() {
            problems.push("found no recordings, expected one a line".into());
        }
        if !problems.is_empty() {
            return Err(ErrorKind::Calibration { path: path.into(), problems }.into());
        }
        Ok(Self { path: path.into(), entries, cuts })
    }

    /// The list's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Recordings in the order of the lines; at least one.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// At most `count` of the entries, evenly spaced.
    #[must_use]
    pub fn thinned(&self, count: usize) -> Self {
        let all = &self.entries;
        let count = count.min(all.len());
        let entries = (0..count).map(|i| all[i * all.len() / count].clone()).collect();
        Self { entries, ..self.clone() }
    }

    /// Which labels of `task` the entry bears; `None` where the list does not say.
    ///
    /// # Errors
    /// [`ErrorKind::Calibration`] for a label that the task does not have.
    pub fn labels(&self, entry: &Entry, task: &Task) -> Result<Option<Vec<usize>>> {
        let Some(value) = entry.labels.get(&task.name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let index = |label: &Value| task.labels.iter().position(|l| label.as_str() == Some(l));
        let found = match (value, self.cuts.get(&task.name)) {
            (Value::Number(score), Some(cuts)) => {
                score.as_f64().map(|score| vec![cuts.iter().filter(|cut| score >= **cut).count()])
            }
            (Value::Array(labels), _) if task.kind == TaskKind::MultiLabel => {
                labels.iter().map(index).collect()
            }
            (label, _) => index(label).map(|label| vec![label]),
        };
        let found = found.filter(|labels| labels.iter().all(|l| *l < task.labels.len()));
        found.map(Some).ok_or_else(|| {
            let (line, name, labels) = (entry.line, &task.name, task.labels.join(", "));
            let problem = format!("line {line}: {name}: found {value}, expected one of {labels}");
            ErrorKind::Calibration { path: self.path.clone(), problems: vec![problem] }.into()
        })
    }
}

impl Line {
    fn entry(self, folder: &Path, line: usize) -> Option<Entry> {
        let file = self.transcript.map(|path| Words::File(folder.join(path)));
        let words = file.or(self.text.map(Words::Text));
        let recording = self.recording.map(|path| folder.join(path));
        (recording.is_some() || words.is_some()).then_some(Entry {
            recording,
            words,
            line,
            labels: self.labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use hilbert_formats::manifest::{Calibration, CalibrationSet};

    use super::*;

    fn opened(content: &str) -> Result<List> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        List::open(file.path())
    }

    fn task(kind: TaskKind) -> Task {
        let one = Calibration::Temperature { temperature: 1.0 };
        let calibration = CalibrationSet { audio: one.clone(), text: one.clone(), audio_text: one };
        let labels = ["low", "middle", "high"].map(String::from).to_vec();
        Task { name: "grade".into(), kind, labels, calibration, conformal: None, threshold: None }
    }

    #[test]
    fn labels_are_names_scores_with_cuts_or_lists() {
        let header =
            r#"{"tasks": [{"name": "grade", "kind": "ordinal", "labels": [], "cuts": [5, 7.5]}]}"#;
        let rows = [
            (TaskKind::Ordinal, "4.9", Some(vec![0])),
            (TaskKind::Ordinal, "7.5", Some(vec![2])),
            (TaskKind::Binary, r#""middle""#, Some(vec![1])),
            (TaskKind::MultiLabel, r#"["low", "high"]"#, Some(vec![0, 2])),
            (TaskKind::MultiLabel, "[]", Some(vec![])),
            (TaskKind::Binary, "null", None),
        ];
        for (kind, value, expected) in rows {
            let list =
                format!("{header}\n{{\"text\": \"words\", \"labels\": {{\"grade\": {value}}}}}\n");
            let list = opened(&list).unwrap();
            assert_eq!(list.labels(&list.entries()[0], &task(kind)).unwrap(), expected, "{value}");
        }
        let list = opened(r#"{"text": "words", "labels": {"grade": "best"}}"#).unwrap();
        let error =
            list.labels(&list.entries()[0], &task(TaskKind::Binary)).unwrap_err().to_string();
        assert!(
            error.ends_with(r#"line 1: grade: found "best", expected one of low, middle, high"#),
            "{error}"
        );
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        let error = opened("{}\n{\"text\": 1}\n\n{\"text\": \"fine\"}\n").unwrap_err();
        let said = error.to_string();
        assert!(said.contains("line 1: found neither recording, transcript nor text"), "{said}");
        assert!(said.contains("line 2: invalid type"), "{said}");
        assert_eq!(error.code(), 4);
        assert!(opened("").unwrap_err().to_string().contains("found no recordings"));
    }
}
