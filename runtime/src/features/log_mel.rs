//! Log-mel spectrogram of one segment, equal to `models/reference/log_mel.py`, which is whisper's `log_mel_spectrogram`
//! (openai/whisper, `whisper/audio.py`).

mod filters;
#[cfg(test)]
mod tests;

use std::f64::consts::PI;
use std::fmt;

use hilbert_formats::manifest::{Audio, Features};
use hilbert_kernels::{FRAMES, Isa, LogMelFrames};

use crate::error::{ErrorKind, Result};
use crate::limits::MAX_VALUES;

/// Computes spectrograms into one buffer.
pub struct LogMel {
    n_fft: usize,
    hop: usize,
    n_mels: usize,
    frames: usize,
    floor: f32,
    dynamic_range: f32,
    offset: f32,
    scale: f32,
    isa: Isa,
    kernel: LogMelFrames,
    /// The samples of some frames, and their bands.
    samples: Vec<f32>,
    bands: Vec<[f32; FRAMES]>,
    values: Vec<f32>,
    mask: Vec<f32>,
}

/// The log-mel spectrogram of one segment, padded to the encoder's length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spectrogram<'a> {
    /// `[n_mels, frames]`, row-major: `(log10 power + offset) / scale`. Frame `t` is centred on sample `t * hop`.
    pub values: &'a [f32],
    /// `[frames]`: 1 for frames that hold audio, 0 for padding.
    pub mask: &'a [f32],
}

impl LogMel {
    /// Plans the transform and allocates every buffer.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a constant does not fit the others.
    pub fn new(features: &Features, audio: &Audio) -> Result<Self> {
        let Features::LogMel { n_fft, hop, n_mels, frames, floor, dynamic_range, offset, scale } =
            *features;
        check(features)?;
        let window = (0..n_fft)
            .map(|n| single(0.5 - 0.5 * (2.0 * PI * n as f64 / n_fft as f64).cos()))
            .collect();
        let filters = filters::slaney(n_mels, n_fft, audio.sample_rate);
        let kernel = LogMelFrames::new(hop, window, filters, single(floor))
            .map_err(|error| ErrorKind::Internal { what: "log-mel", reason: error.to_string() })?;
        Ok(Self {
            n_fft,
            hop,
            n_mels,
            frames,
            floor: single(floor),
            dynamic_range: single(dynamic_range),
            offset: single(offset),
            scale: single(scale),
            isa: Isa::detect(),
            samples: vec![0.0; kernel.samples()],
            kernel,
            bands: vec![[0.0; FRAMES]; n_mels],
            values: vec![0.0; n_mels * frames],
            mask: vec![0.0; frames],
        })
    }

    /// Bytes of heap that the buffers and the kernel take.
    pub(crate) fn heap_bytes(features: &Features) -> usize {
        let Features::LogMel { n_fft, hop, n_mels, frames, .. } = *features;
        let samples = (FRAMES - 1) * hop + n_fft;
        let floats = samples + n_mels * FRAMES + n_mels * frames + frames;
        size_of::<f32>() * floats + LogMelFrames::heap_bytes(n_fft, n_mels)
    }

    /// The spectrogram of one segment of mono samples in [-1, 1], silence appended up to `frames * hop` samples.
    ///
    /// # Errors
    /// [`ErrorKind::SegmentLength`] for more than `frames * hop` samples.
    pub fn compute(&mut self, samples: &[f32]) -> Result<Spectrogram<'_>> {
        let longest = self.frames * self.hop;
        if samples.len() > longest {
            return Err(ErrorKind::SegmentLength { found: samples.len(), most: longest }.into());
        }
        // A later frame's window holds silence only.
        let sounding = (samples.len() + self.n_fft / 2).div_ceil(self.hop).min(self.frames);
        let mut loudest =
            if sounding < self.frames { self.floor.log10() } else { f32::NEG_INFINITY };
        for first in (0..sounding).step_by(FRAMES) {
            self.gather(first, samples);
            self.kernel.compute(self.isa, &self.samples, &mut self.bands).map_err(|error| {
                ErrorKind::Internal { what: "log-mel", reason: error.to_string() }
            })?;
            let count = FRAMES.min(sounding - first);
            for (band, row) in self.bands.iter().zip(self.values.chunks_exact_mut(self.frames)) {
                loudest = band[..count].iter().copied().fold(loudest, f32::max);
                row[first..first + count].copy_from_slice(&band[..count]);
            }
        }
        let cut = loudest - self.dynamic_range;
        let (offset, scale) = (self.offset, self.scale);
        let normalised = |log: f32| (log.max(cut) + offset) / scale;
        let silence = normalised(self.floor.log10());
        for row in self.values.chunks_exact_mut(self.frames) {
            let (sound, padding) = row.split_at_mut(sounding);
            sound.iter_mut().for_each(|value| *value = normalised(*value));
            padding.fill(silence);
        }
        let real = samples.len().div_ceil(self.hop);
        self.mask[..real].fill(1.0);
        self.mask[real..].fill(0.0);
        Ok(Spectrogram { values: &self.values, mask: &self.mask })
    }

    /// The samples of the frames from `first` on, into `self.samples`.
    fn gather(&mut self, first: usize, samples: &[f32]) {
        let (half, last) = (self.n_fft / 2, self.frames * self.hop - 1);
        let begin = first * self.hop;
        let inside =
            begin.checked_sub(half).and_then(|at| samples.get(at..at + self.samples.len()));
        if let Some(inside) = inside {
            self.samples.copy_from_slice(inside);
            return;
        }
        for (n, value) in self.samples.iter_mut().enumerate() {
            // The padded segment is reflected at both ends, without repeating its first and last sample.
            let at = (begin + n).abs_diff(half);
            let at = if at > last { (2 * last).saturating_sub(at) } else { at };
            *value = samples.get(at).copied().unwrap_or(0.0);
        }
    }
}

impl fmt::Debug for LogMel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogMel")
            .field("n_fft", &self.n_fft)
            .field("hop", &self.hop)
            .field("n_mels", &self.n_mels)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

fn check(features: &Features) -> Result<()> {
    let Features::LogMel { n_fft, hop, n_mels, frames, floor, dynamic_range, offset, scale } =
        *features;
    let values = n_mels.saturating_mul(frames);
    let samples = frames.saturating_mul(hop);
    let rows = [
        (
            "features.n_fft",
            n_fft as f64,
            n_fft >= 2 && n_fft % 2 == 0 && n_fft / 2 < samples,
            "even, less than 2 segments",
        ),
        (
            "features.hop",
            hop as f64,
            hop > 0 && samples <= MAX_VALUES,
            "1 or more, a segment of at most 4194304 samples",
        ),
        ("features.n_mels", n_mels as f64, n_mels > 0 && n_mels <= n_fft, "1 to n_fft"),
        (
            "features.frames",
            frames as f64,
            frames > 0 && values <= MAX_VALUES,
            "1 or more, at most 4194304 values",
        ),
        (
            "features.floor",
            floor,
            single(floor) >= f32::MIN_POSITIVE && floor.is_finite(),
            "a positive number",
        ),
        ("features.dynamic_range", dynamic_range, dynamic_range.is_finite(), "a finite number"),
        ("features.offset", offset, offset.is_finite(), "a finite number"),
        ("features.scale", scale, scale.is_normal(), "a finite number other than 0"),
    ];
    rows.iter().find(|(_, _, fits, _)| !fits).map_or(Ok(()), |&(name, found, _, expected)| {
        Err(ErrorKind::Setting { name, found: found.to_string(), expected: expected.to_owned() }
            .into())
    })
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is meant")]
const fn single(value: f64) -> f32 {
    value as f32
}
