//! The committed checkpoint and its golden file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hilbert_exporter::Recipe;
use safetensors::SafeTensors;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/spoken-english");

pub(crate) fn checkpoint() -> PathBuf {
    present(Path::new(FOLDER).join("checkpoint"))
}

pub(crate) fn golden() -> PathBuf {
    present(Path::new(FOLDER).join("golden.safetensors"))
}

/// The recipe that ships, which is also the golden file's.
pub(crate) fn recipe() -> Recipe {
    Recipe::open(&present(Path::new(FOLDER).join("recipe.json"))).unwrap()
}

/// Writes the golden file with `difference` added to one number to `path`.
pub(crate) fn perturbed_golden(name: &str, index: usize, difference: f32, path: &Path) {
    let bytes = fs::read(golden()).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let mut changed = stored.tensor(name).unwrap().data().to_vec();
    let at = index * 4..index * 4 + 4;
    let value = f32::from_le_bytes(changed[at.clone()].try_into().unwrap());
    changed[at].copy_from_slice(&(value + difference).to_le_bytes());
    let mut tensors: BTreeMap<_, _> = stored.iter().collect();
    let view = &tensors[name];
    let (dtype, shape) = (view.dtype(), view.shape().to_vec());
    tensors.insert(name, safetensors::tensor::TensorView::new(dtype, shape, &changed).unwrap());
    safetensors::serialize_to_file(tensors, metadata.metadata().clone(), path).unwrap();
}

fn present(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing; it is part of the repository", path.display());
    path
}
