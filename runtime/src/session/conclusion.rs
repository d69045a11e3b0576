//! The end of a document: from its rows to its result.

use serde::Serialize;

use super::Session;
use super::integrity::IntegrityResult;
use super::journal::Journal;
use super::result::{
    BundleId, Classification, ExpertGate, LabelProbability, SetResult, TaskResult, Tool, time,
};
use super::rows::Rows;
use crate::decision::decide;
use crate::error::{Error, ErrorKind, Result};
use crate::fusion::{Fused, Modalities, Modality};

/// What a document would be classified as if it ended here. Serialised it is a `hilbert.estimate/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Always `hilbert.estimate/1`. Fields are only added within it.
    pub schema: &'static str,
    /// How much of the recording came in, seconds.
    #[serde(serialize_with = "time")]
    pub at_s: f64,
    /// Segments so far; one that has not closed is not among them.
    pub segments: u64,
    /// Rows of the transcript so far; of untimed sentences the last ones may wait for more.
    pub cues: u64,
    /// What there is so far: `audio`, `text`, both or nothing.
    pub modalities: &'static [&'static str],
    /// One result a task, in the order of the manifest; none where there is neither speech nor words yet.
    pub tasks: Vec<TaskResult>,
}

impl Session {
    /// What the document would be classified as if it ended here. It goes on as if it had not been asked.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] when a stage fails.
    pub fn estimate(&mut self) -> Result<Estimate> {
        self.rows.encode_waiting(&self.model)?;
        let fused = self.fuse()?;
        let tasks = fused.as_ref().map_or_else(|| Ok(Vec::new()), |fused| self.tasks(fused))?;
        let document = &self.rows.document;
        Ok(Estimate {
            schema: "hilbert.estimate/1",
            at_s: self.taken_s(),
            segments: document.pushed(Modality::Audio),
            cues: document.pushed(Modality::Text),
            modalities: fused.map_or(&[], |fused| fused.modalities.names()),
            tasks,
        })
    }

    fn fuse(&mut self) -> Result<Option<Fused>> {
        let Rows { document, stopwatch, .. } = &mut self.rows;
        stopwatch.fusion.time(|| self.model.fusion.fuse(document))
    }

    /// What the experts make of a document, one result a task.
    fn tasks(&mut self, fused: &Fused) -> Result<Vec<TaskResult>> {
        let stopwatch = &mut self.rows.stopwatch;
        let outputs = stopwatch.fusion.time(|| self.model.experts.run(&fused.document))?;
        let mut tasks = Vec::with_capacity(outputs.len());
        for (task, output) in self.model.manifest().tasks.iter().zip(&outputs) {
            let decision = decide(task, fused.modalities, &output.output)?;
            let with_labels = task.labels.iter().zip(&decision.probabilities);
            let label = |i: &usize| task.labels.get(*i).cloned();
            let sets = decision.sets.iter().map(|set| SetResult {
                coverage: set.coverage,
                labels: set.labels.iter().filter_map(label).collect(),
            });
            let used = output.gates.iter().enumerate().filter(|(_, gate)| **gate > 0.0);
            tasks.push(TaskResult {
                name: task.name.clone(),
                kind: task.kind,
                label: label(&decision.label).unwrap_or_default(),
                score: decision.score.map(f64::from),
                probabilities: with_labels
                    .map(|(label, p)| LabelProbability { label: label.clone(), probability: *p })
                    .collect(),
                sets: sets.collect(),
                experts: used.map(|(id, gate)| ExpertGate { id, gate: f64::from(*gate) }).collect(),
            });
        }
        Ok(tasks)
    }

    pub(super) fn classify(&mut self) -> Result<Classification> {
        if self.stream.is_some() {
            self.finish_audio()?;
        }
        self.finish_text()?;
        self.rows.journal.as_ref().map_or(Ok(()), Journal::check_taken)?;
        let Some(fused) = self.fuse()? else {
            return Err(Error::new(ErrorKind::Nothing { found: self.nothing_found() }));
        };
        let tasks = self.tasks(&fused)?;
        self.warn_of_modalities(fused.modalities);
        let integrity = self.integrity(fused.modalities);
        let segments = self.rows.segments();
        let cues = self.rows.cues();
        log::debug!(
            "document: {} segments, {} cues, {} warnings",
            segments.len(),
            cues.len(),
            self.warnings.len()
        );
        Ok(Classification {
            schema: "hilbert.result/1",
            tool: Tool { version: env!("CARGO_PKG_VERSION") },
            bundle: BundleId {
                name: self.model.manifest().name.clone(),
                sha256: self.model.bundle_sha256().to_owned(),
            },
            modalities: fused.modalities.names(),
            tasks,
            integrity,
            segments,
            cues,
            warnings: self.warnings.clone(),
            run: Some(self.rows.stopwatch.read(self.input.duration_s)),
            input: self.input.clone(),
        })
    }

    /// Whether the transcript belongs to the recording, where there are both and the model can tell.
    fn integrity(&mut self, modalities: Modalities) -> Option<IntegrityResult> {
        let Rows { integrity, stopwatch, .. } = &mut self.rows;
        let integrity = integrity.as_mut().filter(|_| modalities == Modalities::AudioText)?;
        let (result, warnings) = stopwatch.alignment.time(|| integrity.finish());
        self.warnings.extend(warnings);
        Some(result)
    }

    /// Says what was not given, and what was merged.
    fn warn_of_modalities(&mut self, modalities: Modalities) {
        if modalities == Modalities::Audio && self.input.transcript.is_none() {
            self.warn("no_transcript", "found no transcript: classified from the recording alone");
        }
        if modalities == Modalities::Text && self.input.sample_rate.is_none() {
            self.warn("no_recording", "found no recording: classified from the transcript alone");
        }
        for (modality, what) in [(Modality::Audio, "segments"), (Modality::Text, "cues")] {
            let (found, kept) =
                (self.rows.document.pushed(modality), self.rows.document.rows(modality).len());
            if found > kept as u64 {
                self.warn(
                    "rows_merged",
                    format!("found {found} {what}, of which neighbours were merged into {kept}"),
                );
            }
        }
    }

    const fn nothing_found(&self) -> &'static str {
        match (self.input.sample_rate.is_some(), self.input.transcript.is_some()) {
            (true, true) => "a recording without speech and a transcript without words",
            (true, false) => "a recording without speech and no transcript",
            (false, true) => "a transcript without words and no recording",
            (false, false) => "neither a recording nor a transcript",
        }
    }
}
