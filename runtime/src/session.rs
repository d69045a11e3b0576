//! One document on its way through the stages, one segment and one row of tokens at a time.

mod capacities;
mod conclusion;
mod front_end;
mod integrity;
mod journal;
mod lanes;
mod model;
mod result;
mod rows;
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use hilbert_formats::{Cue, Transcript};

pub use self::capacities::{Capacities, MAX_ROWS, MAX_THREADS, MIN_ROWS};
pub use self::conclusion::Estimate;
use self::front_end::FrontEnd;
pub use self::integrity::{CueScore, IntegrityResult};
use self::journal::{Identity, Journal};
pub use self::model::Model;
pub use self::result::{
    BundleId, Classification, CueResult, ExpertGate, InputSummary, LabelProbability, Run,
    SegmentResult, SetResult, TaskResult, Tool, Warning,
};
use self::rows::Rows;
use crate::alignment::KEPT_S;
use crate::audio::{AudioStream, ChannelChoice, Pcm, PcmFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::fusion::Modality;

/// Where a document's segments are written as they are encoded, so that a program that was killed can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFile {
    /// The file; its folder exists.
    pub path: PathBuf,
    /// Whether to go on with the file if it is there; else it must not be.
    pub resume: bool,
}

/// A document that arrives in pieces.
///
/// Audio is pushed in blocks of any size between [`Session::start_audio`] and [`Session::finish_audio`], text cue by cue; either may
/// come first, both may take turns, and either may be missing. The result does not depend on the blocks nor on the turns, as long
/// as each cue comes before its audio has passed. [`Session::finish`] classifies and makes room for the next document.
///
/// Every buffer that depends on the bundle is allocated when the session is made. A session is one thread's at a time; any number of
/// them share a model.
///
/// ```
/// use std::sync::Arc;
///
/// use hilbert_formats::{Bundle, Cue, CueTimes};
/// use hilbert_runtime::{ChannelChoice, Model, PcmFormat, Session};
///
/// # fn main() -> hilbert_runtime::Result<()> {
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/spoken-english/bundle");
/// let mut session = Session::new(Arc::new(Model::open(folder)?))?;
/// session.start_audio(PcmFormat { sample_rate: 16_000, channels: 1 }, ChannelChoice::Mean)?;
/// let times = Some(CueTimes { start_s: 0.0, end_s: 0.5 });
/// session.push_text(&Cue { text: "good morning".to_owned(), times, line: 1 })?;
/// for block in [[120_i16; 4000], [-120; 4000]] {
///     session.push_pcm(&block[..])?;
/// }
/// let classification = session.finish()?;
/// assert_eq!(classification.input.duration_s, Some(0.5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    model: Arc<Model>,
    front_end: FrontEnd,
    rows: Rows,
    stream: Option<AudioStream>,
    /// Whether the transcript has ended.
    text_ended: bool,
    input: InputSummary,
    warnings: Vec<Warning>,
}

impl Session {
    /// A session for documents of `model`, with all its buffers.
    ///
    /// # Errors
    /// None for a model that opened.
    pub fn new(model: Arc<Model>) -> Result<Self> {
        let capacities = Capacities::of(model.manifest());
        Self::with_capacities(model, &capacities)
    }

    /// A session that holds at most so much of a document.
    ///
    /// # Errors
    /// [`ErrorKind::Capacity`] for a capacity outside of its range.
    pub fn with_capacities(model: Arc<Model>, capacities: &Capacities) -> Result<Self> {
        capacities.check(model.manifest())?;
        let front_end = FrontEnd::new(model.manifest(), &model.vocabulary)?;
        let rows = Rows::new(&model, capacities)?;
        let (input, warnings) = (InputSummary::default(), Vec::new());
        Ok(Self { model, front_end, rows, stream: None, text_ended: false, input, warnings })
    }

    /// Forgets what came in of the current document.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a stage fails.
    pub fn clear(&mut self) -> Result<()> {
        self.front_end.clear()?;
        self.rows.clear();
        self.stream = None;
        self.text_ended = false;
        self.input = InputSummary::default();
        self.warnings.clear();
        Ok(())
    }

    /// Announces a recording; a document has at most one.
    ///
    /// # Errors
    /// [`ErrorKind::SampleRate`] or [`ErrorKind::Channel`] for a format or a choice that cannot be used.
    pub fn start_audio(&mut self, format: PcmFormat, channel: ChannelChoice) -> Result<()> {
        if self.input.sample_rate.is_some() {
            return Err(misuse("a second recording for one document"));
        }
        self.rows.stopwatch.start();
        self.stream = Some(AudioStream::new(format, channel, &self.model.manifest().audio)?);
        self.input.sample_rate = Some(format.sample_rate);
        self.input.channels = Some(format.channels);
        Ok(())
    }

    /// Takes a block of interleaved samples of any length, which may end within a frame; encodes the segments that it closes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] for a sample that is no number or far too large. The document is lost then: [`Session::clear`] makes
    /// room for the next.
    pub fn push_pcm<'a>(&mut self, block: impl Into<Pcm<'a>>) -> Result<()> {
        let Self { model, front_end: FrontEnd { segmenter, log_mel, .. }, rows, stream, .. } = self;
        let stream =
            stream.as_mut().ok_or_else(|| misuse("samples before the recording was announced"))?;
        stream.push(block, |mono| segmenter.push(mono, |span| rows.push_span(model, log_mel, span)))
    }

    /// Ends the recording; encodes its last segment.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] or [`ErrorKind::Internal`] when a stage fails.
    pub fn finish_audio(&mut self) -> Result<()> {
        let Self { model, front_end: FrontEnd { segmenter, log_mel, .. }, rows, stream, .. } = self;
        let mut stream =
            stream.take().ok_or_else(|| misuse("the end of a recording that was not announced"))?;
        let (frames, partial) = (stream.frames(), stream.partial());
        stream.finish(|mono| segmenter.push(mono, |span| rows.push_span(model, log_mel, span)))?;
        segmenter.finish(|span| rows.push_span(model, log_mel, span))?;
        rows.encode_waiting(model)?;
        self.input.duration_s = self.input.sample_rate.map(|rate| frames as f64 / f64::from(rate));
        if partial > 0 {
            let channels = self.input.channels.unwrap_or(0);
            self.warn(
                "partial_frame",
                format!("found {partial} samples of a last frame of {channels}; they were dropped"),
            );
        }
        if self.rows.document.rows(Modality::Audio).is_empty() {
            self.warn("no_speech", "found no speech in the recording, which was left out");
        }
        Ok(())
    }

    /// Takes the next cue of the transcript and encodes the rows that it completes: a timed one at once, untimed sentences once a
    /// row is full.
    ///
    /// A timed cue is held against its audio if it comes in time: before the recording is [`KEPT_S`](crate::KEPT_S) of speech
    /// beyond its start. Until its audio has passed, its text waits. Other cues have no integrity score, and a warning says so.
    ///
    /// # Errors
    /// [`ErrorKind::Budget`] if more text would wait than [`Capacities::waiting_text`], or for more cues than [`Capacities::cues`]:
    /// the cue is not taken then, and nothing is lost; the first ends as the recording goes on. [`ErrorKind::GraphRun`] when a stage
    /// fails.
    pub fn push_text(&mut self, cue: &Cue) -> Result<()> {
        if self.text_ended {
            return Err(misuse("a cue behind the end of the transcript"));
        }
        let Self { model, front_end: FrontEnd { token_rows, .. }, rows, .. } = self;
        rows.stopwatch.start();
        rows.encode_waiting(model)?;
        if let Some(integrity) = &rows.integrity {
            integrity.check(cue)?;
        }
        token_rows.push(cue, |tokens| rows.push_tokens(model, tokens))?;
        if let Some(integrity) = &mut rows.integrity {
            rows.stopwatch.alignment.time(|| integrity.push_cue(cue));
        }
        self.input.transcript.get_or_insert("cues");
        Ok(())
    }

    /// Ends the transcript; encodes its last row. Nothing where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] when a stage fails.
    pub fn finish_text(&mut self) -> Result<()> {
        if self.input.transcript.is_none() || self.text_ended {
            return Ok(());
        }
        let Self { model, front_end: FrontEnd { token_rows, .. }, rows, .. } = self;
        token_rows.finish(|tokens| rows.push_tokens(model, tokens))?;
        self.text_ended = true;
        if self.rows.document.rows(Modality::Text).is_empty() {
            self.warn("no_words", "found no words in the transcript, which was left out");
        }
        Ok(())
    }

    /// Takes a whole transcript, cue by cue, however much of it has to wait; a document has at most one.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] when a stage fails.
    pub fn push_transcript(&mut self, transcript: &Transcript) -> Result<()> {
        if self.input.transcript.is_some() {
            return Err(misuse("a second transcript for one document"));
        }
        if let Some(integrity) = &mut self.rows.integrity {
            integrity.make_room(&transcript.cues);
        }
        self.input.transcript = Some(transcript.format.as_str());
        self.warnings.extend(transcript.warnings.iter().map(Warning::from));
        transcript.cues.iter().try_for_each(|cue| self.push_text(cue))?;
        self.finish_text()
    }

    /// Writes each segment of the recording, which was announced, to a file, or takes it from there. The transcript has come.
    pub(crate) fn start_journal(
        &mut self,
        file: &JournalFile,
        channel: ChannelChoice,
        transcript: Option<&Transcript>,
    ) -> Result<()> {
        let model = &self.model;
        let cues = transcript.map_or(&[][..], |transcript| &transcript.cues);
        let of_input =
            |value: Option<u32>| value.map_or_else(String::new, |value| value.to_string());
        let identity = Identity::new(vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("bundle", model.bundle_sha256().to_owned()),
            ("engine", model.engine().to_string()),
            ("rate", of_input(self.input.sample_rate)),
            ("channels", of_input(self.input.channels.map(u32::from))),
            ("channel", format!("{channel:?}")),
            ("transcript", journal::sum_of_cues(cues)),
        ]);
        // Posteriors are of use to a document with cues alone.
        let held_s =
            if cues.is_empty() || self.rows.integrity.is_none() { 0.0 } else { KEPT_S + 1.0 };
        let rate = f64::from(model.manifest().audio.sample_rate);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
        let kept = (held_s * rate) as u64;
        let width = model.speech_encoder.row_width();
        let JournalFile { path, resume } = file;
        self.rows.journal = Some(Journal::open(path, *resume, &identity, width, kept)?);
        Ok(())
    }

    /// Adds a warning of the document's source to the result.
    pub fn push_warning(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Classifies the document, and makes room for the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Nothing`] when neither speech nor words came in.
    pub fn finish(&mut self) -> Result<Classification> {
        let classification = self.classify();
        self.clear()?;
        classification
    }

    /// How much of the recording came in, seconds.
    #[must_use]
    pub fn taken_s(&self) -> f64 {
        let taken = self.stream.as_ref().zip(self.input.sample_rate);
        let taken_s = taken.map(|(stream, rate)| stream.frames() as f64 / f64::from(rate));
        taken_s.or(self.input.duration_s).unwrap_or(0.0)
    }

    fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning::new(code, message));
    }
}

fn misuse(reason: &str) -> Error {
    Error::new(ErrorKind::Internal { what: "session", reason: format!("found {reason}") })
}
