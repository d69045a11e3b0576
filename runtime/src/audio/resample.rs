//! Band-limited resampling with `rubato`'s synchronous FFT resampler.

use std::fmt;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::error::{Error, ErrorKind, Result};

/// Samples of one transform block on the slower side, at least: 64 ms at 16 kHz. The filter's transition takes the last 1.4 %
/// below the lower Nyquist frequency.
const MIN_BLOCK: usize = 1024;

/// Heap of filter, tables and buffers, bytes for each sample of a block on either side, and beside them.
const BYTES_PER_SAMPLE: usize = 96;
const TABLES: usize = 64 << 10;

/// Resamples mono in fixed blocks and takes the filter's delay out.
///
/// The filter is exact for every ratio of whole rates, so no time drifts. A block holds a multiple of `rate / gcd` samples: not
/// many more than [`MIN_BLOCK`] for usual rates, with about 1 MB of filter, tables and buffers; two seconds of audio for a rate
/// that shares no factor with the output's, with 34 MB at worst (191,999 Hz).
pub(super) struct Resampler {
    fft: Fft<f32>,
    input_rate: u32,
    output_rate: u32,
    /// One block; `input[..filled]` waits for the rest.
    input: Vec<f32>,
    filled: usize,
    output: Vec<f32>,
    /// Output samples of the filter's delay that are still to be dropped.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    pub(super) fn new(input_rate: u32, output_rate: u32) -> Result<Self> {
        let [block, _] = blocks(input_rate, output_rate);
        let fft = Fft::new(input_rate as usize, output_rate as usize, block, 1, FixedSync::Both)
            .map_err(internal)?;
        Ok(Self {
            input: vec![0.0; fft.input_frames_next()],
            output: vec![0.0; fft.output_frames_next()],
            delay: fft.output_delay(),
            fft,
            input_rate,
            output_rate,
            filled: 0,
            taken: 0,
            given: 0,
        })
    }

    /// Bytes of heap that it takes, at most: measured, for the transform's tables are its crate's own.
    pub(super) fn heap_bytes(input_rate: u32, output_rate: u32) -> usize {
        blocks(input_rate, output_rate).iter().sum::<usize>() * BYTES_PER_SAMPLE + TABLES
    }

    pub(super) fn push(
        &mut self,
        mut samples: &[f32],
        on_samples: &mut impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        self.taken += samples.len() as u64;
        while !samples.is_empty() {
            let (head, rest) = samples.split_at(samples.len().min(self.input.len() - self.filled));
            self.input[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            samples = rest;
            if self.filled == self.input.len() {
                self.resample(usize::MAX, on_samples)?;
            }
        }
        Ok(())
    }

    /// Feeds silence until the output has the length of the input, then starts anew.
    pub(super) fn finish(
        &mut self,
        on_samples: &mut impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let total = rounded_ratio(self.taken, self.output_rate, self.input_rate);
        while self.given < total {
            self.input[self.filled..].fill(0.0);
            self.resample(usize::try_from(total - self.given).unwrap_or(usize::MAX), on_samples)?;
        }
        self.fft.reset();
        self.delay = self.fft.output_delay();
        (self.filled, self.taken, self.given) = (0, 0, 0);
        Ok(())
    }

    /// Transforms the block and hands on at most `most` samples.
    fn resample(
        &mut self,
        most: usize,
        on_samples: &mut impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let length = self.output.len();
        let input = SequentialSlice::new(&self.input, 1, self.input.len()).map_err(internal)?;
        let mut output = SequentialSlice::new_mut(&mut self.output, 1, length).map_err(internal)?;
        self.fft.process_into_buffer(&input, &mut output, None).map_err(internal)?;
        self.filled = 0;
        let dropped = self.delay.min(length);
        self.delay -= dropped;
        let ready = &self.output[dropped..];
        let ready = &ready[..ready.len().min(most)];
        self.given += ready.len() as u64;
        if ready.is_empty() { Ok(()) } else { on_samples(ready) }
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Resampler")
            .field("input_rate", &self.input_rate)
            .field("output_rate", &self.output_rate)
            .field("block", &self.input.len())
            .finish_non_exhaustive()
    }
}

/// `round(count * numerator / denominator)`, halves up.
fn rounded_ratio(count: u64, numerator: u32, denominator: u32) -> u64 {
    let (numerator, denominator) = (u128::from(numerator), u128::from(denominator));
    let rounded = (2 * u128::from(count) * numerator + denominator) / (2 * denominator);
    u64::try_from(rounded).unwrap_or(u64::MAX)
}

/// Samples of one block before and after.
fn blocks(input_rate: u32, output_rate: u32) -> [usize; 2] {
    let divisor = gcd(input_rate, output_rate);
    let steps_of = [input_rate, output_rate].map(|rate| (rate / divisor) as usize);
    // An even number of steps: the filter's centre then stands on a sample on both sides, and the delay is exact.
    let least = steps_of[0].min(steps_of[1]);
    let steps = MIN_BLOCK.div_ceil(least).next_multiple_of(2);
    steps_of.map(|step| step * steps)
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn internal(error: impl fmt::Display) -> Error {
    ErrorKind::Internal { what: "resampler", reason: error.to_string() }.into()
}
