//! Proof of parity: the written bundle, opened with the real runtime, against the reference's golden file.
//!
//! Each stage is fed its golden input and compared with its golden output; then whole documents run from log-mel and
//! tokens to probabilities. The golden set is the one that matches the bundle's weights: `f32` or `int8`.

mod alignment;
mod bundle;
mod golden;
mod stages;

use std::fmt;
use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_formats::manifest::Weights;
use hilbert_runtime::{Engine, Model};

pub use self::bundle::{Verified, verify_bundle};
pub use self::golden::Golden;
use self::stages::{Presence, Stages};
use crate::error::{ErrorKind, Result};
use crate::fusion::Modality;

/// Largest difference of a stage that was fed its golden input; where its numbers go beyond 26, 32 of the last places of
/// the largest.
pub const STAGE_TOLERANCE: f32 = 1e-4;

/// Largest difference of a probability at the end of the chain.
pub const CHAIN_TOLERANCE: f32 = 1e-3;

/// One stage that agrees with the golden set, over all documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Name of the stage: a golden tensor's, or `chained probabilities/TASK`.
    pub stage: String,
    /// Numbers compared.
    pub values: usize,
    /// Largest difference.
    pub largest: f32,
    /// Largest difference allowed in any of the documents.
    pub tolerance: f32,
}

/// Displays a line for each.
pub(crate) struct Comparisons<'a>(pub(crate) &'a [Comparison]);

impl fmt::Display for Comparisons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Comparison { stage, values, largest, tolerance } in self.0 {
            writeln!(
                f,
                "  {stage:32} {largest:>10.2e} of at most {tolerance:.0e}, {values} values"
            )?;
        }
        Ok(())
    }
}

/// A stage that does not agree with the golden set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct Mismatch {
    /// Name of the stage.
    pub stage: String,
    /// Name of the golden document.
    pub document: String,
    /// Where the largest difference is, counted over the whole golden tensor in row-major order.
    pub index: usize,
    /// The bundle's number there.
    pub ours: f32,
    /// The reference's number there.
    pub reference: f32,
    /// Largest difference; NaN where one of the two is.
    pub largest: f32,
    /// Largest difference allowed.
    pub tolerance: f32,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, document, index, ours, reference, largest, tolerance } = self;
        write!(
            f,
            "parity failed: stage {stage:?}, document {document:?}, index {index}: found {ours}, the reference has {reference}; \
             largest difference {largest:e}, expected at most {tolerance:e}"
        )
    }
}

/// Opens the bundle in `folder` with the runtime, which loads every graph. It computes in floats, as the golden vectors were.
///
/// # Errors
/// [`ErrorKind::Runtime`].
pub fn open(folder: &Path) -> Result<Model> {
    Ok(Bundle::open(folder)
        .map_err(hilbert_runtime::Error::from)
        .and_then(|bundle| Model::from_bundle_on(Engine::Float, &bundle))
        .map_err(|source| ErrorKind::Runtime { stage: "opening it".into(), source })?)
}

/// Loads a bundle with the runtime, every graph of it, to compute in floats.
///
/// # Errors
/// [`ErrorKind::Runtime`].
pub fn load(bundle: &Bundle) -> Result<Model> {
    Ok(Model::from_bundle_on(Engine::Float, bundle)
        .map_err(|source| ErrorKind::Runtime { stage: "loading it".into(), source })?)
}

/// Compares every graph of `model`, and the chain of all of them, with the golden set of `weights`.
///
/// Returns one entry a stage.
///
/// # Errors
/// [`ErrorKind::Parity`] at the first stage that differs; [`ErrorKind::GoldenTensor`]; [`ErrorKind::Runtime`].
pub fn verify(model: &Model, golden: &Golden, weights: Weights) -> Result<Vec<Comparison>> {
    let set = match weights {
        Weights::F32 => "f32",
        Weights::Int8 => "int8",
    };
    let mut check = Check { golden, set, document: String::new(), comparisons: Vec::new() };
    let stages = Stages { model, manifest: model.manifest() };
    for document in golden.documents(set)? {
        check.document = document;
        check.each_stage(&stages)?;
    }
    for document in golden.documents(set)? {
        check.document = document;
        check.chain(&stages)?;
    }
    Ok(check.comparisons)
}

/// The comparison of one document after the other.
struct Check<'a> {
    golden: &'a Golden,
    set: &'static str,
    document: String,
    comparisons: Vec<Comparison>,
}

impl Check<'_> {
    /// Every stage fed the golden output of the one before it.
    fn each_stage(&mut self, stages: &Stages<'_>) -> Result<()> {
        let presence = self.presence();
        let width = stages.manifest.fusion.width;
        for modality in presence.list() {
            let name = modality.name();
            let rows = self.encoded(stages, modality)?.concat();
            self.compare_start(&format!("{name}_rows"), &rows)?;
            let golden_rows = self.rows(&format!("{name}_rows"))?;
            let middles = self.golden.middles(&self.document, modality, stages.manifest)?;
            let (x, scores) = stages.project_all(modality, &golden_rows, &middles)?;
            self.compare(&format!("{name}_x"), &x.concat())?;
            self.compare(&format!("{name}_score"), &scores)?;
        }
        for modality in presence.list() {
            let name = modality.name();
            let x = self.rows(&format!("{name}_x"))?;
            let other = modality.other();
            let keys = if presence.has(other) {
                self.rows(&format!("{}_x", other.name()))?
            } else {
                Vec::new()
            };
            let (c, scores) = stages.attend(modality, &x, &keys)?;
            self.compare(&format!("cross_{name}"), &c.concat())?;
            self.compare(&format!("cross_{name}_score"), &scores)?;
            for stream in [name.to_owned(), format!("cross_{name}")] {
                let rows = if stream == name { x.clone() } else { self.rows(&stream)? };
                let scores = self.stage(&format!("{stream}_score"))?;
                self.compare(
                    &format!("{stream}_pooled"),
                    &stages::weighted_sum(&rows, &stages::softmax(&scores), width),
                )?;
            }
        }
        let document = stages.join(&self.golden_pooled(presence, width)?, presence)?;
        self.compare("document", &document)?;
        let document = self.stage("document")?;
        self.compare("gates", &stages.gates(&document)?.concat())?;
        self.compare("experts", &stages.experts(&document)?.concat())?;
        let (gates, experts) = (self.rows("gates")?, self.rows("experts")?);
        for (task, gates) in stages.manifest.tasks.iter().zip(&gates) {
            let output = stages.head(
                &task.name,
                &stages::weighted_sum(&experts, gates, stages.manifest.experts.width),
            )?;
            self.compare(&format!("head/{}", task.name), &output)?;
            let forced = experts.iter().map(|expert| stages.head(&task.name, expert));
            let forced = forced.collect::<Result<Vec<_>>>()?.concat();
            self.compare(&format!("forced/{}", task.name), &forced)?;
            let output = self.stage(&format!("head/{}", task.name))?;
            let probabilities = stages::probabilities(task, &output, presence);
            self.compare(&format!("probabilities/{}", task.name), &probabilities)?;
            if task.conformal.is_some() {
                let held = stages::sets(task, &output, presence)?;
                self.compare(&format!("sets/{}", task.name), &held)?;
            }
        }
        if presence.audio && presence.text && stages.manifest.alignment.is_some() {
            self.alignment(stages)?;
        }
        Ok(())
    }

    /// From log-mel and tokens to probabilities. Segments whose log-mel the golden file leaves out enter as golden rows.
    fn chain(&mut self, stages: &Stages<'_>) -> Result<()> {
        let presence = self.presence();
        let width = stages.manifest.fusion.width;
        let (mut x, mut scores) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for modality in presence.list() {
            let mut rows = self.encoded(stages, modality)?;
            let golden = self.rows(&format!("{}_rows", modality.name()))?;
            rows.extend_from_slice(golden.get(rows.len()..).unwrap_or_default());
            let middles = self.golden.middles(&self.document, modality, stages.manifest)?;
            (x[modality.index()], scores[modality.index()]) =
                stages.project_all(modality, &rows, &middles)?;
        }
        let mut pooled = [vec![0.0; width], vec![0.0; width], vec![0.0; width], vec![0.0; width]];
        for modality in presence.list() {
            let (own, other) = (modality.index(), modality.other().index());
            let (c, cross_scores) = stages.attend(modality, &x[own], &x[other])?;
            pooled[own] = stages::weighted_sum(&x[own], &stages::softmax(&scores[own]), width);
            pooled[2 + own] = stages::weighted_sum(&c, &stages::softmax(&cross_scores), width);
        }
        let document = stages.join(&pooled, presence)?;
        let (gates, experts) = (stages.gates(&document)?, stages.experts(&document)?);
        for (task, gates) in stages.manifest.tasks.iter().zip(&gates) {
            let output = stages.head(
                &task.name,
                &stages::weighted_sum(&experts, gates, stages.manifest.experts.width),
            )?;
            let probabilities = stages::probabilities(task, &output, presence);
            let reference = self.stage(&format!("probabilities/{}", task.name))?;
            let stage = format!("chained probabilities/{}", task.name);
            self.agree(&stage, &probabilities, &reference, CHAIN_TOLERANCE)?;
        }
        Ok(())
    }

    fn presence(&self) -> Presence {
        Presence {
            audio: self.golden.holds(&format!("inputs/{}/log_mel", self.document)),
            text: self.golden.holds(&format!("inputs/{}/tokens", self.document)),
        }
    }

    /// The encoder's rows of every golden input of this modality.
    fn encoded(&self, stages: &Stages<'_>, modality: Modality) -> Result<Vec<Vec<f32>>> {
        match modality {
            Modality::Audio => stages.encode_audio(self.golden, &self.document),
            Modality::Text => stages.encode_text(self.golden, &self.document),
        }
    }

    fn golden_pooled(&self, presence: Presence, width: usize) -> Result<[Vec<f32>; 4]> {
        let pooled = |stream: &str, modality| {
            if presence.has(modality) {
                self.stage(&format!("{stream}_pooled"))
            } else {
                Ok(vec![0.0; width])
            }
        };
        Ok([
            pooled("audio", Modality::Audio)?,
            pooled("text", Modality::Text)?,
            pooled("cross_audio", Modality::Audio)?,
            pooled("cross_text", Modality::Text)?,
        ])
    }

    /// A golden stage of this document, flat.
    fn stage(&self, stage: &str) -> Result<Vec<f32>> {
        self.golden.floats(&format!("{}/{}/{stage}", self.set, self.document))
    }

    /// A golden stage of this document, row by row.
    fn rows(&self, stage: &str) -> Result<Vec<Vec<f32>>> {
        self.golden.rows(&format!("{}/{}/{stage}", self.set, self.document))
    }

    fn compare(&mut self, stage: &str, ours: &[f32]) -> Result<()> {
        let reference = self.stage(stage)?;
        self.agree(stage, ours, &reference, STAGE_TOLERANCE)
    }

    /// As `compare`, where the golden inputs may be fewer than the golden outputs.
    fn compare_start(&mut self, stage: &str, ours: &[f32]) -> Result<()> {
        let mut reference = self.stage(stage)?;
        reference.truncate(ours.len());
        self.agree(stage, ours, &reference, STAGE_TOLERANCE)
    }

    /// Absolute differences, all within what is [`allowed`]; a NaN on either side is not.
    fn agree(
        &mut self,
        stage: &str,
        ours: &[f32],
        reference: &[f32],
        tolerance: f32,
    ) -> Result<()> {
        if ours.len() != reference.len() {
            let name = format!("{}/{}/{stage}", self.set, self.document);
            return Err(self.golden.wrong(
                &name,
                format!("{} numbers", reference.len()),
                format!("{}", ours.len()),
            ));
        }
        let tolerance = allowed(tolerance, reference);
        let differences = ours.iter().zip(reference).map(|(a, b)| (a - b).abs());
        // total_cmp orders NaN above every number
        let worst = differences.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((index, largest)) = worst else { return Ok(()) };
        if largest.is_nan() || largest > tolerance {
            let (stage, document) = (stage.to_owned(), self.document.clone());
            let (ours, reference) = (ours[index], reference[index]);
            let mismatch = Mismatch { stage, document, index, ours, reference, largest, tolerance };
            return Err(ErrorKind::Parity(mismatch).into());
        }
        match self.comparisons.iter_mut().find(|c| c.stage == stage) {
            Some(known) => {
                known.values += ours.len();
                known.largest = known.largest.max(largest);
                known.tolerance = known.tolerance.max(tolerance);
            }
            None => {
                let stage = stage.to_owned();
                self.comparisons.push(Comparison { stage, values: ours.len(), largest, tolerance });
            }
        }
        Ok(())
    }
}

/// Float32 has 24 bits: where numbers reach 70, two right ways to add them up differ by more than a fixed 1e-4.
fn allowed(tolerance: f32, reference: &[f32]) -> f32 {
    const LAST_PLACES: f32 = 32.0;
    let largest = reference.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    tolerance.max(LAST_PLACES * f32::EPSILON * largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_of_large_numbers_may_differ_by_their_last_places_and_others_by_the_tolerance() {
        let rows: [(&[f32], f32); 4] = [
            (&[], STAGE_TOLERANCE),
            (&[3.0, -26.0], STAGE_TOLERANCE),
            (&[-0.5, -64.0], 2f32.powi(-12)),
            (&[f32::NAN], STAGE_TOLERANCE),
        ];
        for (reference, expected) in rows {
            let found = allowed(STAGE_TOLERANCE, reference);
            assert_eq!(found.to_bits(), expected.to_bits(), "{reference:?}: {found}");
        }
    }
}
