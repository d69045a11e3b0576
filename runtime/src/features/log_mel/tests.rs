use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

const AUDIO: Audio = Audio { sample_rate: 16_000 };

/// Against the same sums in double precision.
const SINGLE_PRECISION: f64 = 1e-3;

fn features(frames: usize) -> Features {
    Features::LogMel {
        n_fft: 400,
        hop: 160,
        n_mels: 80,
        frames,
        floor: 1e-10,
        dynamic_range: 8.0,
        offset: 4.0,
        scale: 4.0,
    }
}

/// Every frame by the sums of the definition, the reflected signal and the full filter matrix written out.
fn oracle(samples: &[f32], frames: usize) -> Vec<f64> {
    let (n_fft, hop, n_mels, bins, rate) = (400_usize, 160, 80, 201, 16_000.0);
    let mut signal: Vec<f64> = samples.iter().map(|&x| f64::from(x)).collect();
    signal.resize(frames * hop, 0.0);
    let half = n_fft / 2;
    let left = signal[1..=half].iter().rev();
    let right = signal[signal.len() - 1 - half..signal.len() - 1].iter().rev();
    let padded: Vec<f64> = left.chain(&signal).chain(right).copied().collect();
    let table: Vec<(f64, f64)> = (0..n_fft)
        .map(|n| TAU * n as f64 / n_fft as f64)
        .map(|angle| (angle.cos(), angle.sin()))
        .collect();
    let to_mel = |hz: f64| {
        if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4_f64.ln() }
    };
    let to_hz = |mel: f64| {
        if mel < 15.0 {
            mel * 200.0 / 3.0
        } else {
            1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp()
        }
    };
    let edges: Vec<f64> = (0..n_mels + 2)
        .map(|i| to_hz(to_mel(rate / 2.0) * i as f64 / (n_mels + 1) as f64))
        .collect();
    let mut values = vec![0.0; n_mels * frames];
    for t in 0..frames {
        let frame: Vec<f64> =
            (0..n_fft).map(|n| padded[t * hop + n] * (0.5 - 0.5 * table[n].0)).collect();
        let power: Vec<f64> = (0..bins)
            .map(|k| {
                let turn = |n: usize| table[k * n % n_fft];
                let real: f64 = frame.iter().enumerate().map(|(n, x)| x * turn(n).0).sum();
                let imaginary: f64 = frame.iter().enumerate().map(|(n, x)| x * turn(n).1).sum();
                real * real + imaginary * imaginary
            })
            .collect();
        for mel in 0..n_mels {
            let (low, centre, high) = (edges[mel], edges[mel + 1], edges[mel + 2]);
            let sum: f64 = (0..bins)
                .map(|k| {
                    let hz = k as f64 * rate / n_fft as f64;
                    let triangle =
                        ((hz - low) / (centre - low)).min((high - hz) / (high - centre)).max(0.0);
                    triangle * 2.0 / (high - low) * power[k]
                })
                .sum();
            values[mel * frames + t] = sum.max(1e-10).log10();
        }
    }
    let cut = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - 8.0;
    values.iter().map(|value| (value.max(cut) + 4.0) / 4.0).collect()
}

fn noise(length: usize, amplitude: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..length).map(|n| amplitude * (next() * 0.1 + (n as f32 * 0.05).sin())).collect()
}

fn worst(samples: &[f32], frames: usize) -> f64 {
    let mut log_mel = LogMel::new(&features(frames), &AUDIO).unwrap();
    let found = log_mel.compute(samples).unwrap();
    let expected = oracle(samples, frames);
    assert_eq!(found.values.len(), expected.len());
    found.values.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn every_length_agrees_with_the_definition_and_reflects_at_both_ends() {
    let frames = 20;
    let mut failures = Vec::new();
    for length in [
        0, 1, 2, 100, 159, 160, 161, 199, 200, 201, 1000, 2799, 2800, 2801, 2999, 3000, 3001, 3199,
        3200,
    ] {
        for amplitude in [0.0, 1e-4, 0.5] {
            let difference = worst(&noise(length, amplitude), frames);
            if difference > SINGLE_PRECISION {
                failures.push(format!(
                    "{length} samples of amplitude {amplitude}: differs by {difference}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn ten_seconds_agree_with_the_definition() {
    let difference = worst(&noise(150_123, 0.7), 1000);
    assert!(difference <= SINGLE_PRECISION, "{difference}");
}

#[test]
fn the_mask_counts_frames_that_hold_audio() {
    let mut log_mel = LogMel::new(&features(20), &AUDIO).unwrap();
    for (length, real) in [(3200, 20), (0, 0), (1, 1), (160, 1), (161, 2), (3041, 20), (3040, 19)] {
        let mask = log_mel.compute(&vec![0.1; length]).unwrap().mask;
        let expected: Vec<f32> = (0..20).map(|t| f32::from(u8::from(t < real))).collect();
        assert_eq!(mask, expected, "{length} samples");
    }
}

#[test]
fn a_segment_leaves_nothing_behind_for_the_next() {
    let mut log_mel = LogMel::new(&features(100), &AUDIO).unwrap();
    let (long, short) = (noise(16_000, 0.9), noise(1_234, 0.01));
    let expected = log_mel.compute(&short).unwrap().values.to_vec();
    log_mel.compute(&long).unwrap();
    assert_eq!(log_mel.compute(&short).unwrap().values, expected);
}

#[test]
fn silence_is_flat() {
    let mut log_mel = LogMel::new(&features(1000), &AUDIO).unwrap();
    let values = log_mel.compute(&[0.0; 40_000]).unwrap().values;
    assert!(values.iter().all(|value| (value + 1.5).abs() < 1e-6));
}

#[test]
fn a_segment_that_is_too_long_is_refused() {
    let error = LogMel::new(&features(20), &AUDIO).unwrap().compute(&[0.0; 3201]).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::SegmentLength { found: 3201, most: 3200 }),
        "{error}"
    );
}

#[test]
fn samples_that_are_no_numbers_do_not_panic() {
    let mut log_mel = LogMel::new(&features(20), &AUDIO).unwrap();
    for value in [f32::NAN, f32::INFINITY, f32::MAX] {
        log_mel.compute(&[value; 3000]).unwrap();
    }
}

#[test]
fn constants_that_do_not_fit_each_other_are_refused() {
    let fits = Features::LogMel {
        n_fft: 400,
        hop: 160,
        n_mels: 80,
        frames: 2,
        floor: 1e-10,
        dynamic_range: 8.0,
        offset: 4.0,
        scale: 4.0,
    };
    assert!(LogMel::new(&fits, &AUDIO).is_ok());
    let Features::LogMel { n_fft, hop, n_mels, frames, floor, dynamic_range, offset, scale } = fits;
    let rows = [
        Features::LogMel { n_fft: 401, hop, n_mels, frames, floor, dynamic_range, offset, scale },
        Features::LogMel { n_fft: 0, hop, n_mels, frames, floor, dynamic_range, offset, scale },
        Features::LogMel { n_fft: 640, hop, n_mels, frames, floor, dynamic_range, offset, scale },
        Features::LogMel { n_fft, hop: 0, n_mels, frames, floor, dynamic_range, offset, scale },
        Features::LogMel { n_fft, hop, n_mels: 0, frames, floor, dynamic_range, offset, scale },
        Features::LogMel { n_fft, hop, n_mels, frames: 0, floor, dynamic_range, offset, scale },
        Features::LogMel {
            n_fft,
            hop,
            n_mels,
            frames: usize::MAX,
            floor,
            dynamic_range,
            offset,
            scale,
        },
        Features::LogMel {
            n_fft,
            hop: usize::MAX,
            n_mels,
            frames,
            floor,
            dynamic_range,
            offset,
            scale,
        },
        Features::LogMel { n_fft, hop, n_mels, frames, floor: 0.0, dynamic_range, offset, scale },
        Features::LogMel {
            n_fft,
            hop,
            n_mels,
            frames,
            floor,
            dynamic_range: f64::NAN,
            offset,
            scale,
        },
        Features::LogMel { n_fft, hop, n_mels, frames, floor, dynamic_range, offset, scale: 0.0 },
    ];
    for row in rows {
        let error = LogMel::new(&row, &AUDIO).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Setting { .. }), "{row:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_samples_agree_with_the_definition(samples in prop::collection::vec(-1.0_f32..1.0, 0..1600)) {
        let difference = worst(&samples, 10);
        prop_assert!(difference <= SINGLE_PRECISION, "{}", difference);
    }
}
