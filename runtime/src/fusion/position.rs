//! Where a row stands in the recording, as sines and cosines of its middle.

use std::f64::consts::TAU;

/// Sinusoidal position encoding in seconds; equal to `sinusoids` in `models/reference/hilbert.py`.
///
/// Sines in the first half, cosines in the second, periods in geometric progression. Rows without times get zeros.
#[derive(Debug, Clone)]
pub struct PositionEncoding {
    /// Radians a second, `[width / 2]`.
    frequencies: Box<[f64]>,
}

impl PositionEncoding {
    /// An encoding of `width` values, with periods from `period_min_s` to `period_max_s` seconds.
    #[must_use]
    pub fn new(width: usize, period_min_s: f64, period_max_s: f64) -> Self {
        let half = width / 2;
        let last = half.saturating_sub(1).max(1) as f64;
        let frequency =
            |i| TAU / period_min_s * (period_min_s / period_max_s).powf(i as f64 / last);
        Self { frequencies: (0..half).map(frequency).collect() }
    }

    /// Encodes the time `middle_s`, in seconds, into `position`, `[width]`.
    pub fn encode(&self, middle_s: Option<f64>, position: &mut [f32]) {
        let Some(middle_s) = middle_s else {
            position.fill(0.0);
            return;
        };
        let (sines, cosines) = position.split_at_mut(self.frequencies.len());
        for ((sine, cosine), frequency) in sines.iter_mut().zip(cosines).zip(&self.frequencies) {
            let angle = middle_s * frequency;
            *sine = single(angle.sin());
            *cosine = single(angle.cos());
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest f32")]
const fn single(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values that are computed without rounding")]
mod tests {
    use super::PositionEncoding;

    #[test]
    fn periods_run_from_the_shortest_to_the_longest() {
        let encoding = PositionEncoding::new(256, 0.5, 20_000.0);
        let mut position = [f32::NAN; 256];
        encoding.encode(Some(0.125), &mut position); // a quarter of the shortest period
        assert!((position[0] - 1.0).abs() < 1e-6 && position[128].abs() < 1e-6);
        encoding.encode(Some(5_000.0), &mut position); // a quarter of the longest
        assert!((position[127] - 1.0).abs() < 1e-6 && position[255].abs() < 1e-6);
    }

    #[test]
    fn time_zero_is_sine_0_and_cosine_1_and_no_time_is_zeros() {
        let encoding = PositionEncoding::new(8, 0.5, 20_000.0);
        let mut position = [f32::NAN; 8];
        encoding.encode(Some(0.0), &mut position);
        assert_eq!(position, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        encoding.encode(None, &mut position);
        assert_eq!(position, [0.0; 8]);
    }
}
