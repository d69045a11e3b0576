//! Slaney's triangular mel filters, stored without their zeros.

/// Hz up to which the scale is linear.
const LINEAR_TOP: f64 = 1000.0;
/// Hz of one mel in the linear part.
const LINEAR_STEP: f64 = 200.0 / 3.0;
/// Mel at [`LINEAR_TOP`].
const LINEAR_TOP_MEL: f64 = 15.0;
/// The scale has 27 mels from 1000 Hz to 6400 Hz.
const LOG_RANGE: f64 = 6.4;
const LOG_MELS: f64 = 27.0;

/// Triangles of unit area from 0 Hz to half the sample rate, as `librosa.filters.mel` builds them.
#[derive(Debug)]
pub(super) struct MelFilters {
    /// For each filter its first bin and where its weights end.
    filters: Vec<Filter>,
    /// Weights of all filters, one after the other.
    weights: Vec<f32>,
}

#[derive(Debug)]
struct Filter {
    first_bin: usize,
    first_weight: usize,
    weights: usize,
}

impl MelFilters {
    pub(super) fn slaney(n_mels: usize, n_fft: usize, sample_rate: u32) -> Self {
        let top = mel(f64::from(sample_rate) / 2.0);
        let edge = |i: usize| hertz(top * i as f64 / (n_mels + 1) as f64);
        let mut filters = Vec::with_capacity(n_mels);
        let mut weights = Vec::new();
        for i in 0..n_mels {
            let (low, centre, high) = (edge(i), edge(i + 1), edge(i + 2));
            let first_weight = weights.len();
            let mut first_bin = 0;
            for bin in 0..=n_fft / 2 {
                let frequency = bin as f64 * f64::from(sample_rate) / n_fft as f64;
                let rising = (frequency - low) / (centre - low);
                let falling = (high - frequency) / (high - centre);
                let weight = rising.min(falling) * 2.0 / (high - low);
                if weight > 0.0 {
                    if weights.len() == first_weight {
                        first_bin = bin;
                    }
                    weights.push(super::single(weight));
                }
            }
            filters.push(Filter { first_bin, first_weight, weights: weights.len() - first_weight });
        }
        weights.shrink_to_fit();
        Self { filters, weights }
    }

    /// Power in filter `mel` of a power spectrum `[n_fft / 2 + 1]`.
    pub(super) fn apply(&self, mel: usize, power: &[f32]) -> f32 {
        let Filter { first_bin, first_weight, weights } = self.filters[mel];
        let weights = &self.weights[first_weight..first_weight + weights];
        weights.iter().zip(&power[first_bin..]).map(|(weight, power)| weight * power).sum()
    }
}

fn mel(hertz: f64) -> f64 {
    if hertz < LINEAR_TOP {
        hertz / LINEAR_STEP
    } else {
        LINEAR_TOP_MEL + (hertz / LINEAR_TOP).ln() / (LOG_RANGE.ln() / LOG_MELS)
    }
}

fn hertz(mel: f64) -> f64 {
    if mel < LINEAR_TOP_MEL {
        mel * LINEAR_STEP
    } else {
        LINEAR_TOP * ((mel - LINEAR_TOP_MEL) * LOG_RANGE.ln() / LOG_MELS).exp()
    }
}
