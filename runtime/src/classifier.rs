//! From files to a classification.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use hilbert_formats::{Transcript, WavReader};

use crate::audio::{ChannelChoice, PcmFormat};
use crate::error::Result;
use crate::session::{Capacities, Classification, JournalFile, Model, Session, Warning};

/// How a document is classified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Write what is encoded to a file, or go on with one.
    pub journal: Option<JournalFile>,
    /// Use this channel of the recording alone, counted from 1; `None` mixes all channels down.
    pub channel: Option<u16>,
    /// Put measured values into [`Classification::run`].
    pub stats: bool,
}

/// Classifies one document after the other, in buffers that are allocated once.
#[derive(Debug)]
pub struct Classifier {
    session: Session,
}

/// Samples of one block that is read from a recording, at most.
pub(crate) const BLOCK_SAMPLES: usize = 4096;

impl Classifier {
    /// A classifier that keeps at most so much of a document.
    ///
    /// # Errors
    /// [`ErrorKind::Capacity`](crate::ErrorKind::Capacity) for a capacity outside of its range.
    pub fn with_capacities(model: impl Into<Arc<Model>>, capacities: &Capacities) -> Result<Self> {
        Ok(Self { session: Session::with_capacities(model.into(), capacities)? })
    }

    /// A classifier for `model`, which several of them may share.
    ///
    /// # Errors
    /// None for a model that opened.
    pub fn new(model: impl Into<Arc<Model>>) -> Result<Self> {
        Ok(Self { session: Session::new(model.into())? })
    }

    /// Classifies a recording, a transcript, or both. Recordings are read in blocks, never whole.
    ///
    /// # Errors
    /// Code 4 for an input that cannot be read or used, or when neither speech nor words are in it; 5 for a transcript beyond
    /// its limits.
    pub fn classify_file(
        &mut self,
        wav: Option<&Path>,
        transcript: Option<&Path>,
        options: &Options,
    ) -> Result<Classification> {
        let file = wav.or(transcript);
        let transcript = transcript.map(Transcript::open).transpose()?;
        let recording = wav.map(WavReader::open).transpose()?;
        let outcome = self.classify(recording, transcript.as_ref(), options);
        let mut classification = match file {
            Some(file) => outcome.map_err(|error| error.in_file(file))?,
            None => outcome?,
        };
        classification.input.path = wav.map(|path| path.to_string_lossy().into_owned());
        Ok(classification)
    }

    /// Classifies a recording from any reader, a transcript, or both.
    ///
    /// # Errors
    /// As [`Classifier::classify_file`].
    pub fn classify<R: Read>(
        &mut self,
        recording: Option<WavReader<R>>,
        transcript: Option<&Transcript>,
        options: &Options,
    ) -> Result<Classification> {
        let go_on = |_: &mut Session| Ok(ControlFlow::Continue(()));
        self.classify_observed(recording, transcript, options, go_on)
    }

    /// Classifies as [`Classifier::classify`] does and lets `observe` look at the session after each block that was read, some
    /// thousand samples: how much came in, and what it would be if it ended there. `Break` ends the recording there.
    ///
    /// # Errors
    /// As [`Classifier::classify`], and whatever `observe` returns.
    pub fn classify_observed<R: Read>(
        &mut self,
        recording: Option<WavReader<R>>,
        transcript: Option<&Transcript>,
        options: &Options,
        observe: impl FnMut(&mut Session) -> Result<ControlFlow<()>>,
    ) -> Result<Classification> {
        self.session.clear()?;
        // The transcript first, so that each cue is there when its audio comes.
        if let Some(transcript) = transcript {
            self.session.push_transcript(transcript)?;
        }
        if let Some(mut recording) = recording {
            self.push_recording(&mut recording, transcript, options, observe)?;
        }
        let mut classification = self.session.finish()?;
        if !options.stats {
            classification.run = None;
        }
        Ok(classification)
    }

    fn push_recording<R: Read>(
        &mut self,
        recording: &mut WavReader<R>,
        transcript: Option<&Transcript>,
        options: &Options,
        mut observe: impl FnMut(&mut Session) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let format = recording.format();
        let format = PcmFormat { sample_rate: format.sample_rate, channels: format.channels };
        let channel = options.channel.map_or(ChannelChoice::Mean, ChannelChoice::Only);
        self.session.start_audio(format, channel)?;
        if let Some(file) = &options.journal {
            self.session.start_journal(file, channel, transcript)?;
        }
        let channels = usize::from(format.channels).max(1);
        let mut block = vec![0.0; (BLOCK_SAMPLES / channels).max(1) * channels];
        loop {
            let samples = recording.read(&mut block)?;
            if samples == 0 {
                break;
            }
            self.session.push_pcm(&block[..samples])?;
            if observe(&mut self.session)?.is_break() {
                break;
            }
        }
        for warning in recording.warnings() {
            self.session.push_warning(Warning::from(warning));
        }
        self.session.finish_audio()
    }
}
