//! Plain text, cut into sentences: `split_sentences` of `models/reference/word_pieces.py` in one pass.

use super::{Cue, MAX_CUES};

/// Returns the sentences; `None` if they are more than [`MAX_CUES`].
pub(super) fn parse(text: &str) -> Option<Vec<Cue>> {
    let mut cues = Vec::new();
    let mut line = 1;
    let mut counted = 0;
    for sentence in sentences(text) {
        if cues.len() == MAX_CUES {
            return None;
        }
        line += text[counted..sentence.start].bytes().filter(|&b| b == b'\n').count() as u64;
        counted = sentence.start;
        cues.push(Cue { text: text[sentence].to_owned(), times: None, line });
    }
    Some(cues)
}

/// Byte ranges of the sentences of `text`, trimmed and not empty.
///
/// The reference splits at `(?<=[.!?])\s+|\n\s*\n`. Every match lies in one run of white space: the whole run where it
/// follows an end mark, else from its first line end to its last where there are two.
fn sentences(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut start = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let mut at = start;
        while let Some(found) = text[at..].find(is_python_space) {
            let from = at + found;
            let to = from + text[from..].find(|c| !is_python_space(c)).unwrap_or(text.len() - from);
            let run = &text[from..to];
            let cut = if text[..from].ends_with(['.', '!', '?']) {
                Some((from, to))
            } else {
                let (first, last) = (run.find('\n'), run.rfind('\n'));
                first
                    .zip(last)
                    .filter(|(first, last)| first < last)
                    .map(|(a, b)| (from + a, from + b + 1))
            };
            if let Some((end, next)) = cut {
                let piece = start..end;
                start = next;
                return Some(piece);
            }
            at = to;
        }
        done = true;
        Some(start..text.len())
    })
    .map(|piece| {
        let inner = text[piece.clone()].trim_start_matches(is_python_space);
        let start = piece.end - inner.len();
        start..start + inner.trim_end_matches(is_python_space).len()
    })
    .filter(|piece| !piece.is_empty())
}

/// White space as Python's `\s` and `str.strip` see it: Unicode's, and the four information separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}
