//! From blocks of interleaved samples at any rate to mono at the model's rate.
//!
//! [`AudioStream`] mixes down or picks one channel, then resamples with a band limit. It works in blocks of its own, so that
//! the result does not depend on how the input was cut, and its buffers are allocated once.

mod mixdown;
mod resample;
#[cfg(test)]
mod tests;

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest::Audio;
use hilbert_formats::wav::{LARGEST_SAMPLE, MAX_CHANNELS};

use self::mixdown::Mixdown;
use self::resample::Resampler;
use crate::error::{ErrorKind, Result};

/// Lowest sample rate that is read, Hz: telephone audio.
pub const MIN_SAMPLE_RATE: u32 = 8_000;

/// Highest sample rate that is read, Hz: that of the best common recorders.
pub const MAX_SAMPLE_RATE: u32 = 192_000;

/// What interleaved samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcmFormat {
    /// Frames a second, [`MIN_SAMPLE_RATE`] to [`MAX_SAMPLE_RATE`].
    pub sample_rate: u32,
    /// Samples of one frame, 1 to [`MAX_CHANNELS`].
    pub channels: u16,
}

/// Interleaved samples as a device or a program gives them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pcm<'a> {
    /// Whole numbers, of which 32,768 are 1.
    I16(&'a [i16]),
    /// In [-1, 1].
    F32(&'a [f32]),
}

impl<'a> From<&'a [i16]> for Pcm<'a> {
    fn from(samples: &'a [i16]) -> Self {
        Self::I16(samples)
    }
}

impl<'a> From<&'a [f32]> for Pcm<'a> {
    fn from(samples: &'a [f32]) -> Self {
        Self::F32(samples)
    }
}

/// Whole numbers that become floats at a time.
const CONVERTED: usize = 512;

/// How several channels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChannelChoice {
    /// The mean of all channels.
    #[default]
    Mean,
    /// This channel alone, counted from 1.
    Only(u16),
}

/// Turns interleaved samples into mono at the model's sample rate.
///
/// Sample `n` of the output stands at `n / sample_rate` seconds of the recording: the filter's delay is taken out. The output
/// has `round(frames * output rate / input rate)` samples. At equal rates the samples pass unchanged.
#[derive(Debug)]
pub struct AudioStream {
    mixdown: Mixdown,
    resampler: Option<Resampler>,
    frames: u64,
    /// The samples of a frame that is not whole yet.
    partial: BoundedVec<f32, { MAX_CHANNELS as usize }>,
}

impl AudioStream {
    /// A stream from `input` to mono as `output` says.
    ///
    /// # Errors
    /// [`ErrorKind::SampleRate`] and [`ErrorKind::Channels`] outside the readable range, [`ErrorKind::Channel`] for a channel that
    /// `input` does not have.
    pub fn new(input: PcmFormat, channel: ChannelChoice, output: &Audio) -> Result<Self> {
        for found in [input.sample_rate, output.sample_rate] {
            if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&found) {
                return Err(ErrorKind::SampleRate {
                    found,
                    least: MIN_SAMPLE_RATE,
                    most: MAX_SAMPLE_RATE,
                }
                .into());
            }
        }
        if !(1..=MAX_CHANNELS).contains(&input.channels) {
            return Err(ErrorKind::Channels { found: input.channels, most: MAX_CHANNELS }.into());
        }
        let resampler = if input.sample_rate == output.sample_rate {
            None
        } else {
            Some(Resampler::new(input.sample_rate, output.sample_rate)?)
        };
        let mixdown = Mixdown::new(input.channels, channel)?;
        Ok(Self { mixdown, resampler, frames: 0, partial: BoundedVec::new() })
    }

    /// Bytes of heap that a stream from `input` to `output` takes.
    pub(crate) fn heap_bytes(input: PcmFormat, output: &Audio) -> usize {
        let resampler = match input.sample_rate == output.sample_rate {
            true => 0,
            false => Resampler::heap_bytes(input.sample_rate, output.sample_rate),
        };
        Mixdown::heap_bytes() + resampler
    }

    /// Takes a block of interleaved samples of any length, which may end within a frame, and hands mono samples on as they are ready.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] for a sample that is no number or beyond [`LARGEST_SAMPLE`], whatever `on_samples` returns. After
    /// an error the stream must not be fed further.
    pub fn push<'a>(
        &mut self,
        block: impl Into<Pcm<'a>>,
        mut on_samples: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        match block.into() {
            Pcm::F32(samples) => self.push_floats(samples, &mut on_samples),
            Pcm::I16(samples) => samples.chunks(CONVERTED).try_for_each(|samples| {
                let mut floats = [0.0; CONVERTED];
                for (float, sample) in floats.iter_mut().zip(samples) {
                    *float = f32::from(*sample) / 32_768.0;
                }
                self.push_floats(&floats[..samples.len()], &mut on_samples)
            }),
        }
    }

    fn push_floats(
        &mut self,
        mut samples: &[f32],
        on_samples: &mut impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let channels = self.mixdown.channels();
        // The transform would spread one such sample over its block.
        if let Some(at) =
            samples.iter().position(|sample| sample.is_nan() || sample.abs() > LARGEST_SAMPLE)
        {
            let frame = self.frames + ((self.partial.len() + at) / channels) as u64;
            return Err(ErrorKind::NotFinite { found: samples[at], frame }.into());
        }
        while !self.partial.is_empty() && !samples.is_empty() {
            let (sample, rest) = samples.split_at(1);
            samples = rest;
            self.partial.extend(sample.iter().copied());
            if self.partial.len() == channels {
                let frame = std::mem::take(&mut self.partial);
                self.push_frames(&frame, on_samples)?;
            }
        }
        let (whole, rest) = samples.split_at(samples.len() / channels * channels);
        self.partial.extend(rest.iter().copied());
        self.push_frames(whole, on_samples)
    }

    fn push_frames(
        &mut self,
        interleaved: &[f32],
        on_samples: &mut impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let Self { mixdown, resampler, frames, .. } = self;
        mixdown.push(interleaved, |mono| {
            *frames += mono.len() as u64;
            match resampler {
                None => on_samples(mono),
                Some(resampler) => resampler.push(mono, on_samples),
            }
        })
    }

    /// Hands on what the filter still holds, and drops the samples of a last frame that is not whole. The stream is then ready for
    /// another recording of the same format.
    ///
    /// # Errors
    /// Whatever `on_samples` returns.
    pub fn finish(&mut self, mut on_samples: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.frames = 0;
        self.partial.clear();
        self.resampler.as_mut().map_or(Ok(()), |resampler| resampler.finish(&mut on_samples))
    }

    /// Frames taken since the start of the recording.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Samples taken of a frame that is not whole yet.
    #[must_use]
    pub fn partial(&self) -> usize {
        self.partial.len()
    }
}
