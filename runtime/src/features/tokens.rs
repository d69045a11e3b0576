//! Cues packed into rows of word pieces, as `token_rows` of `models/reference/word_pieces.py` does it.

#[cfg(test)]
mod tests;
mod vocabulary;
mod words;

use hilbert_formats::manifest::Text;
use hilbert_formats::transcript::{Cue, CueTimes};

use self::vocabulary::Vocabulary;
use self::words::{Word, Words};
use crate::error::{ErrorKind, Result};

/// Most tokens of one row that a bundle may ask for: BERT's own limit.
const MAX_TOKENS: usize = 512;

/// Most characters of one word that a bundle may ask for; bounds the buffers.
const MAX_WORD_CHARS: usize = 4096;

/// One input of the text encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenRow<'a> {
    /// `[max_tokens]`: `[CLS]`, pieces, `[SEP]`, then `[PAD]`, which is 0.
    pub tokens: &'a [i64],
    /// `[max_tokens]`: 1 for tokens, 0 for padding.
    pub mask: &'a [f32],
    /// When the row was said, shared out by tokens where one cue makes several rows; `None` for untimed cues.
    pub times: Option<CueTimes>,
}

/// Packs cues into rows of at most `max_tokens` tokens and hands on one row at a time.
///
/// Each piece of each cue stands in exactly one row. A timed cue is a row of its own; when it is too long it is split at
/// words into rows of about the same length, and a word that is too long at its pieces. Untimed cues are sentences:
/// neighbours are packed together up to the limit.
#[derive(Debug)]
pub struct TokenRows {
    parts: Parts,
    /// Pieces of untimed cues that wait for more.
    untimed: Vec<i64>,
    row: Row,
}

impl TokenRows {
    /// Reads the vocabulary file, UTF-8 with one piece a line, and allocates every buffer.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] for limits that cannot be met, [`ErrorKind::Bundle`] for a file that is not a vocabulary.
    pub fn new(text: &Text, vocabulary: &[u8]) -> Result<Self> {
        let Text::WordPiece { vocabulary: ref file, max_tokens, max_word_chars } = *text;
        for (name, found, least, most) in [
            ("text.max_tokens", max_tokens, 3, MAX_TOKENS),
            ("text.max_word_chars", max_word_chars, 1, MAX_WORD_CHARS),
        ] {
            if !(least..=most).contains(&found) {
                let expected = format!("{least} to {most}");
                return Err(ErrorKind::Setting { name, found: found.to_string(), expected }.into());
            }
        }
        let vocabulary = Vocabulary::parse(vocabulary, file)?;
        let limit = max_tokens - 2;
        Ok(Self {
            row: Row::new(max_tokens, vocabulary.start(), vocabulary.separator()),
            parts: Parts {
                vocabulary,
                words: Words::new(max_word_chars),
                limit,
                word: Vec::with_capacity(max_word_chars),
                part: Vec::with_capacity(limit),
            },
            untimed: Vec::with_capacity(limit),
        })
    }

    /// Bytes of heap that a packer takes.
    pub(crate) fn heap_bytes(text: &Text, vocabulary: &[u8]) -> usize {
        let Text::WordPiece { max_tokens, max_word_chars, .. } = *text;
        let pieces = 2 * max_tokens + max_word_chars;
        Vocabulary::heap_bytes(vocabulary)
            + Words::heap_bytes(max_word_chars)
            + size_of::<i64>() * pieces
            + (size_of::<i64>() + size_of::<f32>()) * max_tokens
    }

    /// Takes one cue and hands on the rows that are complete.
    ///
    /// # Errors
    /// Whatever `on_row` returns; the packer must not be fed further then.
    pub fn push(
        &mut self,
        cue: &Cue,
        mut on_row: impl FnMut(TokenRow<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { parts, untimed, row } = self;
        let limit = parts.limit;
        let Some(times) = cue.times else {
            return parts.each(&cue.text, limit, |part| {
                if untimed.len() + part.len() > limit {
                    on_row(row.fill(untimed, None))?;
                    untimed.clear();
                }
                untimed.extend_from_slice(part);
                Ok(())
            });
        };
        let mut total = 0;
        parts.each(&cue.text, limit, |part| {
            total += part.len();
            Ok(())
        })?;
        let rows = total.div_ceil(limit).max(1);
        let even = total.div_ceil(rows);
        let at = |done: usize| {
            times.start_s + (times.end_s - times.start_s) * done as f64 / total as f64
        };
        let mut done = 0;
        parts.each(&cue.text, even, |part| {
            let start_s = at(done);
            done += part.len();
            on_row(row.fill(part, Some(CueTimes { start_s, end_s: at(done) })))
        })
    }

    /// Hands on the last row of untimed cues. The packer is then ready for another transcript.
    ///
    /// # Errors
    /// Whatever `on_row` returns.
    pub fn finish(&mut self, mut on_row: impl FnMut(TokenRow<'_>) -> Result<()>) -> Result<()> {
        if !self.untimed.is_empty() {
            on_row(self.row.fill(&self.untimed, None))?;
            self.untimed.clear();
        }
        Ok(())
    }
}

/// Cuts one text into parts of whole words that fit a row.
#[derive(Debug)]
struct Parts {
    vocabulary: Vocabulary,
    words: Words,
    /// Pieces of one row without `[CLS]` and `[SEP]`.
    limit: usize,
    /// Pieces of one word.
    word: Vec<i64>,
    part: Vec<i64>,
}

impl Parts {
    /// A part is complete once it holds `enough` pieces, or where the next word would not fit its row.
    fn each(
        &mut self,
        text: &str,
        enough: usize,
        mut on_part: impl FnMut(&[i64]) -> Result<()>,
    ) -> Result<()> {
        let Self { vocabulary, words, limit, word: pieces, part } = self;
        part.clear();
        words.each(text, |word| {
            pieces.clear();
            match word {
                Word::Text(word) => vocabulary.encode(word, pieces),
                Word::TooLong => pieces.push(vocabulary.unknown()),
            }
            for pieces in pieces.chunks(*limit) {
                let next = part.len() + pieces.len();
                if !part.is_empty() && (part.len() >= enough || next > *limit) {
                    on_part(part)?;
                    part.clear();
                }
                part.extend_from_slice(pieces);
            }
            Ok(())
        })?;
        if part.is_empty() { Ok(()) } else { on_part(part) }
    }
}

/// The row that is handed on.
#[derive(Debug)]
struct Row {
    tokens: Vec<i64>,
    mask: Vec<f32>,
    separator: i64,
}

impl Row {
    fn new(max_tokens: usize, start: i64, separator: i64) -> Self {
        let mut tokens = vec![Vocabulary::PADDING; max_tokens];
        tokens[0] = start;
        Self { tokens, mask: vec![0.0; max_tokens], separator }
    }

    /// `pieces` are at most two fewer than the row has places.
    fn fill(&mut self, pieces: &[i64], times: Option<CueTimes>) -> TokenRow<'_> {
        let used = pieces.len() + 2;
        self.tokens[1..used - 1].copy_from_slice(pieces);
        self.tokens[used - 1] = self.separator;
        self.tokens[used..].fill(Vocabulary::PADDING);
        self.mask[..used].fill(1.0);
        self.mask[used..].fill(0.0);
        TokenRow { tokens: &self.tokens, mask: &self.mask, times }
    }
}
