//! Mixing and resampling: tones, impulses, blocks, and what is refused.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers of tests"
)]

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

const OUTPUT: Audio = Audio { sample_rate: 16_000 };

/// Usual rates, and rates that share no factor with the output's.
const RATES: [u32; 15] = [
    8_000, 11_025, 11_127, 12_000, 16_000, 22_050, 24_000, 32_000, 37_800, 44_100, 44_101, 48_000,
    96_000, 191_999, 192_000,
];

fn resampled(rate: u32, samples: &[f32]) -> Vec<f32> {
    let format = PcmFormat { sample_rate: rate, channels: 1 };
    let mut stream = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap();
    let mut out = Vec::new();
    let mut collect = |block: &[f32]| {
        out.extend_from_slice(block);
        Ok(())
    };
    stream.push(samples, &mut collect).unwrap();
    stream.finish(&mut collect).unwrap();
    out
}

fn tone(rate: u32, hertz: f64, seconds: f64) -> Vec<f32> {
    let at = |n: usize| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32;
    let count = seconds * f64::from(rate);
    (0..count as usize).map(at).collect()
}

fn rms(samples: &[f32]) -> f64 {
    (samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

#[test]
fn a_tone_below_the_band_limit_keeps_its_level_and_stands_at_its_time() {
    let mut failures = Vec::new();
    for rate in RATES {
        for part in [0.01, 0.3, 0.95] {
            let hertz = part * f64::from(rate.min(OUTPUT.sample_rate)) / 2.0;
            let found = resampled(rate, &tone(rate, hertz, 4.0));
            let expected = tone(OUTPUT.sample_rate, hertz, 4.0);
            let inside = 16_000..48_000;
            let difference = found[inside.clone()]
                .iter()
                .zip(&expected[inside])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            if difference > 2e-5 {
                failures.push(format!("{rate} Hz, tone of {hertz} Hz: differs by {difference}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn tones_above_the_band_limit_vanish() {
    let mut failures = Vec::new();
    for rate in RATES.into_iter().filter(|&rate| rate > OUTPUT.sample_rate) {
        for hertz in [8_050.0, 9_000.0, 12_345.0, 15_000.0, 16_000.0, 23_900.0, 50_000.0, 95_000.0]
        {
            if hertz < f64::from(rate) / 2.0 {
                let input = tone(rate, hertz, 4.0);
                let decibels =
                    20.0 * (rms(&resampled(rate, &input)[16_000..48_000]) / rms(&input)).log10();
                if decibels > -90.0 {
                    failures.push(format!("{rate} Hz, tone of {hertz} Hz: {decibels:.1} dB"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn images_of_a_slower_recording_vanish() {
    for rate in [8_000, 11_025, 12_000] {
        let found = resampled(rate, &tone(rate, 0.9 * f64::from(rate) / 2.0, 4.0));
        let wanted = tone(OUTPUT.sample_rate, 0.9 * f64::from(rate) / 2.0, 4.0);
        let rest: Vec<f32> =
            found.iter().zip(&wanted).map(|(a, b)| a - b).skip(16_000).take(32_000).collect();
        assert!(rms(&rest) < 1e-5, "{rate}: {}", rms(&rest));
    }
}

#[test]
fn an_impulse_stays_where_it_was() {
    let mut failures = Vec::new();
    for rate in RATES {
        for seconds in [0, 1] {
            let mut input = vec![0.0; 2 * rate as usize];
            input[(seconds * rate) as usize] = 1.0;
            let found = resampled(rate, &input);
            let peak = (0..found.len()).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
            let at = (seconds * OUTPUT.sample_rate) as usize;
            let lopsided = if at == 0 { 0.0 } else { (found[at - 1] - found[at + 1]).abs() };
            if peak != at || lopsided > 1e-5 {
                failures.push(format!(
                    "{rate} Hz: expected {at}, found {peak}, sides differ by {lopsided}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_output_is_as_long_as_the_input() {
    let rows = [
        (8_000, 0, 0),
        (8_000, 1, 2),
        (48_000, 1, 0),
        (48_000, 2, 1),
        (48_000, 48_001, 16_000),
        (44_100, 44_100, 16_000),
        (44_100, 100_000, 36_281),
        (44_101, 44_101, 16_000),
        (192_000, 6, 1),
        (192_000, 5, 0),
        (16_000, 12_345, 12_345),
    ];
    for (rate, frames, expected) in rows {
        assert_eq!(
            resampled(rate, &vec![0.25; frames]).len(),
            expected,
            "{rate} Hz, {frames} frames"
        );
    }
}

#[test]
fn equal_rates_pass_every_sample_unchanged() {
    let samples: Vec<f32> = (0..10_000).map(|n| (n as f32).sin()).collect();
    assert_eq!(resampled(16_000, &samples), samples);
}

#[test]
fn a_stream_that_was_finished_starts_anew() {
    let format = PcmFormat { sample_rate: 44_100, channels: 1 };
    let mut stream = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap();
    let input = tone(44_100, 440.0, 0.3);
    let mut runs = [Vec::new(), Vec::new()];
    for run in &mut runs {
        let mut collect = |block: &[f32]| {
            run.extend_from_slice(block);
            Ok(())
        };
        stream.push(&input[..], &mut collect).unwrap();
        assert_eq!(stream.frames(), input.len() as u64);
        stream.finish(&mut collect).unwrap();
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn rates_outside_the_range_are_refused() {
    for sample_rate in [0, 7_999, 192_001, u32::MAX] {
        let format = PcmFormat { sample_rate, channels: 1 };
        let error = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::SampleRate { found, .. } if *found == sample_rate),
            "{error}"
        );
    }
}

#[test]
fn samples_that_are_no_numbers_are_refused_with_their_frame() {
    for rate in [16_000, 44_100] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let format = PcmFormat { sample_rate: rate, channels: 2 };
            let mut stream = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap();
            stream.push(&[0.0; 20][..], |_| Ok(())).unwrap();
            let error = stream.push(&[0.0, 0.0, 0.0, value][..], |_| Ok(())).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::NotFinite { frame: 11, .. }),
                "{value}: {error}"
            );
        }
    }
}

#[test]
fn whole_numbers_are_the_floats_that_a_recording_of_them_has() {
    let format = PcmFormat { sample_rate: 16_000, channels: 1 };
    let mut stream = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap();
    let whole: Vec<i16> = (-700..700).map(|n| n * 46 + 13).chain([i16::MIN, i16::MAX]).collect();
    let mut out = Vec::new();
    let mut collect = |block: &[f32]| {
        out.extend_from_slice(block);
        Ok(())
    };
    stream.push(&whole[..], &mut collect).unwrap();
    let expected: Vec<f32> = whole.iter().map(|n| f32::from(*n) / 32_768.0).collect();
    assert_eq!(out, expected);
}

#[test]
fn channels_outside_the_range_are_refused() {
    for channels in [0, 65, u16::MAX] {
        let format = PcmFormat { sample_rate: 16_000, channels };
        let error = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap_err();
        let expected = format!("audio: found {channels} channels, expected 1 to 64");
        assert_eq!((error.code(), error.to_string()), (4, expected));
    }
}

#[test]
fn the_largest_samples_that_are_read_do_not_panic() {
    for rate in RATES {
        assert_eq!(resampled(rate, &vec![-LARGEST_SAMPLE; rate as usize]).len(), 16_000);
    }
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_the_blocks(
        rate in prop::sample::select(RATES.to_vec()),
        channels in 1_u16..4,
        blocks in prop::collection::vec(0_usize..3000, 1..8),
    ) {
        let format = PcmFormat { sample_rate: rate, channels };
        // Blocks end within frames, and so may the recording.
        let input: Vec<f32> = (0..blocks.iter().sum()).map(|n| (n as f32 * 0.37).sin()).collect();
        let run = |blocks: &[usize]| {
            let mut stream = AudioStream::new(format, ChannelChoice::Mean, &OUTPUT).unwrap();
            let mut out = Vec::new();
            let mut rest = &input[..];
            for &block in blocks {
                let (head, tail) = rest.split_at(block);
                stream.push(head, |samples| { out.extend_from_slice(samples); Ok(()) }).unwrap();
                rest = tail;
            }
            assert_eq!(stream.partial(), input.len() % usize::from(channels));
            stream.finish(|samples| { out.extend_from_slice(samples); Ok(()) }).unwrap();
            out
        };
        prop_assert_eq!(run(&blocks), run(&[input.len()]));
    }
}
