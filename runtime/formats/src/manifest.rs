//! The manifest of a bundle: `manifest.json`, schema `hilbert.bundle/1`. Normative description: `docs/bundle-format.md`.
//!
//! Plain data with serde both ways: the exporter fills it, the runtime reads it. [`Manifest::parse`] checks everything that
//! can be checked without the other files, so that a `Manifest` that was parsed is consistent.

mod alignment;
mod check;
mod conformal;
mod graphs;
mod memory;
mod stages;
mod tasks;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

pub use self::alignment::{ALPHABET, Alignment, CueModel, DocumentModel, Integrity, SUMMARIES};
pub use self::conformal::{Conformal, ConformalFit, Coverage};
pub use self::graphs::{Dtype, GraphEntry, RowWidths, TensorEntry, Tensors};
pub use self::memory::{GraphMemory, HEAP_UNIT, HeapUse, LoadUse, MAX_HEAP};
pub use self::stages::{Audio, Experts, Features, Fusion, Segmentation, Text};
pub use self::tasks::{Calibration, CalibrationSet, Task, TaskKind};
use crate::error::{Error, ErrorKind, FileProblem, Result};
use crate::{bundle, signature};

/// The schema this crate reads and writes.
pub const SCHEMA: &str = "hilbert.bundle/1";
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Most files of a bundle.
pub const MAX_FILES: usize = 256;
/// Most bytes of one file of a bundle.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most tasks of a bundle.
pub const MAX_TASKS: usize = 16;
/// Most experts of a bundle.
pub const MAX_EXPERTS: usize = 64;
/// Most labels of a task.
pub const MAX_LABELS: usize = 32;
/// Most conformal sets of a task, each with a coverage of its own.
pub const MAX_COVERAGES: usize = 8;

/// A bundle's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the bundle, at most 64 characters of `[a-z0-9-]`.
    pub name: String,
    /// Version of the bundle's content, counted from 1; a later export of the same model has a larger one.
    pub bundle_version: u32,
    /// How the weights are stored.
    pub weights: Weights,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// Where the bundle comes from.
    pub provenance: Provenance,
    /// Every file beside the manifest.
    pub files: Vec<FileEntry>,
    /// Every graph by its name; the names are fixed, see [`Manifest::graph_names`].
    #[serde(deserialize_with = "unique_keys")]
    pub graphs: BTreeMap<String, GraphEntry>,
    /// What the front end resamples to.
    pub audio: Audio,
    /// What the speech encoder reads.
    pub features: Features,
    /// How the recording is cut at pauses.
    pub segmentation: Segmentation,
    /// How cues become tokens.
    pub text: Text,
    /// Widths and bounds of the fusion.
    pub fusion: Fusion,
    /// The mixture of experts.
    pub experts: Experts,
    /// The tasks, in the order of the router's rows.
    pub tasks: Vec<Task>,
    /// The alignment head and the scores of `integrity`, where the bundle has them.
    #[serde(default)]
    pub alignment: Option<Alignment>,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// 32-bit floats.
    F32,
    /// 8-bit integers from -127 to 127 with one scale for each output channel, as `DequantizeLinear`.
    Int8,
}

/// Where a bundle comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// SHA-256 of the checkpoint's `model.safetensors`, hexadecimal.
    pub checkpoint_sha256: String,
    /// SHA-256 over the training data, as the checkpoint states it.
    pub data_sha256: String,
    /// Device the checkpoint was trained on.
    pub device: String,
    /// Seed of the training.
    pub seed: u64,
    /// Versions of the training software.
    #[serde(deserialize_with = "unique_keys")]
    pub versions: BTreeMap<String, String>,
    /// Sources and licences to credit.
    pub credits: Vec<String>,
    /// Version of the exporter.
    pub exporter: String,
}

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name without folders.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether the bundle is complete without it.
    #[serde(default)]
    pub optional: bool,
}

impl Manifest {
    /// The graphs with the bytes of their files, the largest first: the order in which a model loads them, so that the least
    /// stands beside the largest.
    #[must_use]
    pub fn graphs_by_size(&self) -> Vec<(&String, &GraphEntry, u64)> {
        let mut graphs = Vec::with_capacity(self.graphs.len());
        for (name, entry) in &self.graphs {
            let file = self.files.iter().find(|file| file.path == entry.file);
            graphs.push((name, entry, file.map_or(0, |file| file.bytes)));
        }
        graphs.sort_by_key(|(_, _, bytes)| Reverse(*bytes));
        graphs
    }

    /// Reads a manifest and checks all of it.
    ///
    /// # Errors
    /// [`ErrorKind::ManifestSchema`] for another schema, [`ErrorKind::ManifestSyntax`] for what is not JSON of this
    /// form, [`ErrorKind::Manifest`] as [`Manifest::validate`], [`ErrorKind::Bundle`] beyond [`MAX_MANIFEST_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            let problem = FileProblem::TooLarge { limit: MAX_MANIFEST_BYTES };
            return Err(ErrorKind::Bundle { file: "manifest.json".to_owned(), problem }.into());
        }
        // Another schema has other fields, and is to be named before these are complained about.
        if let Ok(SchemaOnly { schema }) = serde_json::from_slice(bytes) {
            check_schema(schema)?;
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let manifest: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| syntax_error(error.path().to_string(), error.inner()))?;
        json.end().map_err(|error| syntax_error(".".to_owned(), &error))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks that every number is in its range and that the parts agree with each other.
    ///
    /// # Errors
    /// [`ErrorKind::Manifest`] with the JSON path of the first value that is wrong.
    pub fn validate(&self) -> Result<()> {
        check_schema(self.schema.clone())?;
        let named = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        check::require(named, "name", &self.name, "1 to 64 characters of [a-z0-9-]")?;
        check::within("bundle_version", self.bundle_version, 1..=u32::MAX)?;
        let licensed = !self.licence.trim().is_empty() && self.licence.len() <= 256;
        check::require(
            licensed,
            "licence",
            &self.licence,
            "an SPDX expression of at most 256 bytes",
        )?;
        check::sha256("provenance.checkpoint_sha256", &self.provenance.checkpoint_sha256)?;
        check::sha256("provenance.data_sha256", &self.provenance.data_sha256)?;
        self.check_files()?;
        self.audio.check()?;
        self.features.check()?;
        self.segmentation.check(self.audio.sample_rate, &self.features)?;
        self.text.check()?;
        self.check_listed(self.text.vocabulary(), "text.vocabulary")?;
        self.fusion.check()?;
        self.experts.check()?;
        tasks::check(&self.tasks)?;
        self.alignment.iter().try_for_each(|alignment| alignment.check(&self.features))?;
        self.check_graphs()
    }

    /// The manifest as a file: indented JSON that ends in a line end; [`Manifest::parse`] reads it back equal.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "serde_json fails on maps whose keys are no strings, and here all are"
        )]
        let json = serde_json::to_string_pretty(self).expect("a manifest has string keys only");
        json + "\n"
    }

    fn check_files(&self) -> Result<()> {
        check::within("files", self.files.len(), 1..=MAX_FILES)?;
        for (i, file) in self.files.iter().enumerate() {
            let at = format!("files[{i}].path");
            let plain = (1..=128).contains(&file.path.len())
                && file
                    .path
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
                && !file.path.starts_with(['.', '-']);
            let expected =
                "1 to 128 characters of [A-Za-z0-9._-], the first no dot or dash, and no folder";
            check::require(plain, &at, &file.path, expected)?;
            let reserved = [bundle::MANIFEST, signature::SIGNATURE]
                .iter()
                .any(|name| file.path.eq_ignore_ascii_case(name));
            check::require(
                !reserved,
                &at,
                &file.path,
                "a file beside the manifest and its signature",
            )?;
            // Some file systems do not tell case.
            let unique =
                self.files[..i].iter().all(|other| !other.path.eq_ignore_ascii_case(&file.path));
            check::require(unique, &at, &file.path, "a name that no file before has")?;
            check::within(&format!("files[{i}].bytes"), file.bytes, 1..=MAX_FILE_BYTES)?;
            check::sha256(&format!("files[{i}].sha256"), &file.sha256)?;
        }
        Ok(())
    }

    /// Checks that a file is listed and always there.
    fn check_listed(&self, path: &str, at: &str) -> Result<()> {
        match self.files.iter().find(|file| file.path == path) {
            None => Err(check::mismatch(at, path, "the path of one of files")),
            Some(file) if file.optional => {
                Err(check::mismatch(at, path, "a file that is not optional"))
            }
            Some(_) => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: String,
}

fn check_schema(found: String) -> Result<()> {
    if found == SCHEMA {
        Ok(())
    } else {
        Err(ErrorKind::ManifestSchema { found, expected: SCHEMA }.into())
    }
}

fn syntax_error(at: String, error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
    ErrorKind::ManifestSyntax { at, line, column, message }.into()
}

/// A map none of whose keys stands twice; serde takes the last one without a word.
fn unique_keys<'de, D, T>(deserializer: D) -> std::result::Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct UniqueKeys<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for UniqueKeys<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(
            self,
            mut access: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry::<String, T>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(UniqueKeys(PhantomData))
}
