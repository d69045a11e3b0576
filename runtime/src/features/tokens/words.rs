//! BERT's normaliser and pre-tokenizer, uncased: text to words.
//!
//! The same as `BertNormalizer` and `BertPreTokenizer` of Hugging Face's `tokenizers`, from whose tables of categories it
//! reads, with one difference: characters are decomposed one by one, so that no run of combining marks is ever collected. The
//! order of the few spacing marks that canonical ordering would swap is kept; they are in no vocabulary of word pieces.

use std::iter;

use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;

use crate::error::Result;

/// Bytes of the longest character in UTF-8.
const CHAR_BYTES: usize = 4;

/// One word of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// Lower case, without accents; or one punctuation character.
    Text(&'a str),
    /// A word of more characters than are held.
    TooLong,
}

/// Splits texts into words in one buffer.
#[derive(Debug)]
pub(super) struct Words {
    word: String,
    chars: usize,
    max_chars: usize,
}

impl Words {
    pub(super) fn new(max_chars: usize) -> Self {
        Self { word: String::with_capacity(max_chars * CHAR_BYTES), chars: 0, max_chars }
    }

    /// Bytes of heap that its buffer takes.
    pub(super) const fn heap_bytes(max_chars: usize) -> usize {
        max_chars * CHAR_BYTES
    }

    pub(super) fn each(
        &mut self,
        text: &str,
        mut on_word: impl FnMut(Word<'_>) -> Result<()>,
    ) -> Result<()> {
        self.clear();
        for c in normalised(text) {
            if c.is_whitespace() {
                self.end(&mut on_word)?;
            } else if is_punctuation(c) {
                self.end(&mut on_word)?;
                self.add(c);
                self.end(&mut on_word)?;
            } else {
                self.add(c);
            }
        }
        self.end(&mut on_word)
    }

    fn add(&mut self, c: char) {
        self.chars += 1;
        if self.chars <= self.max_chars {
            self.word.push(c);
        }
    }

    fn end(&mut self, on_word: &mut impl FnMut(Word<'_>) -> Result<()>) -> Result<()> {
        let result = match self.chars {
            0 => Ok(()),
            chars if chars > self.max_chars => on_word(Word::TooLong),
            _ => on_word(Word::Text(&self.word)),
        };
        self.clear();
        result
    }

    fn clear(&mut self) {
        self.word.clear();
        self.chars = 0;
    }
}

/// Control characters dropped, ideographs set apart by spaces, accents stripped, lower case.
fn normalised(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|&c| !is_dropped(c))
        .flat_map(|c| {
            let space = is_ideograph(c).then_some(' ');
            space.into_iter().chain(iter::once(c)).chain(space)
        })
        .flat_map(|c| iter::once(c).nfd().map(|(c, _)| c))
        .filter(|c| !c.is_mark_nonspacing())
        .flat_map(char::to_lowercase)
}

/// Control, format, private and unassigned characters, but not the white space among them.
fn is_dropped(c: char) -> bool {
    c == char::REPLACEMENT_CHARACTER || (c.is_other() && !matches!(c, '\t' | '\n' | '\r'))
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.is_punctuation()
}

/// CJK unified and compatibility ideographs.
const fn is_ideograph(c: char) -> bool {
    matches!(
        c,
        '\u{4E00}'..='\u{9FFF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{20000}'..='\u{2A6DF}'
            | '\u{2A700}'..='\u{2B73F}'
            | '\u{2B740}'..='\u{2B81F}'
            | '\u{2B920}'..='\u{2CEAF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{2F800}'..='\u{2FA1F}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::{
        NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
        PreTokenizer,
    };

    use super::*;

    fn words(text: &str, max_chars: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut words = Words::new(max_chars);
        let capacity = words.word.capacity();
        words
            .each(text, |word| {
                found.push(match word {
                    Word::Text(word) => word.to_owned(),
                    Word::TooLong => "(too long)".to_owned(),
                });
                Ok(())
            })
            .unwrap();
        assert_eq!(words.word.capacity(), capacity);
        found
    }

    fn oracle(text: &str) -> Vec<String> {
        let mut normalised = NormalizedString::from(text);
        BertNormalizer::new(true, true, Some(true), true).normalize(&mut normalised).unwrap();
        let mut words = PreTokenizedString::from(normalised);
        BertPreTokenizer.pre_tokenize(&mut words).unwrap();
        let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
    }

    #[test]
    fn every_character_is_treated_as_the_tokenizers_crate_does() {
        let failures: Vec<String> = ('\0'..=char::MAX)
            .filter_map(|c| {
                let text = format!("a{c}b");
                let (found, expected) = (words(&text, 100), oracle(&text));
                (found != expected)
                    .then(|| format!("{:04X}: {found:?}, expected {expected:?}", c as u32))
            })
            .collect();
        assert!(
            failures.is_empty(),
            "{} characters differ:\n{}",
            failures.len(),
            failures[..failures.len().min(200)].join("\n")
        );
    }

    #[test]
    fn texts_of_many_scripts_are_split_as_the_tokenizers_crate_does() {
        let texts = [
            "",
            " \t\r\n ",
            "Hello, world! It's 3.14 o'clock -- isn't it?",
            "Crème brûlée, naïve façade, Ünïcödé, İstanbul, Straße, ΣΊΣΥΦΟΣ, Ǆ ǅ ǆ",
            "e\u{301}e\u{300}\u{323} \u{1E9B}\u{323} \u{AC00}\u{11A8} 한국어 조선말",
            "你好，世界！ 東京abc 𠀀𪜀 \u{F900}\u{2F800} ひらがな カタカナ",
            "नमस्ते दुनिया، שָׁלוֹם עוֹלָם, مَرْحَبًا بِالعَالَم, Привет, мир; สวัสดี",
            "emoji 👩‍👩‍👧 flags 🇩🇪 skin 👍🏽 \u{FE0F} zero\u{200B}width\u{200D}joiner \u{FEFF}bom",
            "nul\0nul \u{FFFD} soft\u{AD}hyphen no\u{A0}break \u{2028}line \u{85}next \u{1F}unit \u{E000}private",
            "[CLS] [SEP] [UNK] ##ing ## # $5 a^b `c` ~d~ «e» „f“ ‚g‘ …",
        ];
        for text in texts {
            assert_eq!(words(text, 100), oracle(text), "{text:?}");
        }
    }

    #[test]
    fn a_word_beyond_the_limit_is_too_long_and_never_held() {
        let text = format!("{} {} end", "é".repeat(100), "é".repeat(100_000));
        assert_eq!(words(&text, 100), ["e".repeat(100), "(too long)".to_owned(), "end".to_owned()]);
    }

    proptest! {
        #[test]
        fn any_text_is_split_as_the_tokenizers_crate_does(text in "[\\PC\\s\u{300}-\u{36F}\u{AC00}-\u{AC10}İßΣ!-/]{0,40}") {
            prop_assert_eq!(words(&text, 1000), oracle(&text));
        }
    }
}
