//! A difference for a person to read.

use std::fmt::{self, Display, Formatter};

use hilbert_formats::escape::Escaped;
use serde_json::Value;

use super::documents::{
    ChangedDecision, DocumentDifference, ProbableLabel, Stretch, TaskDifference,
};
use super::fields::FieldChange;
use super::graphs::{GraphChange, TensorChange, TensorForm};
use super::{Change, Difference, Side};
use crate::certificate::{CERTIFICATE, Status};
use crate::constants::Kind;

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (word, side) in [("old", &self.old), ("new", &self.new)] {
            let Side { name, bundle_version, manifest_sha256, .. } = side;
            writeln!(f, "{word}: {name} {bundle_version}, manifest {manifest_sha256}")?;
        }
        writeln!(f, "manifest: {} fields otherwise", self.manifest.len())?;
        self.manifest.iter().try_for_each(|field| field.write(f, "  "))?;
        writeln!(f, "graphs: {} otherwise, {} the same", self.graphs.len(), self.same_graphs)?;
        self.graphs.iter().try_for_each(|graph| graph.fmt(f))?;
        self.files(f)?;
        match &self.documents {
            Some(documents) => documents.fmt(f),
            None => writeln!(f, "documents not compared: no --calibration list was given"),
        }
    }
}

impl Difference {
    fn files(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "other files:")?;
        for file in &self.files {
            write!(f, "  {} {}", file.path, word(file.change))?;
            let (old, new) = (self.old.gate, self.new.gate);
            if file.path == CERTIFICATE && old != new {
                write!(f, ", gate: {} -> {}", gate(old), gate(new))?;
            }
            writeln!(f)?;
        }
        if self.old.pieces != self.new.pieces {
            writeln!(f, "  vocabulary: {} -> {} pieces", self.old.pieces, self.new.pieces)?;
        }
        Ok(())
    }
}

impl FieldChange {
    fn write(&self, f: &mut Formatter<'_>, indent: &str) -> fmt::Result {
        let path = Escaped(&self.path);
        let value = |value: &Value| match value {
            Value::Null => "none".into(),
            other => other.to_string(),
        };
        match (&self.old, &self.new) {
            (Value::Object(_), Value::Null) => writeln!(f, "{indent}{path}: removed"),
            (Value::Null, Value::Object(_)) => writeln!(f, "{indent}{path}: added"),
            (old, new) => {
                let (old, new) = (value(old), value(new));
                writeln!(f, "{indent}{path}: {} -> {}", Escaped(&old), Escaped(&new))
            }
        }
    }
}

impl Display for GraphChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "  {} {}", self.name, word(self.change))?;
        match self.bytes {
            [Some(old), Some(new)] => writeln!(f, ", {old} -> {new} bytes")?,
            [old, new] => writeln!(f, ", {} bytes", old.or(new).unwrap_or(0))?,
        }
        self.fields.iter().try_for_each(|field| field.write(f, "    "))?;
        self.tensors.iter().try_for_each(|tensor| tensor.fmt(f))?;
        for change in &self.operators {
            let (old, new) = (change.old, change.new);
            writeln!(f, "    operator {}: {old} -> {new}", Escaped(&change.operator))?;
        }
        if self.rewired {
            writeln!(f, "    the same operators, named, connected or set otherwise")?;
        }
        let is_told = self.rewired
            || !(self.fields.is_empty() && self.tensors.is_empty() && self.operators.is_empty());
        if self.change == Change::Changed && !is_told {
            writeln!(
                f,
                "    the same weights and operators: what the file says of itself differs"
            )?;
        }
        Ok(())
    }
}

impl Display for TensorChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let form = |form: &TensorForm| {
            let stored = if form.stored == Kind::Int8 { "int8" } else { "f32" };
            format!("{stored} {:?}", form.shape)
        };
        write!(f, "    weight {}: ", Escaped(&self.name))?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old == new => write!(f, "{}", form(old))?,
            (Some(old), Some(new)) => write!(f, "{} -> {}", form(old), form(new))?,
            (Some(old), None) => write!(f, "{} removed", form(old))?,
            (None, new) => write!(f, "{} added", new.as_ref().map_or(String::new(), form))?,
        }
        match &self.agreement {
            Some(agreement) => {
                let (snr_db, largest) = (agreement.snr_db, agreement.largest);
                writeln!(f, ", {snr_db:.1} dB, differs by at most {largest:.1e}")
            }
            None => writeln!(f),
        }
    }
}

impl Display for DocumentDifference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (documents, recordings) = (self.documents, self.recordings);
        writeln!(f, "documents: {documents} of {recordings} recordings")?;
        if self.without_counterpart > 0 {
            let count = self.without_counterpart;
            writeln!(f, "  {count} not compared: the new bundle cuts nothing that lies in them")?;
        }
        if !self.not_shared.is_empty() {
            writeln!(f, "  not compared, for only one has them: {}", self.not_shared.join(", "))?;
        }
        self.tasks.iter().try_for_each(|task| task.fmt(f))?;
        self.changed.iter().try_for_each(|changed| changed.fmt(f))
    }
}

impl Display for TaskDifference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (name, different, decisions) = (&self.name, self.different, self.decisions);
        write!(f, "  {name}: {different} of {decisions} decided otherwise")?;
        writeln!(f, "{}", if self.same_labels { "" } else { "; its labels differ" })?;
        for change in self.moves.iter().filter(|m| m.old != m.new) {
            let (old, new) = (labels(&change.old), labels(&change.new));
            writeln!(f, "    {old} -> {new}: {}", change.documents)?;
        }
        Ok(())
    }
}

impl Display for ChangedDecision {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (old, new) = (probable(&self.old), probable(&self.new));
        write!(f, "  {}: {old} -> {new}: ", self.task)?;
        match (&self.audio, &self.text) {
            (Some(audio), Some(text)) if audio.line == text.line && audio.range == text.range => {
                writeln!(f, "{audio}, with its words")
            }
            (Some(audio), Some(text)) => writeln!(f, "{audio}, with the words of {text}"),
            (Some(audio), None) => writeln!(f, "{audio}, without words"),
            (None, Some(text)) => writeln!(f, "the words of {text}, without sound"),
            (None, None) => writeln!(f),
        }
    }
}

impl Display for Stretch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}, ", Escaped(&file.to_string_lossy()))?,
            None => write!(f, "line {}, ", self.line)?,
        }
        let [first, last] = self.range;
        match self.span_s {
            Some([start_s, end_s]) => {
                write!(f, "segments {first} to {last} ({start_s:.1} to {end_s:.1} s)")
            }
            None => write!(f, "rows {first} to {last}"),
        }
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Same => "the same",
        Change::Changed => "changed",
        Change::Added => "added",
        Change::Removed => "removed",
    }
}

fn gate(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Passed) => "passed",
        Some(Status::Missed) => "missed",
        Some(Status::NotEvaluated) => "not evaluated",
        None => "without certificate",
    }
}

fn labels(labels: &[String]) -> String {
    match labels {
        [] => "none".into(),
        some => Escaped(&some.join(" + ")).to_string(),
    }
}

fn probable(labels: &[ProbableLabel]) -> String {
    let one = |one: &ProbableLabel| format!("{} {:.4}", Escaped(&one.label), one.probability);
    match labels {
        [] => "none".into(),
        some => some.iter().map(one).collect::<Vec<_>>().join(" + "),
    }
}
