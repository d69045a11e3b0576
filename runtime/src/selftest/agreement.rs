//! How well two sets of numbers agree.

use serde::Serialize;

/// Largest and, negated, smallest signal-to-noise ratio that is told, dB.
const MOST_DB: f64 = 200.0;

/// How well numbers agree with others that count as right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Signal-to-noise ratio, dB: `10 log10` of the sum of the right numbers' squares over that of the differences'. From
    /// -200, which also stands for numbers that are not finite, to 200, which also stands for no difference.
    pub snr_db: f64,
    /// Cosine of the angle between the two, -1 to 1; 1 where both are all zero, 0 where one is.
    pub cosine: f64,
    /// Largest difference; infinite where a number is not finite, which JSON has as null.
    pub largest: f64,
}

impl Agreement {
    /// Compares `found` with `right`, number by number; both are of the same length.
    #[must_use]
    pub fn between(right: &[f32], found: &[f32]) -> Self {
        let pairs = || right.iter().zip(found).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let sum = |of: fn(f64, f64) -> f64| pairs().map(|(a, b)| of(a, b)).sum::<f64>();
        let (signal, noise) = (sum(|a, _| a * a), sum(|a, b| (a - b) * (a - b)));
        let others = sum(|_, b| b * b);
        if !(signal + others + noise).is_finite() || right.len() != found.len() {
            return Self { snr_db: -MOST_DB, cosine: 0.0, largest: f64::INFINITY };
        }
        let snr_db = if noise > 0.0 {
            (10.0 * (signal / noise).log10()).clamp(-MOST_DB, MOST_DB)
        } else {
            MOST_DB
        };
        let cosine = if signal > 0.0 && others > 0.0 {
            (sum(|a, b| a * b) / (signal.sqrt() * others.sqrt())).clamp(-1.0, 1.0)
        } else {
            f64::from(u8::from(signal.max(others) <= 0.0))
        };
        Self { snr_db, cosine, largest: pairs().fold(0.0, |most, (a, b)| (a - b).abs().max(most)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_made_numbers_agree_as_they_should() {
        let nan = f32::NAN;
        let rows: [(&[f32], &[f32], [f64; 3]); 7] = [
            (&[3.0, 4.0], &[3.0, 4.0], [200.0, 1.0, 0.0]),
            (&[10.0, 0.0], &[10.0, 1.0], [20.0, 10.0 / 101.0_f64.sqrt(), 1.0]),
            (&[1.0, -1.0], &[-1.0, 1.0], [10.0 * 0.25_f64.log10(), -1.0, 2.0]),
            (&[0.0, 0.0], &[0.0, 0.0], [200.0, 1.0, 0.0]),
            (&[0.0, 0.0], &[0.5, 0.0], [-200.0, 0.0, 0.5]),
            (&[1.0, 1.0], &[nan, 1.0], [-200.0, 0.0, f64::INFINITY]),
            (&[1.0, 1.0], &[1.0], [-200.0, 0.0, f64::INFINITY]),
        ];
        for (right, found, [snr_db, cosine, largest]) in rows {
            let agreement = Agreement::between(right, found);
            assert!((agreement.cosine - cosine).abs() < 1e-12, "{agreement:?}");
            assert_eq!(
                (agreement.snr_db, agreement.largest),
                (snr_db, largest),
                "{right:?} {found:?}"
            );
        }
    }
}
