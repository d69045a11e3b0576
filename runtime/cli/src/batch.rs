//! `hilbert classify` of several recordings, some of them at a time, printed in their order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use hilbert_runtime::{Capacities, Classification, Classifier, Error, Model};

use crate::arguments::{Classify, Format};
use crate::classify::{Document, open_bundle};
use crate::failure::Failure;
use crate::printing;
use crate::recording;
use crate::report::Report;
use crate::stop::Stop;

/// Exit code where some could not be classified.
const SOME_FAILED: u8 = 1;

/// Classifies and prints all of them; the exit code.
pub(crate) fn classify(arguments: &Classify, stop: &Stop) -> Result<u8, Failure> {
    if let Some(of_one) = of_one_recording(arguments) {
        return Err(Failure::Usage(format!("{of_one} is for one recording alone")));
    }
    let bundle = open_bundle(&arguments.model)?;
    let mut capacities = Capacities::of(bundle.manifest()).with_transcript(None);
    capacities.threads = arguments.threads;
    let model = Arc::new(Model::from_bundle_on(arguments.engine.engine, &bundle)?);
    drop(bundle);
    let (sender, outcomes) = channel();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.min(arguments.recording.len()) {
            let (sender, model, next) = (sender.clone(), Arc::clone(&model), &next);
            scope.spawn(move || {
                let classifier = Classifier::with_capacities(model, &capacities);
                classify_next(classifier, arguments, stop, next, &sender);
            });
        }
        drop(sender);
        let (mut waiting, mut printed, mut failed) = (BTreeMap::new(), 0, 0);
        for (number, outcome) in outcomes {
            waiting.insert(number, outcome);
            while let Some(outcome) = waiting.remove(&printed) {
                failed += usize::from(!print(outcome, printed, arguments.format)?);
                printed += 1;
            }
        }
        Ok(match stop.code() {
            Some(code) => code,
            None if failed > 0 => SOME_FAILED,
            None => 0,
        })
    })
}

/// An option that has no meaning for several recordings.
fn of_one_recording(arguments: &Classify) -> Option<&'static str> {
    let given = [
        (arguments.transcript.is_some(), "--transcript"),
        (arguments.journal.is_some(), "--journal"),
        (arguments.every.is_some(), "--every"),
        (arguments.recording.iter().any(|path| recording::is_pipe(path)), "standard input"),
    ];
    given.into_iter().find(|(is_given, _)| *is_given).map(|(_, name)| name)
}

/// Classifies one recording after the other, whichever is next.
fn classify_next(
    classifier: Result<Classifier, Error>,
    arguments: &Classify,
    stop: &Stop,
    next: &AtomicUsize,
    outcomes: &Sender<(usize, Result<Classification, Error>)>,
) {
    let mut classifier = match classifier {
        Ok(classifier) => classifier,
        Err(error) => {
            let _ = outcomes.send((next.fetch_add(1, Ordering::Relaxed), Err(error)));
            return;
        }
    };
    while stop.code().is_none() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = arguments.recording.get(number) else { break };
        let outcome = recording::open(path, arguments.raw, stop).and_then(|recording| {
            let document =
                Document { path: Some(path), recording: Some(recording), transcript: None };
            let go_on = |_: &mut _| Ok(ControlFlow::Continue(()));
            document.classify(&mut classifier, arguments, stop, go_on)
        });
        let outcome = outcome.map_err(|error| error.in_file(path));
        if outcomes.send((number, outcome)).is_err() {
            break;
        }
    }
}

/// Prints a result, or why there is none; whether there is one.
fn print(
    outcome: Result<Classification, Error>,
    number: usize,
    format: Format,
) -> Result<bool, Failure> {
    match (outcome, format) {
        (Ok(classification), Format::Json) => {
            printing::result(&printing::json_line(&classification)?)?;
        }
        (Ok(classification), Format::Text) => {
            let before = if number > 0 { "\n" } else { "" };
            printing::result(&format!("{before}{}", Report(&classification)))?;
        }
        (Err(error), _) => {
            printing::error(&format!("hilbert: {error}"));
            return Ok(false);
        }
    }
    Ok(true)
}
