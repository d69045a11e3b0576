//! Log-mel spectra of 16 frames.

use std::f64::consts::TAU;

use hilbert_kernels::{FRAMES, Isa, LogMelFrames};
use proptest::prelude::{Just, Strategy};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{checked, paths, same};

const FLOOR: f32 = 1e-10;

/// What sums of powers and the logarithm add.
const ROUNDING: f64 = 1e-5;

#[derive(Debug, Clone)]
struct Case {
    hop: usize,
    window: Vec<f32>,
    filters: Vec<(usize, Vec<f32>)>,
    samples: Vec<f32>,
}

impl Case {
    fn compute(&self, isa: Isa, samples: &[f32]) -> Vec<f32> {
        let (window, filters) = (self.window.clone(), self.filters.clone());
        let mut frames = LogMelFrames::new(self.hop, window, filters, FLOOR).unwrap();
        let mut bands = vec![[f32::NAN; FRAMES]; self.filters.len()];
        frames.compute(isa, samples, &mut bands).unwrap();
        bands.concat()
    }

    /// Between what the kernel's logarithm of each band may lie: the sums of the definition, each value of a transform off by what a
    /// transform in floats loses at most of the frame's energy (Higham 2002, "Accuracy and Stability of Numerical Algorithms", 24.1),
    /// so that a power of which nearly everything cancels may be off by more than another.
    fn bounds(&self) -> Vec<[f64; 2]> {
        let length = self.window.len();
        let windowed =
            |frame: usize, n: usize| f64::from(self.samples[frame * self.hop + n] * self.window[n]);
        let loss = |frame: usize| {
            let energy: f64 = (0..length).map(|n| windowed(frame, n).powi(2)).sum();
            let count = length as f64;
            2.0 * f64::from(f32::EPSILON) * count.log2() * (count * energy).sqrt()
        };
        let magnitude = |frame: usize, k: usize| {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for n in 0..length {
                let angle = TAU * (k * n % length) as f64 / length as f64;
                real += windowed(frame, n) * angle.cos();
                imaginary += windowed(frame, n) * angle.sin();
            }
            f64::hypot(real, imaginary)
        };
        let mut out = Vec::new();
        for (first, weights) in &self.filters {
            for frame in 0..FRAMES {
                let loss = loss(frame);
                let values: Vec<_> =
                    (0..weights.len()).map(|i| magnitude(frame, first + i)).collect();
                let log = |change: f64| {
                    let power = |(weight, value): (&f32, &f64)| {
                        f64::from(*weight) * (value + change).max(0.0).powi(2)
                    };
                    let band: f64 = weights.iter().zip(&values).map(power).sum();
                    band.max(f64::from(FLOOR)).log10()
                };
                out.push([log(-loss) - ROUNDING, log(loss) + ROUNDING]);
            }
        }
        out
    }
}

fn cases() -> impl Strategy<Value = Case> {
    // Half of a length is a product of 4, 2 and odd primes, or a prime itself.
    (1_usize..60, 1_usize..20).prop_flat_map(|(half, hop)| {
        let filter = (0..=half)
            .prop_flat_map(move |first| (Just(first), vec(0.01_f32..1.0, 1..=half + 1 - first)));
        (
            Just(hop),
            vec(0.1_f32..1.0, 2 * half),
            vec(filter, 1..4),
            vec(-1.0_f32..1.0, (FRAMES - 1) * hop + 2 * half),
        )
            .prop_map(|(hop, window, filters, samples)| Case {
                hop,
                window,
                filters,
                samples,
            })
    })
}

proptest! {
    #![proptest_config(checked(300))]

    #[test]
    fn every_path_equals_the_definition_and_all_agree_to_the_bit(case in cases()) {
        let bounds = case.bounds();
        let portable = case.compute(Isa::Portable, &case.samples);
        for isa in paths() {
            let found = case.compute(isa, &case.samples);
            for (found, [low, high]) in found.iter().zip(&bounds) {
                let within = (*low..=*high).contains(&f64::from(*found));
                prop_assert!(within, "{isa}: found {found}, expected {low} to {high}");
            }
            prop_assert!(same(&found, &portable), "{isa}");
        }
    }
}

#[test]
fn samples_that_are_no_numbers_spoil_their_frames_alone_and_silence_is_the_floor() {
    let case = Case {
        hop: 10,
        window: vec![1.0; 10],
        filters: vec![(0, vec![1.0; 6])],
        samples: vec![0.0; FRAMES * 10],
    };
    let mut spoilt = case.samples.clone();
    spoilt[35] = f32::NAN;
    spoilt[57] = f32::INFINITY;
    for isa in paths() {
        let silence = case.compute(isa, &case.samples);
        assert!(silence.iter().all(|log| (log + 10.0).abs() < 1e-5), "{isa}: {silence:?}");
        let found = case.compute(isa, &spoilt);
        let are_nan: Vec<bool> = found.iter().map(|log| log.is_nan()).collect();
        let expected: Vec<bool> = (0..FRAMES).map(|frame| frame == 3 || frame == 5).collect();
        assert_eq!(are_nan, expected, "{isa}: {found:?}");
    }
}

#[test]
fn windows_and_filters_that_do_not_fit_are_refused() {
    assert!(LogMelFrames::new(1, vec![1.0; 5], [], FLOOR).is_err());
    assert!(LogMelFrames::new(1, Vec::new(), [], FLOOR).is_err());
    assert!(LogMelFrames::new(1, vec![1.0; 6], [(2, vec![1.0; 3])], FLOOR).is_err());
    let mut frames = LogMelFrames::new(3, vec![1.0; 6], [(2, vec![1.0; 2])], FLOOR).unwrap();
    assert_eq!(frames.samples(), 51);
    assert!(frames.compute(Isa::detect(), &[0.0; 50], &mut [[0.0; FRAMES]]).is_err());
    assert!(frames.compute(Isa::detect(), &[0.0; 51], &mut []).is_err());
}
