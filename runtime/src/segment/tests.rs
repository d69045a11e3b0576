#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers of tests"
)]

use proptest::prelude::*;

use super::*;

const AUDIO: Audio = Audio { sample_rate: 16_000 };

fn shipped() -> Segmentation {
    Segmentation {
        frame: 160,
        min_s: 6.0,
        max_s: 10.0,
        search_s: 3.0,
        pause_s: 0.2,
        long_pause_s: 1.0,
        padding_s: 0.1,
        min_speech_s: 0.1,
        margin_db: 12.0,
        floor_min_db: -65.0,
        floor_max_db: -35.0,
        floor_rise_db_per_s: 3.0,
    }
}

/// Start, end and whether it is a segment.
type Piece = (u64, u64, bool);

/// Feeds the samples in blocks; checks the samples of each segment and that no buffer grows.
fn pieces(segmentation: &Segmentation, samples: &[f32], blocks: &[usize]) -> Vec<Piece> {
    let mut segmenter = Segmenter::new(segmentation, &AUDIO).unwrap();
    let capacities = (segmenter.samples.capacity(), segmenter.frames.capacity());
    let mut found = Vec::new();
    let mut collect = |span: Span<'_>| {
        found.push(match span {
            Span::Segment(segment) => {
                assert_eq!(segment.samples, &samples[segment.start as usize..segment.end as usize]);
                (segment.start, segment.end, true)
            }
            Span::Pause { start, end } => (start, end, false),
        });
        Ok(())
    };
    let mut rest = samples;
    for &block in blocks.iter().cycle() {
        let (head, tail) = rest.split_at(block.min(rest.len()));
        segmenter.push(head, &mut collect).unwrap();
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    segmenter.finish(&mut collect).unwrap();
    assert_eq!((segmenter.samples.capacity(), segmenter.frames.capacity()), capacities);
    found
}

/// `segment` of models/reference/segment.py, over the whole recording.
fn oracle(config: &Segmentation, samples: &[f32]) -> Vec<(u64, u64)> {
    let frames = |seconds: f64| (seconds * 100.0).round_ties_even() as i64;
    let (minimum, maximum, padding) =
        (frames(config.min_s), frames(config.max_s), frames(config.padding_s));
    let (pause, long_pause, search) =
        (frames(config.pause_s), frames(config.long_pause_s), frames(config.search_s));
    let level = |frame: &[f32]| {
        let power: f64 = frame.iter().map(|&x| f64::from(x).powi(2)).sum();
        10.0 * (power / frame.len() as f64 + 1e-10).log10()
    };
    let levels: Vec<f64> = samples.chunks(config.frame).map(level).collect();
    let mut floor = config.floor_max_db;
    let speech: Vec<bool> = levels
        .iter()
        .map(|&level| {
            let risen = floor + config.floor_rise_db_per_s / 100.0;
            floor = level.min(risen).max(config.floor_min_db).min(config.floor_max_db);
            level > floor + config.margin_db
        })
        .collect();
    let (mut spans, mut closed, mut start, mut last, mut voiced) =
        (Vec::new(), 0_i64, None, 0_i64, 0_i64);
    let mut close = |end: i64, start: i64, voiced: i64| {
        if end > start && voiced >= frames(config.min_speech_s) {
            let sample =
                |frame: i64| (frame as u64 * config.frame as u64).min(samples.len() as u64);
            spans.push((sample(start), sample(end)));
        }
    };
    for i in 0..levels.len() as i64 {
        if start.is_none() && !speech[i as usize] {
            continue;
        }
        let begin = *start.get_or_insert(closed.max(i - padding));
        if speech[i as usize] {
            (last, voiced) = (i + 1, voiced + 1);
        }
        let silence = i + 1 - last;
        let at_pause = (last + padding).min(i + 1);
        let long_enough = last + padding - begin >= minimum && silence >= pause.max(padding);
        if long_enough || silence >= long_pause || (i + 1 - begin == maximum && silence >= pause) {
            close(at_pause, begin, voiced);
            (closed, start, voiced) = (at_pause, None, 0);
        } else if i + 1 - begin == maximum {
            let tail = i + 1 - search..i + 1;
            let quietest =
                tail.min_by(|&a, &b| levels[a as usize].total_cmp(&levels[b as usize])).unwrap();
            let cut = quietest + 1;
            let after = (cut..=i).filter(|&j| speech[j as usize]).count() as i64;
            close(cut, begin, voiced - after);
            closed = cut;
            (start, voiced) = if cut <= i { (Some(cut), after) } else { (None, 0) };
            last = last.max(cut);
        }
    }
    if let Some(begin) = start {
        close((last + padding).min(levels.len() as i64), begin, voiced);
    }
    spans
}

/// Noise whose amplitude is given for stretches of time; reproducible.
fn recording(stretches: &[(usize, f32)]) -> Vec<f32> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let stretch = |&(length, amplitude): &(usize, f32)| {
        (0..length).map(|_| amplitude * noise()).collect::<Vec<_>>()
    };
    stretches.iter().flat_map(stretch).collect()
}

#[test]
fn silence_gives_one_pause_and_nothing_gives_nothing() {
    assert_eq!(pieces(&shipped(), &[], &[1]), []);
    for length in [1, 159, 160, 161, 500_001] {
        assert_eq!(
            pieces(&shipped(), &vec![0.0; length], &[4096]),
            [(0, length as u64, false)],
            "{length}"
        );
        assert_eq!(
            pieces(&shipped(), &recording(&[(length, 1e-3)]), &[4096]),
            [(0, length as u64, false)],
            "{length}"
        );
    }
}

#[test]
fn speech_between_pauses_becomes_a_segment_with_padding() {
    let samples =
        recording(&[(32_000, 1e-4), (48_000, 0.3), (64_000, 1e-4), (800, 0.3), (32_000, 1e-4)]);
    let expected =
        [(0, 30_400, false), (30_400, 81_600, true), (81_600, samples.len() as u64, false)];
    assert_eq!(pieces(&shipped(), &samples, &[1000]), expected, "50 ms of speech are a pause");
}

#[test]
fn speech_without_a_pause_is_cut_at_its_quietest_frame() {
    let samples = recording(&[(135_200, 0.3), (160, 0.1), (100_000, 0.3)]);
    let found = pieces(&shipped(), &samples, &[1000]);
    assert_eq!(found, [(0, 135_360, true), (135_360, samples.len() as u64, true)]);
}

#[test]
fn a_segmenter_that_was_finished_starts_anew() {
    let samples = recording(&[(20_000, 0.0), (50_000, 0.4), (3_333, 0.0)]);
    let mut segmenter = Segmenter::new(&shipped(), &AUDIO).unwrap();
    let mut runs = [Vec::new(), Vec::new()];
    for run in &mut runs {
        let mut collect = |span: Span<'_>| {
            run.push(format!("{span:?}"));
            Ok(())
        };
        segmenter.push(&samples, &mut collect).unwrap();
        segmenter.finish(&mut collect).unwrap();
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn hours_of_audio_stay_in_the_same_buffers() {
    let minute = recording(&[
        (250_000, 0.2),
        (100_000, 1e-4),
        (400_000, 0.1),
        (10_000, 1e-4),
        (200_000, 0.0),
    ]);
    let mut segmenter = Segmenter::new(&shipped(), &AUDIO).unwrap();
    let buffers = |segmenter: &Segmenter| {
        (
            segmenter.samples.as_ptr(),
            segmenter.samples.capacity(),
            segmenter.frames.as_ptr(),
            segmenter.frames.capacity(),
        )
    };
    let (before, mut told) = (buffers(&segmenter), 0);
    let mut follow = |span: Span<'_>| {
        let (start, end) = match span {
            Span::Segment(Segment { start, end, .. }) | Span::Pause { start, end } => (start, end),
        };
        assert_eq!(start, told);
        told = end;
        Ok(())
    };
    for _ in 0..180 {
        segmenter.push(&minute, &mut follow).unwrap();
    }
    segmenter.finish(&mut follow).unwrap();
    assert_eq!(told, 180 * minute.len() as u64);
    assert_eq!(buffers(&segmenter), before);
}

#[test]
fn lengths_that_do_not_fit_each_other_are_refused() {
    type Change = fn(&mut Segmentation);
    let rows: [(&str, Change); 7] = [
        ("segmentation.frame", |s| s.frame = 0),
        ("segmentation.max_s", |s| s.max_s = 31.0),
        ("segmentation.min_s", |s| s.min_s = f64::NAN),
        ("segmentation.pause_s", |s| s.pause_s = -0.1),
        ("segmentation.search_s", |s| s.search_s = 10.1),
        ("segmentation.search_s", |s| s.search_s = 0.0),
        ("segmentation.padding_s", |s| s.padding_s = 10.0),
    ];
    for (expected, change) in rows {
        let mut segmentation = shipped();
        change(&mut segmentation);
        let error = Segmenter::new(&segmentation, &AUDIO).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Setting { name, .. } if *name == expected),
            "{expected}: {error}"
        );
    }
}

#[test]
fn samples_that_are_no_numbers_do_not_panic() {
    for value in [f32::NAN, f32::INFINITY, f32::MAX] {
        let mut segmenter = Segmenter::new(&shipped(), &AUDIO).unwrap();
        segmenter.push(&vec![value; 500_000], |_| Ok(())).unwrap();
        segmenter.finish(|_| Ok(())).unwrap();
    }
}

/// A pause that was long enough before a cut, without padding and without a minimum of speech.
#[test]
fn a_pause_right_behind_a_cut_closes_no_empty_segment() {
    let segmentation = Segmentation {
        min_s: 0.0,
        max_s: 0.5,
        search_s: 0.29,
        pause_s: 0.3,
        long_pause_s: 0.25,
        padding_s: 0.0,
        min_speech_s: 0.0,
        ..shipped()
    };
    let samples = recording(&[(11_368, 0.3), (3840, 0.1)]);
    let found = pieces(&segmentation, &samples, &[1]);
    assert!(found.iter().all(|&(start, end, _)| start < end), "{found:?}");
}

fn settings() -> impl Strategy<Value = Segmentation> {
    let lengths = (0.0..4.0, 0.5..5.0_f64, 0.01..1.0_f64, 0.0..0.5, 0.0..1.5, 0.0..0.4, 0.0..0.3);
    lengths.prop_map(|(min_s, max_s, search, pause_s, long_pause_s, padding_s, min_speech_s)| {
        Segmentation {
            min_s,
            max_s,
            search_s: (search * max_s).max(0.01),
            pause_s,
            long_pause_s,
            padding_s,
            min_speech_s,
            ..shipped()
        }
    })
}

fn stretches() -> impl Strategy<Value = Vec<(usize, f32)>> {
    let amplitude = prop::sample::select(vec![0.0, 1e-4, 1e-3, 0.01, 0.1, 0.1, 0.3, 0.3, 1.0]);
    prop::collection::vec((0_usize..40_000, amplitude), 0..12)
}

proptest! {
    #[test]
    fn the_spans_are_those_of_the_whole_recording_whatever_the_settings_and_blocks(
        segmentation in prop_oneof![Just(shipped()), settings()],
        stretches in stretches(),
        blocks in prop::collection::vec(1_usize..20_000, 1..5),
    ) {
        let samples = recording(&stretches);
        let found = pieces(&segmentation, &samples, &blocks);
        let spans: Vec<_> = found.iter().filter(|piece| piece.2).map(|&(start, end, _)| (start, end)).collect();
        prop_assert_eq!(&spans, &oracle(&segmentation, &samples));
        let ends: Vec<_> = found.iter().map(|piece| piece.1).collect();
        let starts: Vec<_> = found.iter().map(|piece| piece.0).chain([samples.len() as u64]).collect();
        prop_assert_eq!(starts[0], 0);
        prop_assert_eq!(&ends[..], &starts[1..]);
        prop_assert!(found.iter().all(|&(start, end, _)| start < end));
        prop_assert!(found.windows(2).all(|pair| pair[0].2 || pair[1].2));
        let longest = (segmentation.max_s * 100.0).round_ties_even() as u64 * 160;
        prop_assert!(spans.iter().all(|(start, end)| end - start <= longest));
    }
}
