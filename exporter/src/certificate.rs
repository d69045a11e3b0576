//! `certificate.json`: what quantisation did to the decisions on calibration documents. Normative description:
//! `docs/certificate-format.md`.

use std::fmt;
use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_formats::bundle::sha256;
use hilbert_formats::manifest::Manifest;
use hilbert_runtime::Engine;
use serde::{Deserialize, Serialize};

use crate::calibration::gate::misses;
use crate::calibration::sensitivity::Sensitivity;
use crate::calibration::{Limits, TaskMeasures};
use crate::checkpoint::read;
use crate::error::{ErrorKind, Result};

/// The schema this exporter reads and writes.
pub const SCHEMA: &str = "hilbert.certificate/1";

/// Its file in a bundle.
pub const CERTIFICATE: &str = "certificate.json";

/// What was proven of one bundle's graphs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Always [`SCHEMA`].
    schema: String,
    /// Whether the gate was passed.
    pub status: Status,
    /// SHA-256 over a line `NAME SHA-256` for each graph by its name: what the certificate is of.
    pub graphs_sha256: String,
    /// Tensors that are large enough for int8 and stored as floats.
    pub float_tensors: Vec<String>,
    /// The gate; `None` where it was not evaluated.
    pub gate: Option<Gate>,
}

/// Whether the gate was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every measure is within the limits.
    Passed,
    /// Some are not, and the bundle was written all the same.
    Missed,
    /// No calibration documents were given.
    NotEvaluated,
}

/// What was measured, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// SHA-256 of the list and of all files that it names.
    pub list_sha256: String,
    /// What decided the bundle's own form: `kernels`, which round activations and give the same bits on every instruction set, or
    /// `f32`, as all was decided before there were any.
    #[serde(default = "Gate::floats")]
    pub engine: String,
    /// Recordings or transcripts of the list.
    pub recordings: usize,
    /// Documents: crops and pairs of them.
    pub documents: usize,
    /// What a bundle may lose.
    pub limits: Limits,
    /// Measures of each task.
    pub tasks: Vec<TaskMeasures>,
    /// What is beyond the limits, a line each; empty where the gate was passed.
    pub misses: Vec<String>,
    /// Each int8 tensor alone, the most sensitive first; empty where no search was needed.
    pub sensitivity: Vec<Sensitivity>,
}

impl Gate {
    fn floats() -> String {
        Engine::Float.to_string()
    }
}

impl Certificate {
    /// The certificate of the graphs of `manifest`.
    #[must_use]
    pub fn new(manifest: &Manifest, float_tensors: Vec<String>, gate: Option<Gate>) -> Self {
        let status = match &gate {
            None => Status::NotEvaluated,
            Some(gate) if gate.misses.is_empty() => Status::Passed,
            Some(_) => Status::Missed,
        };
        let graphs_sha256 = graphs_sha256(manifest);
        Self { schema: SCHEMA.into(), status, graphs_sha256, float_tensors, gate }
    }

    /// The certificate that `bundle` carries, checked to be of its graphs; `None` where it carries none.
    ///
    /// # Errors
    /// [`ErrorKind::Runtime`] for a file that the runtime refuses; as [`Certificate::open`].
    pub fn of(bundle: &Bundle) -> Result<Option<Self>> {
        if !bundle.has(CERTIFICATE) {
            return Ok(None);
        }
        let bytes = bundle.read(CERTIFICATE).map_err(ErrorKind::reading)?;
        Self::parse(&bytes, Path::new(CERTIFICATE), bundle.manifest()).map(Some)
    }

    /// Reads a certificate and checks that it is of the graphs of `manifest`.
    ///
    /// # Errors
    /// [`ErrorKind::Read`]; [`ErrorKind::Json`]; [`ErrorKind::Schema`]; [`ErrorKind::Certificate`] for one of other graphs, and
    /// for one whose measures say otherwise than its status.
    pub fn open(path: &Path, manifest: &Manifest) -> Result<Self> {
        Self::parse(&read(path)?, path, manifest)
    }

    /// The certificate that `bytes` hold, which are those of `path`.
    fn parse(bytes: &[u8], path: &Path, manifest: &Manifest) -> Result<Self> {
        let what = "a certificate";
        let json = |source| ErrorKind::Json { path: path.into(), what, source };
        let certificate: Self = serde_json::from_slice(bytes).map_err(json)?;
        if certificate.schema != SCHEMA {
            let (found, command) = (certificate.schema, "hilbert-export --calibration");
            return Err(
                ErrorKind::Schema { path: path.into(), found, expected: SCHEMA, command }.into()
            );
        }
        let wrong = |found: String, expected: String| ErrorKind::Certificate {
            path: path.into(),
            found,
            expected,
        };
        let expected = graphs_sha256(manifest);
        if certificate.graphs_sha256 != expected {
            let found = format!("graphs with SHA-256 {}", certificate.graphs_sha256);
            return Err(wrong(found, format!("{expected}, those of this export")).into());
        }
        let again =
            Self::new(manifest, certificate.float_tensors.clone(), certificate.gate.clone());
        let measured = certificate.gate.as_ref().map(|gate| misses(&gate.tasks, &gate.limits));
        let stated = certificate.gate.as_ref().map(|gate| gate.misses.clone());
        if again.status != certificate.status || measured != stated {
            let found = format!("status {:?}", certificate.status);
            return Err(wrong(found, "what its measures say".into()).into());
        }
        Ok(certificate)
    }

    /// The file's content: JSON that ends with a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }
}

fn graphs_sha256(manifest: &Manifest) -> String {
    let mut lines = String::new();
    for (name, graph) in &manifest.graphs {
        let file = manifest.files.iter().find(|file| file.path == graph.file);
        lines += &format!("{name} {}\n", file.map_or("", |file| &file.sha256));
    }
    sha256(lines.as_bytes())
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(gate) = &self.gate else {
            return writeln!(f, "gate: not evaluated: no calibration list was given");
        };
        let status = if self.status == Status::Passed { "passed" } else { "MISSED" };
        let (documents, recordings, engine) = (gate.documents, gate.recordings, &gate.engine);
        writeln!(
            f,
            "gate: {status} on {documents} documents of {recordings} recordings, decided by {engine}"
        )?;
        for task in &gate.tasks {
            let (same, all) = (task.decisions - task.different, task.decisions);
            write!(f, "  {:20} {same} of {all} agree", task.name)?;
            if let Some([float, shipped]) = task.calibration_error {
                write!(f, ", calibration error {float:.4} -> {shipped:.4}")?;
            }
            writeln!(f)?;
            for recall in &task.recall {
                let [float, shipped] = recall.found;
                let (label, documents) = (&recall.label, recall.documents);
                writeln!(f, "    {label:18} {float} -> {shipped} of {documents} found")?;
            }
        }
        for miss in &gate.misses {
            writeln!(f, "  beyond the limits: {miss}")?;
        }
        if !self.float_tensors.is_empty() {
            writeln!(f, "  stored as floats: {}", self.float_tensors.join(", "))?;
        }
        Ok(())
    }
}
