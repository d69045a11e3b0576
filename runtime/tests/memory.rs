//! Memory is bounded, and known before: what is counted stays within the plan, and a longer document takes no more than a short one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one tells what it measures"
)]

#[path = "memory/bundles.rs"]
mod bundles;
#[path = "memory/counting.rs"]
mod counting;
#[path = "memory/recording.rs"]
mod recording;

use std::thread;

use hilbert_formats::{Cue, CueTimes, Transcript, TranscriptFormat, WavReader};
use hilbert_runtime::{Capacities, Classifier, Model, Options, PcmFormat, Plan};

use crate::bundles::{IN_PLACE, open};
use crate::counting::Count;
use crate::recording::Recording;

/// What a loaded model keeps beside its weights.
const BESIDE_WEIGHTS: usize = 2 << 20;

/// How much more the longer recording may take: the rows of its result.
const GROWTH: usize = 16 << 10;

/// Peak heap of one classification above what was live before it, bytes, and the number of segments.
fn peak(count: &Count, classifier: &mut Classifier, seconds: usize) -> (usize, usize) {
    let recording = WavReader::new(Recording::new(seconds, 16_000, 1), "synthetic").unwrap();
    let before = count.live();
    count.peak();
    let result = classifier.classify(Some(recording), None, &Options::default()).unwrap();
    (count.peak() - before, result.segments.len())
}

/// Bytes of the constants that the graphs of a model hold, without tables that stay in the bundle.
fn weight_bytes(model: &Model) -> usize {
    let names = model.manifest().graph_names();
    let graphs = names.iter().filter_map(|name| model.graph(name));
    let held = graphs.flat_map(|graph| graph.operations()).filter(|one| one.operation != "look-up");
    held.map(|operation| operation.weight_bytes).sum()
}

#[test]
fn ten_minutes_take_no_more_memory_than_two() {
    let count = Count::start();
    on_a_thread(|| compare_ten_minutes_with_two(&count));
}

fn compare_ten_minutes_with_two(count: &Count) {
    let model = Model::from_bundle(&open("spoken-english").unwrap()).unwrap();
    let (live, weights) = (count.live(), weight_bytes(&model));
    println!("model: {} KiB of heap, {} of weights", live >> 10, weights >> 10);
    assert!(live <= weights + BESIDE_WEIGHTS, "{live} bytes, {weights} of weights");
    let mut classifier = Classifier::new(model).unwrap();
    println!("classifier: {} KiB of heap", (count.live() - live) >> 10);
    peak(count, &mut classifier, 20); // the engine's scratch, which it keeps
    let (short, few) = peak(count, &mut classifier, 120);
    let (long, many) = peak(count, &mut classifier, 600);
    println!(
        "peak heap above the classifier: {short} bytes with {few} segments, {long} bytes with {many}"
    );
    assert!(few >= 12 && many > 4 * few, "{few} and {many} segments");
    assert!(long <= short + GROWTH, "{long} bytes for 10 minutes, {short} for 2");
}

/// A session that is planned and run.
struct Case {
    bundle: &'static str,
    n_max: usize,
    format: PcmFormat,
    minutes: usize,
    cues: usize,
    threads: usize,
}

/// Timed cues of a few seconds each.
fn transcript(cues: usize) -> Transcript {
    let text = "so what we said about the second part of the plan is that it has to come first";
    let cue = |i: usize| {
        let start_s = 6.0 * i as f64;
        let times = Some(CueTimes { start_s, end_s: start_s + 5.5 });
        Cue { text: format!("{text} {i}"), times, line: 4 * i as u64 + 2 }
    };
    let cues = (0..cues).map(cue).collect();
    Transcript { format: TranscriptFormat::Srt, cues, warnings: Vec::new() }
}

/// Runs it on a thread of its own, so that what the kernels keep for a thread is counted, once.
fn on_a_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(run).join()).unwrap()
}

/// The plan, and the most that is live from opening the bundle to the text of the result.
fn planned_and_counted(case: &Case) -> (Plan, usize) {
    let count = Count::start();
    (on_a_thread(|| planned_and_run(case)), count.peak())
}

/// The plan of a session that was then run, to the text of its result.
fn planned_and_run(case: &Case) -> Plan {
    let transcript = (case.cues > 0).then(|| transcript(case.cues));
    let bundle = open(case.bundle).unwrap();
    let mut capacities = Capacities::of(bundle.manifest()).with_transcript(transcript.as_ref());
    capacities.n_max = case.n_max;
    capacities.threads = case.threads;
    let plan = Plan::new(&bundle, &capacities, Some(case.format)).unwrap();
    let model = Model::from_bundle(&bundle).unwrap();
    let mut classifier = Classifier::with_capacities(model, &capacities).unwrap();
    let PcmFormat { sample_rate, channels } = case.format;
    let recording = Recording::new(60 * case.minutes, sample_rate, channels);
    let recording = WavReader::new(recording, "synthetic").unwrap();
    let result =
        classifier.classify(Some(recording), transcript.as_ref(), &Options::default()).unwrap();
    assert_eq!(result.segments.len(), case.n_max.min(result.segments.len()));
    let text = serde_json::to_string_pretty(&result).unwrap();
    assert!(text.len() > 1000);
    plan
}

#[test]
fn what_is_counted_stays_within_the_plan_which_is_not_far_above() {
    let format = |sample_rate, channels| PcmFormat { sample_rate, channels };
    let case = |bundle, n_max, format, minutes, cues| Case {
        bundle,
        n_max,
        format,
        minutes,
        cues,
        threads: 1,
    };
    let cases = [
        // All rows of both modalities are taken, and some merge.
        case(IN_PLACE, 512, format(16_000, 1), 72, 600),
        case(IN_PLACE, 64, format(16_000, 1), 10, 100),
        case("spoken-english", 512, format(16_000, 1), 72, 600),
        case("spoken-english", 64, format(16_000, 1), 10, 100),
        case("spoken-english", 64, format(48_000, 2), 2, 10),
        case("spoken-english", 64, format(44_100, 1), 2, 0),
        case("spoken-english", 2048, format(8_000, 1), 2, 3000),
        case("consultations", 512, format(16_000, 1), 72, 600),
        Case { threads: 4, ..case(IN_PLACE, 512, format(16_000, 1), 10, 100) },
    ];
    let mut failed = Vec::new();
    for case in &cases {
        let (plan, counted) = planned_and_counted(case);
        let Case {
            bundle,
            n_max,
            format: PcmFormat { sample_rate, channels },
            minutes,
            cues,
            threads,
        } = case;
        let total = usize::try_from(plan.total).unwrap();
        let what = format!(
            "{bundle}, {n_max} rows, {minutes} min of {sample_rate} Hz and {channels} channels, {cues} cues, {threads} threads: \
             counted {counted}, planned {total}, {:.2} times",
            total as f64 / counted as f64
        );
        println!("{what}");
        if counted > total || total as f64 > 1.3 * counted as f64 {
            failed.push(format!("{what}\n{plan:#?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
