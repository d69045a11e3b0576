//! One document on its way through the stages, one segment and one row of tokens at a time.

mod front_end;
mod integrity;
mod model;
mod result;
mod run;

use std::sync::Arc;

use hilbert_formats::Transcript;

use self::front_end::FrontEnd;
use self::integrity::IntegrityCheck;
pub use self::integrity::{CueScore, IntegrityResult};
pub use self::model::Model;
pub use self::result::{
    BundleId, Classification, CueResult, ExpertGate, InputSummary, LabelProbability, Run,
    SegmentResult, SetResult, TaskResult, Tool, Warning,
};
use self::run::Stopwatch;
use crate::audio::{AudioStream, ChannelChoice, PcmFormat};
use crate::decision::decide;
use crate::error::{Error, ErrorKind, Result};
use crate::features::{LogMel, TokenRow};
use crate::fusion::{DocumentRows, Modalities, Modality, TimeSpan};
use crate::segment::Span;

/// A document that arrives in pieces.
///
/// Audio is pushed in blocks of any size between [`Session::start_audio`] and [`Session::finish_audio`], a transcript at once;
/// either may come first and either may be missing. [`Session::finish`] classifies and makes room for the next document.
/// Every buffer that depends on the bundle is allocated when the session is made.
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    front_end: FrontEnd,
    rows: Rows,
    stream: Option<AudioStream>,
    input: InputSummary,
    warnings: Vec<Warning>,
}

/// Rows on their way from the front end to the fusion.
#[derive(Debug)]
struct Rows {
    document: DocumentRows,
    audio_row: Box<[f32]>,
    text_row: Box<[f32]>,
    integrity: Option<IntegrityCheck>,
    /// Seconds of one sample at the model's rate.
    sample_s: f64,
    stopwatch: Stopwatch,
}

impl Session {
    /// A session for documents of `model`, with all its buffers.
    ///
    /// # Errors
    /// None for a model that opened.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        let front_end = FrontEnd::new(model.manifest(), &model.vocabulary)?;
        let rows = Rows {
            document: model.fusion.document_rows(),
            audio_row: vec![0.0; model.speech_encoder.row_width()].into(),
            text_row: vec![0.0; model.text_encoder.row_width()].into(),
            integrity: IntegrityCheck::new(&model),
            sample_s: 1.0 / f64::from(model.manifest().audio.sample_rate),
            stopwatch: Stopwatch::default(),
        };
        let (input, warnings) = (InputSummary::default(), Vec::new());
        Ok(Self { model, front_end, rows, stream: None, input, warnings })
    }

    /// Forgets what came in of the current document.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a stage fails.
    pub fn clear(&mut self) -> Result<()> {
        self.front_end.clear()?;
        self.rows.document.clear();
        self.rows.integrity.iter_mut().for_each(IntegrityCheck::clear);
        self.rows.stopwatch = Stopwatch::default();
        self.stream = None;
        self.input = InputSummary::default();
        self.warnings.clear();
        Ok(())
    }

    /// Announces a recording; a document has at most one.
    ///
    /// # Errors
    /// [`ErrorKind::SampleRate`] or [`ErrorKind::Channel`] for a format or a choice that cannot be used.
    pub fn start_audio(&mut self, format: PcmFormat, channel: ChannelChoice) -> Result<()> {
        if self.input.sample_rate.is_some() {
            return Err(misuse("a second recording for one document"));
        }
        self.rows.stopwatch.start();
        self.stream = Some(AudioStream::new(format, channel, &self.model.manifest().audio)?);
        self.input.sample_rate = Some(format.sample_rate);
        self.input.channels = Some(format.channels);
        Ok(())
    }

    /// Takes a block of whole frames of interleaved samples in [-1, 1]; encodes the segments that it closes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] for a sample that is no number or far too large, [`ErrorKind::Block`] for a frame that is not whole. The
    /// document is lost then: [`Session::clear`] makes room for the next.
    pub fn push_audio(&mut self, interleaved: &[f32]) -> Result<()> {
        let Self { model, front_end: FrontEnd { segmenter, log_mel, .. }, rows, stream, .. } = self;
        let stream =
            stream.as_mut().ok_or_else(|| misuse("samples before the recording was announced"))?;
        stream.push(interleaved, |mono| {
            segmenter.push(mono, |span| rows.push_span(model, log_mel, span))
        })
    }

    /// Ends the recording; encodes its last segment.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] or [`ErrorKind::Internal`] when a stage fails.
    pub fn finish_audio(&mut self) -> Result<()> {
        let Self { model, front_end: FrontEnd { segmenter, log_mel, .. }, rows, stream, .. } = self;
        let mut stream =
            stream.take().ok_or_else(|| misuse("the end of a recording that was not announced"))?;
        let frames = stream.frames();
        stream.finish(|mono| segmenter.push(mono, |span| rows.push_span(model, log_mel, span)))?;
        segmenter.finish(|span| rows.push_span(model, log_mel, span))?;
        self.input.duration_s = self.input.sample_rate.map(|rate| frames as f64 / f64::from(rate));
        if rows.document.rows(Modality::Audio).is_empty() {
            self.warn("no_speech", "found no speech in the recording, which was left out");
        }
        Ok(())
    }

    /// Takes the transcript and encodes its cues; a document has at most one.
    ///
    /// A cue is held against its audio if it comes in time: before the recording is [`KEPT_S`](crate::KEPT_S) of speech
    /// beyond its start. Until its audio has passed, its text waits.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] when a stage fails.
    pub fn push_transcript(&mut self, transcript: &Transcript) -> Result<()> {
        if self.input.transcript.is_some() {
            return Err(misuse("a second transcript for one document"));
        }
        let Self { model, front_end: FrontEnd { token_rows, .. }, rows, .. } = self;
        rows.stopwatch.start();
        for cue in &transcript.cues {
            token_rows.push(cue, |tokens| rows.push_tokens(model, tokens))?;
        }
        token_rows.finish(|tokens| rows.push_tokens(model, tokens))?;
        if let Some(integrity) = &mut rows.integrity {
            rows.stopwatch.alignment.time(|| integrity.push_cues(&transcript.cues));
        }
        self.input.transcript = Some(transcript.format.as_str());
        self.warnings.extend(transcript.warnings.iter().map(Warning::from));
        if self.rows.document.rows(Modality::Text).is_empty() {
            self.warn("no_words", "found no words in the transcript, which was left out");
        }
        Ok(())
    }

    /// Adds a warning of the document's source to the result.
    pub fn push_warning(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Classifies the document, and makes room for the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Nothing`] when neither speech nor words came in.
    pub fn finish(&mut self) -> Result<Classification> {
        let classification = self.classify();
        self.clear()?;
        classification
    }

    fn classify(&mut self) -> Result<Classification> {
        if self.stream.is_some() {
            self.finish_audio()?;
        }
        let Rows { document, stopwatch, .. } = &mut self.rows;
        let fused = stopwatch.fusion.time(|| self.model.fusion.fuse(document))?;
        let Some(fused) = fused else {
            return Err(Error::new(ErrorKind::Nothing { found: self.nothing_found() }));
        };
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

    fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
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

impl Rows {
    /// Encodes a segment and hands its row to the fusion; pauses pass.
    fn push_span(&mut self, model: &Model, log_mel: &mut LogMel, span: Span<'_>) -> Result<()> {
        let Span::Segment(segment) = span else {
            return Ok(());
        };
        let Self { document, audio_row, integrity, sample_s, stopwatch, .. } = self;
        let spectrogram = stopwatch.log_mel.time(|| log_mel.compute(segment.samples))?;
        let frames = integrity.as_mut().map_or(&mut [][..], |integrity| &mut integrity.frames);
        stopwatch
            .speech_encoder
            .time(|| model.speech_encoder.encode(spectrogram, audio_row, frames))?;
        if let Some(integrity) = integrity {
            stopwatch.alignment.time(|| integrity.push_segment(segment))?;
        }
        let times = TimeSpan {
            start_s: segment.start as f64 * *sample_s,
            end_s: segment.end as f64 * *sample_s,
        };
        stopwatch
            .fusion
            .time(|| model.fusion.push(document, Modality::Audio, audio_row, Some(times)))
    }

    /// Encodes a row of tokens and hands its row to the fusion.
    fn push_tokens(&mut self, model: &Model, tokens: TokenRow<'_>) -> Result<()> {
        let Self { document, text_row, stopwatch, .. } = self;
        stopwatch.text_encoder.time(|| model.text_encoder.encode(tokens, text_row))?;
        let times =
            tokens.times.map(|times| TimeSpan { start_s: times.start_s, end_s: times.end_s });
        stopwatch.fusion.time(|| model.fusion.push(document, Modality::Text, text_row, times))
    }

    fn segments(&self) -> Vec<SegmentResult> {
        let rows = self.document.rows(Modality::Audio).iter();
        rows.filter_map(|row| {
            let TimeSpan { start_s, end_s } = row.times?; // a segment always has them
            let audio_weight = self.document.weight(Modality::Audio, row);
            Some(SegmentResult { start_s, end_s, audio_weight, merged: row.size })
        })
        .collect()
    }

    fn cues(&self) -> Vec<CueResult> {
        let rows = self.document.rows(Modality::Text).iter();
        rows.map(|row| CueResult {
            start_s: row.times.map(|times| times.start_s),
            end_s: row.times.map(|times| times.end_s),
            text_weight: self.document.weight(Modality::Text, row),
            merged: row.size,
        })
        .collect()
    }
}

fn misuse(reason: &str) -> Error {
    Error::new(ErrorKind::Internal { what: "session", reason: format!("found {reason}") })
}
