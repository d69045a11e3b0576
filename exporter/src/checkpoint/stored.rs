//! The tensors of a folder's `model.safetensors`, or of the shards that stand for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind as IoErrorKind;
use std::ops::Range;
use std::path::Path;

use half::{bf16, f16};
use hilbert_formats::bundle::sha256;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::damage::{CONVERT, COPY, declared_length, recognised};
use super::{ENCODERS, Tensor, read, read_json};
use crate::error::{ErrorKind, Result};

/// The file of an encoder's or a whole model's tensors.
pub(super) const MODEL: &str = "model.safetensors";

/// What lists the shards in its place, as Hugging Face's `transformers` writes it.
const INDEX: &str = "model.safetensors.index.json";

/// How the names of files end that hold tensors in other formats.
const OTHER_FORMATS: [&str; 8] = ["bin", "ckpt", "gguf", "h5", "msgpack", "npz", "pt", "pth"];

/// Named tensors, not yet read.
#[derive(Debug)]
pub(super) struct Stored {
    files: Vec<Vec<u8>>,
    places: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    file: usize,
    bytes: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    /// Reads the files' headers.
    ///
    /// # Errors
    /// A file that cannot be read; [`ErrorKind::NotSafetensors`], which names what stands there.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(MODEL);
        let shards = folder.join(INDEX);
        if !path.exists() && shards.exists() {
            return Self::open_shards(folder, &shards);
        }
        let mut stored = Self { files: Vec::new(), places: BTreeMap::new() };
        stored.add(&path)?;
        Ok(stored)
    }

    fn open_shards(folder: &Path, index: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let index: Index = read_json(index, "a list of shards")?;
        let files: BTreeSet<_> = index.weight_map.into_values().collect();
        let mut stored = Self { files: Vec::new(), places: BTreeMap::new() };
        for file in files {
            stored.add(&folder.join(file))?;
        }
        Ok(stored)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let bytes = read_tensors(path)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|source| refusal(path, &bytes, source))?;
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let place = Place {
                file: self.files.len(),
                bytes: 8 + header + start..8 + header + end,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            self.places.insert(name, place);
        }
        self.files.push(bytes);
        Ok(())
    }

    /// Names of all tensors, ascending.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The tensor's shape; `None` where there is no tensor of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.places.get(name).map(|place| place.shape.as_slice())
    }

    /// Whether there is a tensor of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// SHA-256, hexadecimal, of the file, or of the shards one after the other.
    pub(super) fn sha256(&self) -> String {
        match &self.files[..] {
            [file] => sha256(file),
            shards => sha256(&shards.concat()),
        }
    }

    /// SHA-256, hexadecimal, over name and bytes of each tensor of the encoders by ascending name, then `vocabulary`.
    pub(super) fn encoders_sha256(&self, vocabulary: &[u8]) -> String {
        let mut content = Vec::new();
        for (name, place) in &self.places {
            if ENCODERS.iter().any(|prefix| name.starts_with(prefix)) {
                content.extend_from_slice(name.as_bytes());
                content.extend_from_slice(self.bytes(place));
            }
        }
        content.extend_from_slice(vocabulary);
        sha256(&content)
    }

    /// The largest step between two numbers near 1 of the tensor's type; f32's for all other types.
    pub(super) fn step(&self, name: &str) -> f32 {
        match self.places.get(name).map(|place| place.dtype) {
            Some(Dtype::F16) => f16::EPSILON.to_f32(),
            Some(Dtype::BF16) => bf16::EPSILON.to_f32(),
            _ => f32::EPSILON,
        }
    }

    /// The tensor of this name, of this shape; each value as it stands, exactly.
    ///
    /// # Errors
    /// Everything wrong with it: found and expected, a line each.
    pub(super) fn load(
        &self,
        name: &str,
        shape: &[usize],
    ) -> std::result::Result<Tensor, Vec<String>> {
        let Some(place) = self.places.get(name) else {
            return Err(vec![format!("found none, expected shape {shape:?}")]);
        };
        let mut problems = Vec::new();
        if place.shape != shape {
            problems.push(format!("found shape {:?}, expected {shape:?}", place.shape));
        }
        let values = floats(place.dtype, self.bytes(place)).unwrap_or_else(|| {
            let found = place.dtype;
            problems.push(format!("found type {found:?}, expected F16, BF16 or F32"));
            Vec::new()
        });
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let found = values[i];
            problems.push(format!("found {found} at element {i}, expected a finite number"));
        }
        if problems.is_empty() {
            Ok(Tensor { shape: shape.to_vec(), values })
        } else {
            Err(problems)
        }
    }

    fn bytes(&self, place: &Place) -> &[u8] {
        let file = self.files.get(place.file);
        file.and_then(|file| file.get(place.bytes.clone())).unwrap_or_default()
    }
}

/// Little-endian floats of this type; `None` for types that no checkpoint holds weights in.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    match dtype {
        Dtype::F16 => Some(halves.map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Some(halves.map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        Dtype::F32 => {
            let words = bytes.chunks_exact(4);
            Some(words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        _ => None,
    }
}

/// The bytes of a file of tensors. Where there is none, what stands there or beside it is named.
fn read_tensors(path: &Path) -> Result<Vec<u8>> {
    let refused = |found: String, advice| {
        ErrorKind::NotSafetensors { path: path.into(), found, advice }.into()
    };
    if path.is_dir() {
        return Err(refused("a folder".into(), COPY));
    }
    let error = match read(path) {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    let is_absent = matches!(error.kind(), ErrorKind::Read { source, .. } if source.kind() == IoErrorKind::NotFound);
    let other = path.parent().filter(|_| is_absent).and_then(other_format);
    Err(other.map_or(error, |name| refused(format!("none, but {name} beside it"), CONVERT)))
}

/// A file of tensors in another format in this folder, and what it is.
fn other_format(folder: &Path) -> Option<String> {
    let mut names: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|e| e.file_name()).collect();
    names.sort();
    let is_other = |name: &&std::ffi::OsString| {
        let end = Path::new(name).extension().and_then(|e| e.to_str());
        end.is_some_and(|end| OTHER_FORMATS.contains(&end))
    };
    let name = names.iter().find(is_other)?;
    let bytes = fs::read(folder.join(name)).unwrap_or_default();
    let what = recognised(&bytes).map_or_else(String::new, |(what, _)| format!(" ({what})"));
    Some(format!("{}{what}", name.to_string_lossy()))
}

/// Why these bytes are no safetensors file.
fn refusal(path: &Path, bytes: &[u8], source: safetensors::SafeTensorError) -> ErrorKind {
    let path = path.to_path_buf();
    if let Some((what, advice)) = recognised(bytes) {
        return ErrorKind::NotSafetensors { path, found: what.into(), advice };
    }
    match declared_length(bytes) {
        Some(expected) if expected != bytes.len() as u64 => {
            let found = format!("{} bytes where its header states {expected}", bytes.len());
            ErrorKind::NotSafetensors { path, found, advice: COPY }
        }
        _ => ErrorKind::SafeTensors { path, source },
    }
}
