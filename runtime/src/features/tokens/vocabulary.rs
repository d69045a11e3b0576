//! Word pieces and the greedy longest match over them.

use std::str;

use crate::error::{Error, ErrorKind, Result};

/// What a piece that does not begin a word begins with.
const CONTINUING: &str = "##";

/// Most pieces that a bundle may have; BERT's own vocabulary has 30,522.
const MAX_VOCABULARY: usize = 1 << 16;

/// The pieces of a vocabulary file; the line number, counted from 0, is the id.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The file.
    text: Box<str>,
    /// Pieces that begin a word, sorted.
    beginning: Box<[Piece]>,
    /// Pieces that continue a word, without [`CONTINUING`], sorted.
    continuing: Box<[Piece]>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: i64,
    start: i64,
    separator: i64,
}

/// One piece: its bytes in the file, and its id.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
    id: u32,
}

impl Vocabulary {
    /// The id of `[PAD]`.
    pub(super) const PADDING: i64 = 0;

    /// # Errors
    /// [`ErrorKind::Bundle`] for bytes that are not UTF-8, an empty or a repeated line, a special piece that is not there.
    pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let fault = |line: usize, found: String, expected: &str| {
            let what = format!("{file} line {}", line + 1);
            Error::from(ErrorKind::Bundle { what, found, expected: expected.to_owned() })
        };
        let text = str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            fault(line, "bytes that are not UTF-8".to_owned(), "UTF-8")
        })?;
        let too_long = |number| fault(number, "more than 4 GiB".to_owned(), "less");
        let (mut beginning, mut continuing) = (Vec::new(), Vec::new());
        let (mut offset, mut longest) = (0, 0);
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let piece = line.trim_end_matches(['\n', '\r']);
            if piece.is_empty() || number == MAX_VOCABULARY {
                return Err(fault(
                    number,
                    format!("{piece:?}"),
                    &format!("one piece a line, at most {MAX_VOCABULARY}"),
                ));
            }
            let (pieces, prefix) = match piece.strip_prefix(CONTINUING) {
                Some(rest) if !rest.is_empty() => (&mut continuing, CONTINUING.len()),
                _ => (&mut beginning, 0),
            };
            let at = |place: usize| u32::try_from(place).map_err(|_| too_long(number));
            pieces.push(Piece {
                start: at(offset + prefix)?,
                end: at(offset + piece.len())?,
                id: at(number)?,
            });
            longest = longest.max(piece.len() - prefix);
            offset += line.len();
        }
        for pieces in [&mut beginning, &mut continuing] {
            pieces.sort_by_key(|piece| piece.of(text));
            if let Some(pair) = pieces.windows(2).find(|pair| pair[0].of(text) == pair[1].of(text))
            {
                let found = format!("{:?} twice", pair[1].of(text));
                return Err(fault(pair[1].id as usize, found, "every piece once"));
            }
        }
        let special = |name: &str| {
            let lines = beginning.len() + continuing.len();
            find(&beginning, text, name).ok_or_else(|| fault(lines, "the end".to_owned(), name))
        };
        if special("[PAD]")? != Self::PADDING {
            return Err(fault(
                0,
                format!("{:?}", text.lines().next().unwrap_or_default()),
                "[PAD]",
            ));
        }
        let (unknown, start, separator) = (special("[UNK]")?, special("[CLS]")?, special("[SEP]")?);
        Ok(Self {
            beginning: beginning.into(),
            continuing: continuing.into(),
            text: text.into(),
            longest,
            unknown,
            start,
            separator,
        })
    }

    /// Bytes of heap that the vocabulary of a file takes.
    pub(super) fn heap_bytes(file: &[u8]) -> usize {
        let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        file.len() + lines * size_of::<Piece>()
    }

    /// The id of `[UNK]`.
    pub(super) const fn unknown(&self) -> i64 {
        self.unknown
    }

    /// The id of `[CLS]`.
    pub(super) const fn start(&self) -> i64 {
        self.start
    }

    /// The id of `[SEP]`.
    pub(super) const fn separator(&self) -> i64 {
        self.separator
    }

    /// Appends the word's pieces, always the longest that fits; `[UNK]` alone when one is missing.
    ///
    /// The same as `WordPiece::tokenize` of Hugging Face's `tokenizers`.
    pub(super) fn encode(&self, word: &str, pieces: &mut Vec<i64>) {
        let before = pieces.len();
        let mut pieces_of = &self.beginning;
        let mut rest = word;
        while !rest.is_empty() {
            let mut end = rest.floor_char_boundary(self.longest);
            let id = loop {
                if end == 0 {
                    pieces.truncate(before);
                    pieces.push(self.unknown);
                    return;
                }
                if let Some(id) = find(pieces_of, &self.text, &rest[..end]) {
                    break id;
                }
                end = rest.floor_char_boundary(end - 1);
            };
            pieces.push(id);
            rest = &rest[end..];
            pieces_of = &self.continuing;
        }
    }
}

impl Piece {
    fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

fn find(pieces: &[Piece], text: &str, wanted: &str) -> Option<i64> {
    let at = pieces.binary_search_by(|piece| piece.of(text).cmp(wanted)).ok()?;
    Some(i64::from(pieces[at].id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";

    fn vocabulary(pieces: &str) -> Result<Vocabulary> {
        Vocabulary::parse(format!("{SPECIAL}{pieces}").as_bytes(), "vocab.txt")
    }

    #[test]
    fn the_longest_piece_wins_and_a_missing_one_makes_the_whole_word_unknown() {
        let vocabulary = vocabulary("a\nab\nabc\n##c\n##cd\n##d\n#\n##é\n").unwrap();
        let rows: [(&str, &[i64]); 7] = [
            ("abc", &[6]),
            ("abcd", &[6, 9]),
            ("accd", &[4, 7, 8]),
            ("aé", &[4, 11]),
            ("éa", &[1]),
            ("ax", &[1]),
            ("#", &[10]),
        ];
        for (word, expected) in rows {
            let mut pieces = vec![99];
            vocabulary.encode(word, &mut pieces);
            assert_eq!(pieces[1..], *expected, "{word}");
            assert_eq!(pieces[0], 99);
        }
    }

    #[test]
    fn a_file_that_is_not_a_vocabulary_is_refused_with_its_line() {
        let rows: [(&[u8], &str); 7] = [
            (b"", "line 1"),
            (b"[PAD]\n[UNK]\n[CLS]\n", "line 4"),
            (b"[UNK]\n[PAD]\n[CLS]\n[SEP]\n", "line 1"),
            (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\na\n", "line 5"),
            (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nb\na\nb\n", "line 7"),
            (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n##b\na\n##b", "line 7"),
            (b"[PAD]\n[UNK]\n\xFF\n[CLS]\n[SEP]\n", "line 3"),
        ];
        for (bytes, line) in rows {
            let message = Vocabulary::parse(bytes, "vocab.txt").unwrap_err().to_string();
            assert!(message.contains(&format!("vocab.txt {line}:")), "{message}");
        }
    }

    #[test]
    fn line_ends_of_either_kind_are_read() {
        let crlf = format!("{SPECIAL}a\n##b").replace('\n', "\r\n");
        let vocabulary = Vocabulary::parse(crlf.as_bytes(), "vocab.txt").unwrap();
        let mut pieces = Vec::new();
        vocabulary.encode("ab", &mut pieces);
        assert_eq!(pieces, [4, 5]);
    }
}
