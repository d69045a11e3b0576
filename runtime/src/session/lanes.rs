//! Segments that are encoded at the same time, one a thread. They wait until there is one for each, and come out in their order: what
//! comes out does not depend on how many threads there are.

use std::thread;

use super::journal::Recorded;
use super::model::Model;
use crate::error::{ErrorKind, Result};
use crate::features::LogMel;
use crate::segment::{Segment, Segmenter};

/// The segments of all threads but none of which one is filled twice.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    /// How many hold a segment.
    filled: usize,
}

/// One segment, and what it is encoded with.
#[derive(Debug)]
pub(super) struct Lane {
    start: u64,
    samples: Vec<f32>,
    log_mel: LogMel,
    pub(super) row: Box<[f32]>,
    /// The speech encoder's frames.
    pub(super) frames: Box<[f32]>,
    pub(super) recorded: Option<Recorded>,
}

impl Lanes {
    /// As many lanes as threads, with all their buffers.
    pub(super) fn new(model: &Model, threads: usize, frames: usize) -> Result<Self> {
        let manifest = model.manifest();
        let longest = Segmenter::longest(&manifest.segmentation, &manifest.audio)?;
        let lane = |_| {
            Ok(Lane {
                start: 0,
                samples: Vec::with_capacity(longest),
                log_mel: LogMel::new(&manifest.features, &manifest.audio)?,
                row: vec![0.0; model.speech_encoder.row_width()].into(),
                frames: vec![0.0; frames].into(),
                recorded: None,
            })
        };
        Ok(Self { all: (0..threads).map(lane).collect::<Result<_>>()?, filled: 0 })
    }

    /// The next lane that is free, with the segment in it; its row and what is recorded are to be filled in.
    pub(super) fn fill(&mut self, segment: Segment<'_>) -> Option<&mut Lane> {
        let lane = self.all.get_mut(self.filled)?;
        self.filled += 1;
        lane.start = segment.start;
        lane.samples.clear();
        lane.samples.extend_from_slice(segment.samples);
        lane.recorded = None;
        Some(lane)
    }

    /// Whether every lane holds a segment.
    pub(super) fn are_full(&self) -> bool {
        self.filled == self.all.len()
    }

    /// Encodes the segments there are, each on a thread of its own but the first, and hands them on in their order.
    ///
    /// # Errors
    /// Of the first segment that fails, and whatever `on_lane` returns; the segments are gone then.
    pub(super) fn encode(
        &mut self,
        model: &Model,
        mut on_lane: impl FnMut(&mut Lane) -> Result<()>,
    ) -> Result<()> {
        let filled = std::mem::take(&mut self.filled);
        let lanes = &mut self.all[..filled];
        let Some((first, others)) = lanes.split_first_mut() else { return Ok(()) };
        let outcome = thread::scope(|scope| {
            let encode = |lane: &mut Lane| lane.encode(model);
            let others: Vec<_> =
                others.iter_mut().map(|lane| scope.spawn(move || encode(lane))).collect();
            let first = encode(first);
            let panicked = |_| ErrorKind::Internal {
                what: "session",
                reason: "a thread that encodes panicked".to_owned(),
            };
            // All are waited for before one is looked at.
            let others: Vec<Result<()>> =
                others.into_iter().map(|other| other.join().map_err(panicked)?).collect();
            std::iter::once(first).chain(others).collect::<Result<()>>()
        });
        outcome?;
        lanes.iter_mut().try_for_each(&mut on_lane)
    }

    /// Forgets what came in.
    pub(super) const fn clear(&mut self) {
        self.filled = 0;
    }
}

impl Lane {
    pub(super) fn segment(&self) -> Segment<'_> {
        let end = self.start + self.samples.len() as u64;
        Segment { start: self.start, end, samples: &self.samples }
    }

    fn encode(&mut self, model: &Model) -> Result<()> {
        if self.recorded.as_ref().is_some_and(|recorded| recorded.is_enough) {
            return Ok(());
        }
        let spectrogram = self.log_mel.compute(&self.samples)?;
        model.speech_encoder.encode(spectrogram, &mut self.row, &mut self.frames)
    }
}
