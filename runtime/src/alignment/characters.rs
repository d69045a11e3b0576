//! A transcript as the alignment head reads it: `readings` of `models/reference/characters.py`.
//!
//! One difference: combining marks that are younger than the tables of `unicode_categories` (Unicode 8), those for Latin
//! letters apart, end a word instead of being dropped. They belong to scripts that the head does not read.

use std::iter;

use hilbert_formats::manifest::ALPHABET;
use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 10] =
    ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Digits of the longest number that is read as one; longer ones are read digit by digit.
const LONGEST_NUMBER: usize = 6;

/// One way to read a text aloud, in classes of the alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// The first characters, at most the capacity.
    classes: Vec<u8>,
    capacity: usize,
    /// How many characters there are.
    count: usize,
    /// Whether something that is no letter stands before the next character.
    gap: bool,
}

/// The ways to read one text after the other, in buffers that are allocated once.
#[derive(Debug)]
pub(super) struct Readings {
    cardinal: Reading,
    digits: Reading,
}

impl Readings {
    /// Room for readings of `capacity` characters. Of longer ones the characters beyond it are counted only.
    pub(super) fn new(capacity: usize) -> Self {
        let reading =
            || Reading { classes: Vec::with_capacity(capacity), capacity, count: 0, gap: false };
        Self { cardinal: reading(), digits: reading() }
    }

    /// With cardinal numbers, then digit by digit if that differs; none where nothing in the text can be spoken.
    pub(super) fn of(&mut self, text: &str) -> impl Iterator<Item = &Reading> {
        self.cardinal.spell(text, false);
        self.digits.spell(text, true);
        let second = (self.digits != self.cardinal).then_some(&self.digits);
        iter::once(&self.cardinal).chain(second).filter(|reading| reading.count > 0)
    }
}

impl Reading {
    /// How many characters it has.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Its characters in classes of the alphabet, unless they are more than there is room for.
    pub(super) fn classes(&self) -> Option<&[u8]> {
        (self.count <= self.capacity).then_some(&self.classes)
    }

    /// `spelled` of the reference: lower case without accents, numbers and a few signs in words, all else as single
    /// spaces. A comma between digits is dropped when three digits follow it; a full stop between digits is "point".
    fn spell(&mut self, text: &str, by_digit: bool) {
        self.classes.clear();
        (self.count, self.gap) = (0, false);
        let mut number = Number::new(if by_digit { 0 } else { LONGEST_NUMBER });
        let mut rest = plain(text);
        while let Some(c) = rest.next() {
            if c.is_ascii_digit() {
                number.push(c, self);
                continue;
            }
            let after_digit = number.count > 0;
            if c == ',' && after_digit && is_group(rest.clone()) {
                continue;
            }
            number.end(self);
            match c {
                '.' if after_digit && rest.clone().next().is_some_and(|c| c.is_ascii_digit()) => {
                    self.say("point");
                }
                '&' => self.say("and"),
                '%' => self.say("percent"),
                '+' => self.say("plus"),
                '@' => self.say("at"),
                '=' => self.say("equals"),
                _ => self.push(c),
            }
        }
        number.end(self);
    }

    fn say(&mut self, word: &str) {
        self.gap = true;
        word.chars().for_each(|c| self.push(c));
        self.gap = true;
    }

    /// 0 to 999,999 in words.
    fn say_cardinal(&mut self, number: usize) {
        let size = match number {
            0..20 => return self.say(ONES[number]),
            20..100 => {
                self.say(TENS[number / 10]);
                10
            }
            100..1000 => {
                self.say_cardinal(number / 100);
                self.say("hundred");
                100
            }
            _ => {
                self.say_cardinal(number / 1000);
                self.say("thousand");
                1000
            }
        };
        if !number.is_multiple_of(size) {
            self.say_cardinal(number % size);
        }
    }

    fn push(&mut self, c: char) {
        match class(c) {
            Some(class) => {
                if self.gap && self.count > 0 {
                    self.add(SPACE);
                }
                self.gap = false;
                self.add(class);
            }
            None => self.gap = true,
        }
    }

    fn add(&mut self, class: u8) {
        self.count += 1;
        if self.count <= self.capacity {
            self.classes.push(class);
        }
    }
}

/// A run of digits, read up to here.
#[derive(Debug)]
struct Number {
    /// The first of them, held back until their number is known.
    held: [usize; LONGEST_NUMBER],
    /// How many are held at most; beyond that each is said by itself.
    longest: usize,
    count: usize,
}

impl Number {
    const fn new(longest: usize) -> Self {
        Self { held: [0; LONGEST_NUMBER], longest, count: 0 }
    }

    fn push(&mut self, digit: char, reading: &mut Reading) {
        let digit = digit as usize - '0' as usize;
        if self.count < self.longest {
            self.held[self.count] = digit;
        } else {
            if self.count == self.longest {
                self.say_held(reading);
            }
            reading.say(ONES[digit]);
        }
        self.count += 1;
    }

    fn end(&mut self, reading: &mut Reading) {
        if self.count <= self.longest {
            match self.held[..self.count] {
                [] => {}
                [0, _, ..] => self.say_held(reading),
                ref digits => {
                    reading.say_cardinal(digits.iter().fold(0, |n, digit| 10 * n + digit));
                }
            }
        }
        self.count = 0;
    }

    fn say_held(&self, reading: &mut Reading) {
        let held = self.count.min(self.longest);
        self.held[..held].iter().for_each(|digit| reading.say(ONES[*digit]));
    }
}

const SPACE: u8 = 1;

/// The class of a character that can be spoken.
fn class(c: char) -> Option<u8> {
    ALPHABET
        .bytes()
        .zip(1..)
        .skip(1)
        .find(|(letter, _)| char::from(*letter) == c)
        .map(|(_, class)| class)
}

/// Lower case, typewriter apostrophes, no accents. Characters are decomposed one by one: the order of marks that are dropped
/// does not matter.
fn plain(text: &str) -> impl Iterator<Item = char> + Clone {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '\u{2019}' { '\'' } else { c })
        .flat_map(|c| iter::once(c).nfd().map(|(c, _)| c))
        .filter(|c| !is_accent(*c))
}

/// Marks that take no place of their own, the younger ones that stand on Latin letters among them.
fn is_accent(c: char) -> bool {
    c.is_mark_nonspacing() || matches!(c, '\u{1abf}'..='\u{1ace}' | '\u{1df6}'..='\u{1dfb}')
}

/// Whether exactly three digits come next.
fn is_group(mut next: impl Iterator<Item = char>) -> bool {
    next.by_ref().take(3).filter(char::is_ascii_digit).count() == 3
        && !next.next().is_some_and(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::alignment::tests::reference;

    fn shown(reading: &Reading) -> String {
        let letter = |class: &u8| char::from(ALPHABET.as_bytes()[usize::from(*class) - 1]);
        reading.classes().unwrap().iter().map(letter).collect()
    }

    fn readings(text: &str) -> Vec<String> {
        Readings::new(500).of(text).map(shown).collect()
    }

    #[test]
    fn texts_are_read_as_the_reference_reads_them() {
        let failed: Vec<_> = reference("readings")
            .into_iter()
            .filter_map(|case| {
                let found = readings(case["text"].as_str().unwrap());
                (case["readings"] != Value::from(found.clone())).then_some((case, found))
            })
            .collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn every_character_between_letters_is_what_the_reference_makes_of_it() {
        let runs = reference("between_letters");
        let expected = |c: char| {
            let c = u64::from(u32::from(c));
            let inside = |run: &&Value| (run[0].as_u64()..=run[1].as_u64()).contains(&Some(c));
            runs.iter().find(inside).map_or("a b", |run| run[2].as_str().unwrap())
        };
        // Blocks of marks for Latin letters.
        let of_latin = |c| matches!(c, '\0'..='\u{6ff}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{24ff}' | '\u{fb00}'..='\u{ffff}');
        let differ: Vec<_> =
            ('\0'..=char::MAX).filter(|c| readings(&format!("a{c}b"))[0] != expected(*c)).collect();
        assert!(!differ.iter().any(|c| of_latin(*c)), "{differ:?}");
        assert_eq!(differ.len(), 363, "362 younger marks, and one that is no longer one");
    }

    #[test]
    fn a_longer_text_is_counted_and_not_held() {
        let mut readings = Readings::new(5);
        let found: Vec<_> =
            readings.of("abc de").map(|r| (r.count(), r.classes().is_some())).collect();
        assert_eq!(found, [(6, false)]);
        let found: Vec<_> =
            readings.of("abc d").map(|r| (r.count(), r.classes().is_some())).collect();
        assert_eq!(found, [(5, true)]);
        assert_eq!(readings.cardinal.classes.capacity(), 5);
    }

    proptest! {
        #[test]
        fn no_text_is_read_with_a_space_at_its_ends_or_two_in_a_row(text in "[a-c0-9,.'\u{e9} %]{0,30}|\\PC{0,20}") {
            for reading in readings(&text) {
                prop_assert_eq!(reading.split(' ').collect::<Vec<_>>(), reading.split_whitespace().collect::<Vec<_>>());
            }
        }
    }
}
