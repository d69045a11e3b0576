//! Everything that can be checked of a bundle that is there: on this machine, without its checkpoint.

use std::fmt;

use hilbert_formats::Bundle;
use hilbert_formats::escape::Escaped;
use hilbert_formats::manifest::Weights;
use hilbert_formats::signature::Signed;
use hilbert_runtime::Engine;
use hilbert_runtime::selftest::{Depth, SelfTest, selftest};

use super::{Comparison, Comparisons, Golden, load, verify};
use crate::certificate::Certificate;
use crate::error::{ErrorKind, Result};
use crate::packing::listed;

/// A bundle that passed every check. Its `Display` is the output of `hilbert-export verify`.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Name of the bundle.
    pub name: String,
    /// How its weights are stored.
    pub weights: Weights,
    /// Number of its files beside the manifest, and their bytes.
    pub files: (usize, u64),
    /// Whose signature it carries.
    pub signature: Signature,
    /// What it says of its decisions, of these very graphs; `None` where it carries no certificate.
    pub certificate: Option<Certificate>,
    /// Every layer on this machine.
    pub self_test: SelfTest,
    /// Every stage against the golden file, where one was given.
    pub comparisons: Option<Vec<Comparison>>,
}

/// What is known of a bundle's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// It carries none.
    None,
    /// It carries one, and was opened without a key.
    NotVerified,
    /// It was opened with a key, which signed it.
    Verified(Signed),
}

/// Checks a bundle: hashes, manifest, graphs, certificate, the self-test of every layer and, with `golden`, each stage.
///
/// # Errors
/// [`ErrorKind::Runtime`] for what the runtime refuses; [`ErrorKind::Certificate`] for one of other graphs;
/// [`ErrorKind::SelfTest`]; [`ErrorKind::GoldenRecipe`] where the golden file's set int8 is of another recipe; as [`verify`].
pub fn verify_bundle(bundle: &Bundle, golden: Option<&Golden>) -> Result<Verified> {
    let model = load(bundle)?;
    let manifest = model.manifest();
    let bytes = listed(bundle).map(|file| Ok(file?.1.len() as u64)).sum::<Result<_>>()?;
    let signature = match (bundle.signed(), bundle.read_signature()) {
        (Some(signed), _) => Signature::Verified(signed.clone()),
        (None, Ok(None)) => Signature::None,
        (None, _) => Signature::NotVerified,
    };
    let certificate = Certificate::of(bundle)?;
    let self_test = selftest(bundle, Depth::Layers, Engine::Float)
        .map_err(|source| ErrorKind::Runtime { stage: "testing it".into(), source })?;
    if let Some(layer) = self_test.first_failed() {
        let (layer, found) = (layer.name.clone(), layer.engine.snr_db);
        return Err(ErrorKind::SelfTest { layer, found, expected: self_test.threshold_db }.into());
    }
    let comparisons = golden.map(|golden| {
        if let Some(certificate) = &certificate
            && manifest.weights == Weights::Int8
            && golden.int8_floats() != certificate.float_tensors
        {
            let (found, expected) =
                (golden.int8_floats().to_vec(), certificate.float_tensors.clone());
            return Err(ErrorKind::GoldenRecipe { found, expected }.into());
        }
        verify(&model, golden, manifest.weights)
    });
    let comparisons = comparisons.transpose()?;
    let (name, weights) = (manifest.name.clone(), manifest.weights);
    let files = (manifest.files.len(), bytes);
    Ok(Verified { name, weights, files, signature, certificate, self_test, comparisons })
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, (files, bytes)) = (&self.name, self.files);
        writeln!(f, "{name}: {files} files, {bytes} bytes, all as the manifest says")?;
        match &self.signature {
            Signature::None => writeln!(f, "not signed")?,
            Signature::NotVerified => writeln!(f, "signed, not verified: no key was given")?,
            Signature::Verified(Signed { key, comment }) => {
                writeln!(f, "signed by key {key}: {}", Escaped(comment))?;
            }
        }
        match &self.certificate {
            Some(certificate) => write!(f, "{certificate}")?,
            None => writeln!(f, "no certificate")?,
        }
        let layers = &self.self_test.layers;
        let least = layers.iter().map(|l| l.engine.snr_db).fold(f64::INFINITY, f64::min);
        let threshold = self.self_test.threshold_db;
        let count = layers.len();
        writeln!(f, "self-test: {count} layers, {least:.1} dB at least, expected {threshold}")?;
        match &self.comparisons {
            Some(comparisons) => {
                writeln!(f, "compared with the golden file; largest differences:")?;
                write!(f, "{}", Comparisons(comparisons))
            }
            None => writeln!(f, "not compared with the reference: no golden file was given"),
        }
    }
}
