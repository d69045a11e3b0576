//! Rows on their way from the front end to the fusion.

use super::capacities::Capacities;
use super::integrity::IntegrityCheck;
use super::journal::{Journal, Recorded};
use super::lanes::Lanes;
use super::model::Model;
use super::result::{CueResult, SegmentResult};
use super::run::{Lap, Stopwatch};
use crate::error::Result;
use crate::features::{LogMel, TokenRow};
use crate::fusion::{DocumentRows, Modality, TimeSpan};
use crate::segment::{Segment, Span};

/// The rows of one document, and what makes them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) document: DocumentRows,
    audio_row: Box<[f32]>,
    text_row: Box<[f32]>,
    pub(super) integrity: Option<IntegrityCheck>,
    /// Segments that wait to be encoded together; none on one thread.
    lanes: Option<Lanes>,
    /// Where segments are written and taken from, if they are.
    pub(super) journal: Option<Journal>,
    /// Seconds of one sample at the model's rate.
    sample_s: f64,
    pub(super) stopwatch: Stopwatch,
}

impl Rows {
    pub(super) fn new(model: &Model, capacities: &Capacities) -> Result<Self> {
        let integrity = IntegrityCheck::new(model, capacities);
        let lanes = match capacities.threads {
            0 | 1 => None,
            threads => {
                let frames = integrity.as_ref().map_or(0, |integrity| integrity.frames.len());
                Some(Lanes::new(model, threads, frames)?)
            }
        };
        Ok(Self {
            lanes,
            document: model.fusion.document_rows(capacities.n_max),
            audio_row: vec![0.0; model.speech_encoder.row_width()].into(),
            text_row: vec![0.0; model.text_encoder.row_width()].into(),
            integrity,
            journal: None,
            sample_s: 1.0 / f64::from(model.manifest().audio.sample_rate),
            stopwatch: Stopwatch::default(),
        })
    }

    pub(super) fn clear(&mut self) {
        self.document.clear();
        self.integrity.iter_mut().for_each(IntegrityCheck::clear);
        self.journal = None;
        self.lanes.iter_mut().for_each(Lanes::clear);
        self.stopwatch = Stopwatch::default();
    }

    /// Encodes a segment and hands its row to the fusion; pauses pass.
    pub(super) fn push_span(
        &mut self,
        model: &Model,
        log_mel: &mut LogMel,
        span: Span<'_>,
    ) -> Result<()> {
        let Span::Segment(segment) = span else {
            return Ok(());
        };
        let Self { lanes, audio_row, integrity, journal, stopwatch, .. } = self;
        let mut take = |row: &mut [f32]| match journal {
            Some(journal) => journal.take(segment, row),
            None => Ok(None),
        };
        if let Some(lanes) = lanes {
            if let Some(lane) = lanes.fill(segment) {
                lane.recorded = take(&mut lane.row)?;
            }
            return if lanes.are_full() { self.encode_waiting(model) } else { Ok(()) };
        }
        let recorded = take(audio_row)?;
        if recorded.as_ref().is_none_or(|recorded| !recorded.is_enough) {
            let spectrogram = stopwatch.log_mel.time(|| log_mel.compute(segment.samples))?;
            let frames = integrity.as_mut().map_or(&mut [][..], |integrity| &mut integrity.frames);
            stopwatch
                .speech_encoder
                .time(|| model.speech_encoder.encode(spectrogram, audio_row, frames))?;
        }
        self.push_encoded(model, segment, recorded.as_ref())
    }

    /// Encodes the segments that wait, if there are any, and hands their rows to the fusion.
    pub(super) fn encode_waiting(&mut self, model: &Model) -> Result<()> {
        let Some(mut lanes) = self.lanes.take() else { return Ok(()) };
        // Only that much of the time is the encoder's as is not the fusion's.
        let before = self.stopwatch.of_rows();
        let mut lap = Lap::default();
        let outcome = lap.time(|| {
            lanes.encode(model, |lane| {
                self.audio_row.copy_from_slice(&lane.row);
                if let Some(integrity) = &mut self.integrity {
                    integrity.frames.copy_from_slice(&lane.frames);
                }
                self.push_encoded(model, lane.segment(), lane.recorded.as_ref())
            })
        });
        self.stopwatch.add_encoding(lap, before);
        self.lanes = Some(lanes);
        outcome
    }

    /// Hands the row of a segment, which stands in its place as its frames do, to the fusion.
    fn push_encoded(
        &mut self,
        model: &Model,
        segment: Segment<'_>,
        recorded: Option<&Recorded>,
    ) -> Result<()> {
        let Self { document, audio_row, integrity, journal, sample_s, stopwatch, .. } = self;
        let is_encoded = recorded.is_none_or(|recorded| !recorded.is_enough);
        let fits = recorded.map_or(&[][..], |recorded| &recorded.fits);
        let mut scored = Vec::new();
        if let Some(integrity) = integrity {
            stopwatch.alignment.time(|| integrity.push_segment(segment, is_encoded, fits))?;
            scored = integrity.take_scored();
        }
        if let (Some(journal), None) = (journal, recorded) {
            journal.append(segment, audio_row, &scored)?;
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
    pub(super) fn push_tokens(&mut self, model: &Model, tokens: TokenRow<'_>) -> Result<()> {
        let Self { document, text_row, stopwatch, .. } = self;
        stopwatch.text_encoder.time(|| model.text_encoder.encode(tokens, text_row))?;
        let times =
            tokens.times.map(|times| TimeSpan { start_s: times.start_s, end_s: times.end_s });
        stopwatch.fusion.time(|| model.fusion.push(document, Modality::Text, text_row, times))
    }

    pub(super) fn segments(&self) -> Vec<SegmentResult> {
        let rows = self.document.rows(Modality::Audio).iter();
        rows.filter_map(|row| {
            let TimeSpan { start_s, end_s } = row.times?; // a segment always has them
            let audio_weight = self.document.weight(Modality::Audio, row);
            Some(SegmentResult { start_s, end_s, audio_weight, merged: row.size })
        })
        .collect()
    }

    pub(super) fn cues(&self) -> Vec<CueResult> {
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
