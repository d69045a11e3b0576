//! Log-mel spectra of 16 frames at a time, one in each lane.

use crate::error::ShapeError;
use crate::fourier::RealFourier;
use crate::isa::Isa;
use crate::logarithm::log10;
use crate::simd::{Kernel, LANES, Simd};

/// Frames that are computed together.
pub const FRAMES: usize = LANES;

/// Windows, transforms and filters of one front end, planned, with their working memory.
#[derive(Debug, Clone)]
pub struct LogMelFrames {
    hop: usize,
    window: Vec<f32>,
    floor: f32,
    /// For each filter its first frequency and where its weights end.
    filters: Vec<(usize, usize)>,
    weights: Vec<f32>,
    fourier: RealFourier,
    power: Vec<[f32; LANES]>,
}

impl LogMelFrames {
    /// Frames that begin every `hop` samples, times `window`, whose length is even; `filters` give each band's first frequency, of
    /// those from 0 to half the window's length, and the weights from there; powers below `floor`, a positive normal number, count
    /// as that.
    ///
    /// # Errors
    /// A window of odd length, or of none; a filter beyond the last frequency.
    pub fn new(
        hop: usize,
        window: Vec<f32>,
        filters: impl IntoIterator<Item = (usize, Vec<f32>)>,
        floor: f32,
    ) -> Result<Self, ShapeError> {
        let length = window.len();
        if length == 0 || !length.is_multiple_of(2) {
            return Err(ShapeError { what: "window", found: length, expected: length + 1 });
        }
        let frequencies = length / 2 + 1;
        let (mut all, mut ends) = (Vec::new(), Vec::new());
        for (first, weights) in filters {
            if first + weights.len() > frequencies {
                let found = first + weights.len();
                return Err(ShapeError { what: "filter", found, expected: frequencies });
            }
            all.extend(weights);
            ends.push((first, all.len()));
        }
        Ok(Self {
            hop,
            window,
            floor,
            filters: ends,
            weights: all,
            fourier: RealFourier::new(length),
            power: vec![[0.0; LANES]; frequencies],
        })
    }

    /// Bytes of heap for a window of `length` samples and so many filters at most, of which two overlap at each frequency.
    #[must_use]
    pub const fn heap_bytes(length: usize, filters: usize) -> usize {
        let frequencies = length / 2 + 1;
        let of_filters = filters * size_of::<(usize, usize)>() + 2 * frequencies * size_of::<f32>();
        length * size_of::<f32>()
            + of_filters
            + frequencies * size_of::<[f32; LANES]>()
            + RealFourier::heap_bytes(length)
    }

    /// Samples that the frames of one call span.
    #[must_use]
    pub const fn samples(&self) -> usize {
        (FRAMES - 1) * self.hop + self.window.len()
    }

    /// Decimal logarithms of the power in each band, `[bands, 16]`, of the frames that begin at the first sample.
    ///
    /// # Errors
    /// Other lengths than [`LogMelFrames::samples`] and the number of filters.
    pub fn compute(
        &mut self,
        isa: Isa,
        samples: &[f32],
        bands: &mut [[f32; FRAMES]],
    ) -> Result<(), ShapeError> {
        ShapeError::check("samples of 16 frames", samples.len(), self.samples())?;
        ShapeError::check("bands", bands.len(), self.filters.len())?;
        isa.run(Compute { frames: self, samples, bands });
        Ok(())
    }
}

struct Compute<'a> {
    frames: &'a mut LogMelFrames,
    samples: &'a [f32],
    bands: &'a mut [[f32; LANES]],
}

impl Kernel for Compute<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let LogMelFrames { hop, window, floor, filters, weights, fourier, power } = self.frames;
        for (n, (value, weights)) in
            fourier.samples().iter_mut().zip(window.as_chunks::<2>().0).enumerate()
        {
            for (part, (lanes, weight)) in value.iter_mut().zip(weights).enumerate() {
                let samples = self.samples[2 * n + part..].iter().step_by(*hop);
                for (lane, sample) in lanes.iter_mut().zip(samples) {
                    *lane = sample * weight;
                }
            }
        }
        fourier.power(simd, power);
        let floor = simd.splat(*floor);
        let mut begin = 0;
        for (band, &(first, end)) in self.bands.iter_mut().zip(filters.iter()) {
            let mut sum = simd.splat(0.0);
            for (weight, power) in weights[begin..end].iter().zip(&power[first..]) {
                sum = simd.fma(simd.splat(*weight), simd.load(power), sum);
            }
            // In this order NaN passes.
            simd.store(log10(simd, simd.max(floor, sum)), band);
            begin = end;
        }
    }
}
