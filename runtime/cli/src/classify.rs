//! `hilbert classify`: from arguments to the text of the result.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hilbert_formats::{Bundle, PublicKey, Transcript};
use hilbert_runtime::{
    Capacities, Classification, Classifier, Error, JournalFile, Model, Options, PcmFormat, Plan,
    Session, Warning,
};

use crate::arguments::{Classify, Format, ModelChoice};
use crate::batch;
use crate::failure::Failure;
use crate::printing;
use crate::recording::{self, Recording};
use crate::report::Report;
use crate::stop::Stop;

/// Classifies and prints; the exit code.
pub(crate) fn classify(arguments: &Classify) -> Result<u8, Failure> {
    let stop = Stop::listen().map_err(|error| Failure::Internal(format!("signals: {error}")))?;
    if let [_, _, ..] = &arguments.recording[..] {
        return batch::classify(arguments, &stop);
    }
    let outcome = classify_one(arguments, &stop);
    // Whoever interrupts knows that there may be no result.
    let code = stop.code();
    let classification = match (outcome, code) {
        (Err(failure), Some(code)) => {
            printing::error(&format!("hilbert: {failure}"));
            return Ok(code);
        }
        (outcome, _) => outcome?,
    };
    let text = match arguments.format {
        _ if arguments.every.is_some() => printing::json_line(&classification)?,
        Format::Text => Report(&classification).to_string(),
        Format::Json => printing::json(&classification)?,
    };
    printing::result(&text)?;
    Ok(code.unwrap_or(0))
}

fn classify_one(arguments: &Classify, stop: &Stop) -> Result<Classification, Failure> {
    let transcript = arguments.transcript.as_ref().map(Transcript::open);
    let transcript = transcript.transpose().map_err(Error::from)?;
    let path = arguments.recording.first().map(|path| &**path);
    let recording = path.map(|path| recording::open(path, arguments.raw, stop)).transpose()?;
    let bundle = open_bundle(&arguments.model)?;
    let mut capacities = Capacities::of(bundle.manifest()).with_transcript(transcript.as_ref());
    capacities.threads = arguments.threads;
    if arguments.max_memory.is_some() {
        let format = recording.as_ref().map(recording::format);
        capacities = planned(&bundle, capacities, format, arguments.max_memory)?.1;
    }
    let model = Model::from_bundle_on(arguments.engine.engine, &bundle)?;
    drop(bundle);
    let mut classifier = Classifier::with_capacities(model, &capacities)?;
    let mut estimates = Estimates::new(arguments.every);
    let document = Document { path, recording, transcript: transcript.as_ref() };
    let outcome =
        document.classify(&mut classifier, arguments, stop, |session| estimates.print_due(session));
    if let Some(failure) = estimates.failure {
        return Err(failure);
    }
    let file = path.or(arguments.transcript.as_deref());
    Ok(outcome.map_err(|error| match file {
        Some(file) => error.in_file(file),
        None => error,
    })?)
}

/// What is classified, opened.
pub(crate) struct Document<'a> {
    pub(crate) path: Option<&'a Path>,
    pub(crate) recording: Option<Recording>,
    pub(crate) transcript: Option<&'a Transcript>,
}

impl Document<'_> {
    /// Classifies it, or what came in before a signal.
    pub(crate) fn classify(
        self,
        classifier: &mut Classifier,
        arguments: &Classify,
        stop: &Stop,
        mut observe: impl FnMut(&mut Session) -> hilbert_runtime::Result<ControlFlow<()>>,
    ) -> hilbert_runtime::Result<Classification> {
        let mut options = Options::default();
        options.channel = arguments.channel;
        options.stats = arguments.stats;
        let journal = |path: &PathBuf| JournalFile { path: path.clone(), resume: arguments.resume };
        options.journal = arguments.journal.as_ref().map(journal);
        let Self { path, recording, transcript } = self;
        let look = |session: &mut Session| {
            // A pipe ends by itself then, behind what came in.
            if stop.code().is_some() && !path.is_some_and(recording::is_pipe) {
                return Ok(ControlFlow::Break(()));
            }
            observe(session)
        };
        let mut classification =
            classifier.classify_observed(recording, transcript, &options, look)?;
        classification.input.path = path.map(shown);
        if stop.code().is_some() {
            classification.warnings.push(interrupted(&classification));
        }
        Ok(classification)
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn interrupted(classification: &Classification) -> Warning {
    let at_s = classification.input.duration_s.unwrap_or(0.0);
    let message = format!(
        "found a signal to end after {at_s:.3} s of the recording, which was classified so far"
    );
    Warning { code: "interrupted", message, offset: None, line: None }
}

/// Prints what a recording would be so far, each time another length of it came in.
struct Estimates {
    every_s: Option<f64>,
    /// How many are printed.
    printed: u32,
    failure: Option<Failure>,
}

impl Estimates {
    fn new(every: Option<Duration>) -> Self {
        let every_s = every.map(|every| every.as_secs_f64());
        Self { every_s, printed: 0, failure: None }
    }

    fn print_due(&mut self, session: &mut Session) -> hilbert_runtime::Result<ControlFlow<()>> {
        let due_s = self.every_s.map(|every_s| every_s * f64::from(self.printed + 1));
        if due_s.is_none_or(|due_s| session.taken_s() < due_s) {
            return Ok(ControlFlow::Continue(()));
        }
        self.printed += 1;
        let line = printing::json_line(&session.estimate()?);
        let printed = line.and_then(|line| printing::result(&line));
        self.failure = printed.err();
        Ok(match self.failure {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
    }
}

/// The plan, of as many rows as fit where there is a limit, and its capacities.
pub(crate) fn planned(
    bundle: &Bundle,
    capacities: Capacities,
    format: Option<PcmFormat>,
    max_memory: Option<u64>,
) -> hilbert_runtime::Result<(Plan, Capacities)> {
    match max_memory {
        Some(most) => Plan::within(bundle, &capacities, format, most),
        None => Ok((Plan::new(bundle, &capacities, format)?, capacities)),
    }
}

/// The bundle that was chosen, or the one that is built in.
pub(crate) fn open_bundle(choice: &ModelChoice) -> hilbert_runtime::Result<Bundle> {
    let ModelChoice { model, trusted_key } = choice;
    if let Some(path) = model {
        let keys = trusted_key.iter().map(|key| PublicKey::from_argument(key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        return Ok(match keys.is_empty() {
            true => Bundle::open(path)?,
            false => Bundle::open_trusted(path, &keys)?,
        });
    }
    #[cfg(feature = "default-bundle")]
    let files = hilbert_models::default_bundle();
    #[cfg(not(feature = "default-bundle"))] // then the arguments require a bundle
    let files = &[];
    Ok(Bundle::from_program(files)?)
}
