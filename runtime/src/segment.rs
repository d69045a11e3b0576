//! The recording cut at pauses.
//!
//! [`Segmenter`] follows `models/reference/segment.py` frame by frame and hands every segment on when it closes. It holds one
//! segment, never the recording, and segments depend on the audio alone.

mod detector;
#[cfg(test)]
mod tests;

use std::mem;

use hilbert_formats::manifest::{Audio, Segmentation};

use self::detector::{Detector, Frame};
use crate::audio::MAX_SAMPLE_RATE;
use crate::error::{Error, ErrorKind, Result};

/// Longest segment that a bundle may ask for, seconds; Whisper's own input.
pub const MAX_SEGMENT_S: f64 = 30.0;

/// A piece of the recording. Pieces ascend, and every sample is in exactly one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span<'a> {
    /// Speech, to be classified.
    Segment(Segment<'a>),
    /// What lies between segments. Two pauses never follow each other.
    Pause {
        /// First sample.
        start: u64,
        /// The sample after the last.
        end: u64,
    },
}

/// A piece of speech between two pauses or cuts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment<'a> {
    /// First sample, counted from the start of the recording at the model's rate.
    pub start: u64,
    /// The sample after the last.
    pub end: u64,
    /// The samples themselves, `[end - start]`.
    pub samples: &'a [f32],
}

/// Cuts a stream of samples into [`Span`]s, in one buffer of the longest segment's length.
#[derive(Debug)]
pub struct Segmenter {
    limits: Limits,
    detector: Detector,
    /// Samples from frame `base` on: the open segment's, or the last ones before the next.
    samples: Vec<f32>,
    /// The whole frames of `samples`.
    frames: Vec<Frame>,
    /// Number of the first frame held; the open segment's first frame.
    base: u64,
    open: Option<Open>,
    /// Samples taken.
    taken: u64,
    /// Samples before this one have been handed on.
    told: u64,
}

/// A segment that has not closed.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    /// The frame after the last speech frame, or the segment's first where that is later.
    last: u64,
    /// Speech frames so far.
    voiced: usize,
}

/// The manifest's seconds in frames.
#[derive(Debug)]
struct Limits {
    frame: usize,
    min: usize,
    max: usize,
    search: usize,
    pause: usize,
    long_pause: usize,
    padding: usize,
    min_speech: usize,
}

impl Segmenter {
    /// A segmenter for samples at `audio`'s rate.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a length does not fit the others.
    pub fn new(segmentation: &Segmentation, audio: &Audio) -> Result<Self> {
        let limits = Limits::new(segmentation, audio)?;
        let frames_per_s = f64::from(audio.sample_rate) / segmentation.frame as f64;
        Ok(Self {
            samples: Vec::with_capacity(limits.max * limits.frame),
            frames: Vec::with_capacity(limits.max),
            limits,
            detector: Detector::new(segmentation, frames_per_s),
            base: 0,
            open: None,
            taken: 0,
            told: 0,
        })
    }

    /// Samples of the longest segment.
    ///
    /// # Errors
    /// As [`Segmenter::new`].
    pub(crate) fn longest(segmentation: &Segmentation, audio: &Audio) -> Result<usize> {
        let limits = Limits::new(segmentation, audio)?;
        Ok(limits.max * limits.frame)
    }

    /// Bytes of heap that its buffer takes.
    ///
    /// # Errors
    /// As [`Segmenter::new`].
    pub(crate) fn heap_bytes(segmentation: &Segmentation, audio: &Audio) -> Result<usize> {
        let limits = Limits::new(segmentation, audio)?;
        Ok(limits.max * (limits.frame * size_of::<f32>() + size_of::<Frame>()))
    }

    /// Takes mono samples and hands on the pieces that they close.
    ///
    /// # Errors
    /// Whatever `on_span` returns; the segmenter must not be fed further then.
    pub fn push(
        &mut self,
        mut samples: &[f32],
        mut on_span: impl FnMut(Span<'_>) -> Result<()>,
    ) -> Result<()> {
        self.taken += samples.len() as u64;
        while !samples.is_empty() {
            let missing = (self.frames.len() + 1) * self.limits.frame - self.samples.len();
            let (head, rest) = samples.split_at(missing.min(samples.len()));
            self.samples.extend_from_slice(head);
            samples = rest;
            if head.len() == missing {
                self.take_frame(&mut on_span)?;
            }
        }
        Ok(())
    }

    /// Hands on the last pieces. The segmenter is then ready for another recording.
    ///
    /// # Errors
    /// Whatever `on_span` returns.
    pub fn finish(&mut self, mut on_span: impl FnMut(Span<'_>) -> Result<()>) -> Result<()> {
        if self.samples.len() > self.frames.len() * self.limits.frame {
            self.take_frame(&mut on_span)?;
        }
        if let Some(open) = self.open {
            self.close(self.pause_end(open), &mut on_span)?;
        }
        if self.told < self.taken {
            on_span(Span::Pause { start: self.told, end: self.taken })?;
        }
        self.samples.clear();
        self.frames.clear();
        self.detector.reset();
        (self.base, self.open, self.taken, self.told) = (0, None, 0, 0);
        Ok(())
    }

    /// Decides about the frame behind `self.frames`, whose samples are there.
    fn take_frame(&mut self, on_span: &mut impl FnMut(Span<'_>) -> Result<()>) -> Result<()> {
        let frame = self.detector.frame(&self.samples[self.frames.len() * self.limits.frame..]);
        self.frames.push(frame);
        let now = self.base + self.frames.len() as u64;
        if self.open.is_some() || frame.speech {
            let mut open = self.open.unwrap_or_default();
            if frame.speech {
                open = Open { last: now, voiced: open.voiced + 1 };
            }
            self.open = Some(open);
            self.close_when_due(open, now, on_span)?;
        }
        if self.open.is_none() {
            // The next segment may begin with these.
            self.drop_frames(self.frames.len().saturating_sub(self.limits.padding));
        }
        Ok(())
    }

    fn close_when_due(
        &mut self,
        open: Open,
        now: u64,
        on_span: &mut impl FnMut(Span<'_>) -> Result<()>,
    ) -> Result<()> {
        let Limits { min, max, pause, long_pause, padding, .. } = self.limits;
        let silence = now - open.last;
        let long_enough = open.last + padding as u64 >= self.base + min as u64
            && silence >= pause.max(padding) as u64;
        if long_enough || silence >= long_pause as u64 {
            self.close(self.pause_end(open), on_span)
        } else if self.frames.len() < max {
            Ok(())
        } else if silence >= pause as u64 {
            self.close(self.pause_end(open), on_span)
        } else {
            self.cut(open, on_span)
        }
    }

    /// Ends the open segment with the quietest of its last frames; what follows opens the next.
    fn cut(&mut self, open: Open, on_span: &mut impl FnMut(Span<'_>) -> Result<()>) -> Result<()> {
        let searched = self.frames.len() - self.limits.search;
        let mut quietest = searched;
        for i in searched..self.frames.len() {
            if self.frames[i].level < self.frames[quietest].level {
                quietest = i;
            }
        }
        let kept = quietest + 1;
        let after = self.frames[kept..].iter().filter(|frame| frame.speech).count();
        let end = self.base + kept as u64;
        self.open = Some(Open { voiced: open.voiced - after, ..open });
        self.close(end, on_span)?;
        if !self.frames.is_empty() {
            self.open = Some(Open { last: open.last.max(end), voiced: after });
        }
        Ok(())
    }

    /// The frame at which a segment that ends with a pause ends: some silence is kept.
    fn pause_end(&self, open: Open) -> u64 {
        (open.last + self.limits.padding as u64).min(self.base + self.frames.len() as u64)
    }

    /// Closes the open segment before frame `end`.
    fn close(&mut self, end: u64, on_span: &mut impl FnMut(Span<'_>) -> Result<()>) -> Result<()> {
        let open = mem::take(&mut self.open).unwrap_or_default();
        // The segment lies in the buffer, so that its length is below `limits.max`.
        let frames = usize::try_from(end - self.base).unwrap_or(usize::MAX).min(self.frames.len());
        // Behind a cut there may be nothing yet when a pause closes what it opened.
        if frames > 0 && open.voiced >= self.limits.min_speech {
            let start = self.start();
            let samples = &self.samples[..self.samples.len().min(frames * self.limits.frame)];
            let end = start + samples.len() as u64;
            if self.told < start {
                on_span(Span::Pause { start: self.told, end: start })?;
            }
            on_span(Span::Segment(Segment { start, end, samples }))?;
            self.told = end;
        }
        self.drop_frames(frames);
        Ok(())
    }

    /// Forgets the first `count` frames.
    fn drop_frames(&mut self, count: usize) {
        self.frames.drain(..count);
        self.samples.drain(..self.samples.len().min(count * self.limits.frame));
        self.base += count as u64;
    }

    /// The first sample held.
    const fn start(&self) -> u64 {
        self.base * self.limits.frame as u64
    }
}

impl Limits {
    fn new(segmentation: &Segmentation, audio: &Audio) -> Result<Self> {
        let setting = |name, found: f64, expected: &str| {
            Error::from(ErrorKind::Setting {
                name,
                found: found.to_string(),
                expected: expected.to_owned(),
            })
        };
        let frame = segmentation.frame;
        if frame == 0 || frame > audio.sample_rate as usize || audio.sample_rate > MAX_SAMPLE_RATE {
            return Err(setting("segmentation.frame", frame as f64, "1 sample to 1 s"));
        }
        let frames = |name, seconds: f64| {
            if !(0.0..=MAX_SEGMENT_S).contains(&seconds) {
                return Err(setting(name, seconds, &format!("0 to {MAX_SEGMENT_S} s")));
            }
            let frames =
                (seconds * (f64::from(audio.sample_rate) / frame as f64)).round_ties_even();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, at most MAX_SEGMENT_S * MAX_SAMPLE_RATE"
            )]
            Ok(frames as usize)
        };
        let limits = Self {
            frame,
            min: frames("segmentation.min_s", segmentation.min_s)?,
            max: frames("segmentation.max_s", segmentation.max_s)?,
            search: frames("segmentation.search_s", segmentation.search_s)?,
            pause: frames("segmentation.pause_s", segmentation.pause_s)?,
            long_pause: frames("segmentation.long_pause_s", segmentation.long_pause_s)?,
            padding: frames("segmentation.padding_s", segmentation.padding_s)?,
            min_speech: frames("segmentation.min_speech_s", segmentation.min_speech_s)?,
        };
        if !(1..=limits.max).contains(&limits.search) {
            return Err(setting(
                "segmentation.search_s",
                segmentation.search_s,
                "one frame to segmentation.max_s",
            ));
        }
        if limits.padding >= limits.max {
            return Err(setting(
                "segmentation.padding_s",
                segmentation.padding_s,
                "less than segmentation.max_s",
            ));
        }
        Ok(limits)
    }
}
