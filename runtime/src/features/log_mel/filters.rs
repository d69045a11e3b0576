//! Slaney's triangular mel filters, without their zeros.

/// Hz up to which the scale is linear.
const LINEAR_TOP: f64 = 1000.0;
/// Hz of one mel in the linear part.
const LINEAR_STEP: f64 = 200.0 / 3.0;
/// Mel at [`LINEAR_TOP`].
const LINEAR_TOP_MEL: f64 = 15.0;
/// The scale has 27 mels from 1000 Hz to 6400 Hz.
const LOG_RANGE: f64 = 6.4;
const LOG_MELS: f64 = 27.0;

/// Triangles of unit area from 0 Hz to half the sample rate, as `librosa.filters.mel` builds them: of each the first bin that
/// counts, and the weights from there.
pub(super) fn slaney(n_mels: usize, n_fft: usize, sample_rate: u32) -> Vec<(usize, Vec<f32>)> {
    let top = mel(f64::from(sample_rate) / 2.0);
    let edge = |i: usize| hertz(top * i as f64 / (n_mels + 1) as f64);
    let filter = |i: usize| {
        let (low, centre, high) = (edge(i), edge(i + 1), edge(i + 2));
        let weight = |bin: usize| {
            let frequency = bin as f64 * f64::from(sample_rate) / n_fft as f64;
            let rising = (frequency - low) / (centre - low);
            let falling = (high - frequency) / (high - centre);
            rising.min(falling) * 2.0 / (high - low)
        };
        let counts = |bin: &usize| weight(*bin) > 0.0;
        let first = (0..=n_fft / 2).find(counts).unwrap_or(0);
        let weights = (first..=n_fft / 2).take_while(counts);
        (first, weights.map(|bin| super::single(weight(bin))).collect())
    };
    (0..n_mels).map(filter).collect()
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
