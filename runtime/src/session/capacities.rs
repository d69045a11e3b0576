//! How much of a document a session holds at most.

use hilbert_formats::{Manifest, Transcript};

use crate::error::{ErrorKind, Result};

/// Fewest rows a modality that a session may be asked to keep.
pub const MIN_ROWS: usize = 64;
/// Most rows a modality that a session may be asked to keep.
pub const MAX_ROWS: usize = 65_536;
/// Most threads that a session may be asked to use.
pub const MAX_THREADS: usize = 64;

/// What grows with a document, and how far. [`Plan`](crate::Plan) says what memory that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capacities {
    /// Rows a modality that cross-attention sees, [`MIN_ROWS`] to [`MAX_ROWS`]; beyond them the most similar neighbours merge. By
    /// default what the bundle asks for.
    pub n_max: usize,
    /// Bytes of text of timed cues that wait for their audio, where the bundle has an alignment head. By default 64 KiB.
    pub waiting_text: usize,
    /// Threads that encode segments, 1 to [`MAX_THREADS`]; by default 1. The result is the same for any number.
    pub threads: usize,
    /// Cues whose scores are kept, where the bundle has an alignment head. By default 1,024.
    pub cues: usize,
}

impl Capacities {
    /// Those of a session that is not told otherwise.
    #[must_use]
    pub const fn of(manifest: &Manifest) -> Self {
        Self { n_max: manifest.fusion.n_max, waiting_text: 64 << 10, cues: 1024, threads: 1 }
    }

    /// The same rows, with room for this transcript: none where there is none.
    #[must_use]
    pub fn with_transcript(self, transcript: Option<&Transcript>) -> Self {
        let cues = transcript.map_or(&[][..], |transcript| &transcript.cues);
        let waiting_text = cues.iter().map(|cue| cue.text.len()).sum();
        Self { waiting_text, cues: cues.len(), ..self }
    }

    /// # Errors
    /// [`ErrorKind::Capacity`] for one outside of its range.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<()> {
        let least = MIN_ROWS.min(manifest.fusion.n_max);
        for (name, found, least, most) in
            [("n_max", self.n_max, least, MAX_ROWS), ("threads", self.threads, 1, MAX_THREADS)]
        {
            if !(least..=most).contains(&found) {
                return Err(ErrorKind::Capacity { name, found, least, most }.into());
            }
        }
        Ok(())
    }
}
