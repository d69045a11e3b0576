//! What the alignment holds of one document, and how much of it.

use hilbert_formats::{Cue, CueTimes, manifest};

use super::characters::Readings;
use super::ctc::Viterbi;
use super::posteriors::Posteriors;
use super::{AlignedCue, NotAligned};
use crate::error::{ErrorKind, Result};

/// What is held of one document: the latest posteriors, cues that wait for their audio, and what came of the others.
#[derive(Debug)]
pub struct DocumentAlignment {
    pub(super) posteriors: Posteriors,
    pub(super) readings: Readings,
    pub(super) viterbi: Viterbi,
    pub(super) cues: Vec<AlignedCue>,
    /// Timed cues whose audio has not passed, the first to end last.
    pub(super) waiting: Vec<Waiting>,
    /// Bytes of their texts.
    pub(super) waiting_text: usize,
    /// Numbers of the cues that were scored since somebody asked.
    pub(super) scored: Vec<usize>,
    /// What a document may hold that asks for no more room, and what this one may.
    capacity: Room,
    room: Room,
}

/// How much text may wait, bytes, and how many cues are known.
#[derive(Debug, Clone, Copy)]
struct Room {
    waiting_text: usize,
    cues: usize,
}

/// A cue that waits for its audio.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its place in the transcript.
    pub(super) index: usize,
    pub(super) times: CueTimes,
    pub(super) text: Box<str>,
}

impl DocumentAlignment {
    /// Room for `kept` frames and texts of as many characters, and for so much text that waits and so many cues.
    pub(super) fn new(kept: usize, waiting_text: usize, cues: usize) -> Self {
        let room = Room { waiting_text, cues };
        Self {
            posteriors: Posteriors::new(kept, manifest::Alignment::CLASSES),
            // A text of more characters than there are frames fits none of them, whatever it says.
            readings: Readings::new(kept),
            viterbi: Viterbi::new(kept),
            cues: Vec::with_capacity(cues),
            waiting: Vec::with_capacity(cues),
            waiting_text: 0,
            scored: Vec::new(),
            capacity: room,
            room,
        }
    }

    /// What is known of the transcript's cues, in their order; those that wait are not scored yet.
    #[must_use]
    pub fn cues(&self) -> &[AlignedCue] {
        &self.cues
    }

    /// The fits of the cues that were scored since the last call, by their numbers, for a journal.
    pub fn take_scored(&mut self) -> Vec<(usize, f64)> {
        let fit = |index: &usize| Some((*index, to_record(self.cues.get(*index)?.fit)));
        let scored = self.scored.iter().filter_map(fit).collect();
        self.scored.clear();
        scored
    }

    /// Whether there is room for the cue.
    ///
    /// # Errors
    /// [`ErrorKind::Budget`] if there is not.
    pub fn check(&self, cue: &Cue) -> Result<()> {
        let waiting_text = self.waiting_text + cue.times.map_or(0, |_| cue.text.len());
        let bytes = "bytes of text that wait for their audio";
        for (what, found, most) in [
            ("cues", self.cues.len() + 1, self.room.cues),
            (bytes, waiting_text, self.room.waiting_text),
        ] {
            if found > most {
                let (found, most) = (found as u64, most as u64);
                return Err(ErrorKind::Budget { what, found, most }.into());
            }
        }
        Ok(())
    }

    /// Makes room for these cues, of this document.
    pub fn make_room(&mut self, cues: &[Cue]) {
        let text: usize = cues.iter().map(|cue| cue.text.len()).sum();
        self.room.cues = self.room.cues.max(self.cues.len() + cues.len());
        self.room.waiting_text = self.room.waiting_text.max(self.waiting_text + text);
        self.cues.reserve_exact(cues.len());
        self.waiting.reserve_exact(cues.len());
    }

    /// Makes room for another document, and gives back what more than its capacity took.
    pub fn clear(&mut self) {
        self.posteriors.clear();
        self.cues.clear();
        self.waiting.clear();
        self.scored.clear();
        self.waiting_text = 0;
        self.room = self.capacity;
        self.cues.shrink_to(self.capacity.cues);
        self.waiting.shrink_to(self.capacity.cues);
    }
}

/// A fit as one number, which is finite if it is known.
fn to_record(fit: std::result::Result<f64, NotAligned>) -> f64 {
    match fit {
        Ok(fit) => fit,
        Err(NotAligned::NotHeld | NotAligned::Untimed) => f64::NEG_INFINITY,
        Err(NotAligned::Unspoken) => f64::INFINITY,
    }
}

pub(super) fn from_record(fit: f64) -> std::result::Result<f64, NotAligned> {
    match fit {
        f64::INFINITY => Err(NotAligned::Unspoken),
        f64::NEG_INFINITY => Err(NotAligned::NotHeld),
        fit => Ok(fit),
    }
}
