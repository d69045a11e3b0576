//! Calibration documents: crops of recordings, whole, of one modality, or with the words of another recording.

use std::collections::BTreeSet;
use std::ops::Range;

use super::features::Features;

/// Fewest segments of a crop, where the recording has as many.
pub const LEAST: usize = 5;

/// Most segments of a crop.
pub const MOST: usize = 20;

/// Draws in a row that found nothing new, after which there is nothing new.
const PATIENCE: usize = 1000;

/// One document. Of its parts at least one is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// What is heard.
    pub audio: Option<Crop>,
    /// What is read.
    pub text: Option<Crop>,
}

/// Neighbouring segments of one entry; of an entry without segments, its rows of tokens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crop {
    /// Index of the entry.
    pub entry: usize,
    /// Its first segment.
    pub first: usize,
    /// The segment after the last.
    pub end: usize,
}

/// What one entry is cut into under one bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Extent {
    /// Start and end of each segment, seconds.
    pub segments: Vec<[f64; 2]>,
    /// Number of rows of tokens.
    pub tokens: usize,
}

impl Extent {
    /// That of these features, samples of which are so many a second.
    #[must_use]
    pub fn new(features: &Features, sample_rate: u32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a recording has fewer than 2^52 samples")]
        let seconds = |sample: u64| sample as f64 / f64::from(sample_rate);
        let segments = features.segments.iter().map(|s| [s.start, s.end].map(seconds));
        Self { segments: segments.collect(), tokens: features.tokens.len() }
    }
}

impl Document {
    /// The entry whose labels the document bears; `None` where sound and words are of different ones.
    #[must_use]
    pub fn entry(&self) -> Option<usize> {
        let entries = [&self.audio, &self.text].map(|part| part.as_ref().map(|crop| crop.entry));
        match entries {
            [Some(audio), Some(text)] => (audio == text).then_some(audio),
            [audio, text] => audio.or(text),
        }
    }

    /// The same stretch of entries that are cut otherwise; without parts where nothing lies in it.
    #[must_use]
    pub fn carried(&self, from: &[Extent], to: &[Extent]) -> Self {
        let carried = |part: &Option<Crop>| match part {
            None => Some(None),
            Some(crop) => crop.carried(&from[crop.entry], &to[crop.entry]).map(Some),
        };
        match (carried(&self.audio), carried(&self.text)) {
            (Some(audio), Some(text)) => Self { audio, text },
            _ => Self { audio: None, text: None },
        }
    }
}

impl Crop {
    /// Start and end, seconds; `None` where there are no segments.
    #[must_use]
    pub fn span_s(&self, extent: &Extent) -> Option<[f64; 2]> {
        let segments = extent.segments.get(self.first..self.end)?;
        Some([segments.first()?[0], segments.last()?[1]])
    }

    /// The segments whose middle lies in the crop; of rows of tokens that were cut otherwise all or none.
    fn carried(&self, from: &Extent, to: &Extent) -> Option<Self> {
        if from == to {
            return Some(self.clone());
        }
        let (first, end) = match self.span_s(from) {
            Some([start_s, end_s]) => {
                let middle = |[start_s, end_s]: &[f64; 2]| f64::midpoint(*start_s, *end_s);
                let before = |limit_s| to.segments.partition_point(|s| middle(s) < limit_s);
                (before(start_s), before(end_s))
            }
            None if from.segments.is_empty() && to.segments.is_empty() => {
                let whole = (self.first, self.end) == (0, from.tokens);
                (0, if whole { to.tokens } else { 0 })
            }
            None => return None,
        };
        (first < end).then_some(Self { entry: self.entry, first, end })
    }

    /// Its segments.
    #[must_use]
    pub fn segments(&self, features: &Features) -> Range<usize> {
        if features.segments.is_empty() { 0..0 } else { self.first..self.end }
    }

    /// Samples that it spans; `None` where there are no segments.
    #[must_use]
    pub fn samples(&self, features: &Features) -> Option<Range<u64>> {
        let segments = features.segments.get(self.segments(features))?;
        Some(segments.first()?.start..segments.last()?.end)
    }
}

/// Up to `count` documents, no two alike, of each entry as many as of the others. The same features give the same documents.
///
/// Of eight four are crops, two have the words of another entry's crop, one has no words, one no sound.
#[must_use]
pub fn draw(features: &[Features], count: usize) -> Vec<Document> {
    let mut random = Random(0);
    let (mut drawn, mut documents, mut idle) = (BTreeSet::new(), Vec::new(), 0);
    let (mut turn, mut pairs) = (0, 0);
    while documents.len() < count && idle < PATIENCE && !features.is_empty() {
        let entry = turn % features.len();
        // The kind turns once for each round over the entries, so that each entry has all kinds.
        let kind = (entry + turn / features.len()) % 8;
        turn += 1;
        let own = random.crop(features, entry);
        let document = match kind {
            // More pairs than crops can always be made; they must not stand in for them.
            0 | 1 if features.len() > 1 && pairs < count.div_ceil(4) => {
                let other = (entry + 1 + random.below(features.len() - 1)) % features.len();
                let other = random.crop(features, other);
                Document { audio: Some(own), text: Some(other) }
            }
            2 => Document { audio: Some(own), text: None },
            3 => Document { audio: None, text: Some(own) },
            _ => Document { audio: Some(own.clone()), text: Some(own) },
        };
        if !is_empty(&document, features) && drawn.insert(document.clone()) {
            pairs += usize::from(document.entry().is_none());
            documents.push(document);
            idle = 0;
        } else {
            idle += 1;
        }
    }
    documents
}

/// Whether neither sound nor words are in it.
fn is_empty(document: &Document, features: &[Features]) -> bool {
    let silent = document.audio.as_ref().is_none_or(|c| c.segments(&features[c.entry]).is_empty());
    let wordless = document.text.as_ref().is_none_or(|c| features[c.entry].tokens.is_empty());
    silent && wordless
}

/// `SplitMix64` (Steele, Lea and Flood 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    fn crop(&mut self, features: &[Features], entry: usize) -> Crop {
        let segments = features[entry].segments.len();
        let all = if segments == 0 { features[entry].tokens.len() } else { segments };
        let length = if all <= LEAST { all } else { LEAST + self.below(all.min(MOST) - LEAST + 1) };
        let first = self.below(all - length + 1);
        Crop { entry, first, end: first + length }
    }
}

#[cfg(test)]
mod tests {
    use super::super::features::{SegmentFeatures, TokenFeatures};
    use super::*;

    fn features(segments: usize, tokens: usize) -> Features {
        let segment = |i| {
            let (start, end) = (1000 * i, 1000 * i + 900);
            SegmentFeatures { start, end, row: Vec::new(), log_posteriors: Vec::new() }
        };
        let token = TokenFeatures { times: None, row: Vec::new() };
        Features {
            segments: (0..segments as u64).map(segment).collect(),
            tokens: vec![token; tokens],
            cues: Vec::new(),
        }
    }

    #[test]
    fn documents_are_distinct_crops_of_five_to_twenty_segments_and_the_same_each_time() {
        let all = [features(12, 3), features(40, 9), features(5, 1)];
        let documents = draw(&all, 300);
        assert_eq!(documents, draw(&all, 300));
        assert_eq!(documents.len(), 300);
        assert_eq!(documents.iter().collect::<BTreeSet<_>>().len(), 300);
        for document in &documents {
            for crop in [&document.audio, &document.text].into_iter().flatten() {
                let length = crop.end - crop.first;
                assert!((LEAST..=MOST).contains(&length), "{crop:?}");
                assert!(crop.end <= all[crop.entry].segments.len(), "{crop:?}");
            }
        }
    }

    #[test]
    fn every_kind_of_document_is_drawn_of_every_entry() {
        let all = [features(12, 3), features(40, 9), features(30, 2)];
        let documents = draw(&all, 400);
        let kind = |d: &Document| (d.audio.is_some(), d.text.is_some(), d.entry().is_some());
        for entry in 0..all.len() {
            let of_entry = |d: &&Document| {
                d.audio.as_ref().or(d.text.as_ref()).is_some_and(|crop| crop.entry == entry)
            };
            let kinds: BTreeSet<_> = documents.iter().filter(of_entry).map(kind).collect();
            assert_eq!(kinds.len(), 4, "entry {entry}: {kinds:?}");
        }
    }

    #[test]
    fn a_document_is_carried_to_other_cuts_by_its_time_and_to_the_same_cuts_as_it_is() {
        let cut = |each_s: f64, count: u32, tokens| {
            let at = |i: u32| each_s * f64::from(i);
            let segments = (0..count).map(|i| [at(i), at(i + 1)]).collect();
            Extent { segments, tokens }
        };
        let crop = |first, end| Some(Crop { entry: 0, first, end });
        let rows = [
            // The same cuts; half as long; twice as long; beyond the end; words alone, all and some of them.
            (cut(6.0, 10, 3), cut(6.0, 10, 3), (2, 7), crop(2, 7)),
            (cut(6.0, 10, 3), cut(3.0, 20, 3), (2, 7), crop(4, 14)),
            (cut(6.0, 10, 3), cut(12.0, 5, 3), (1, 4), crop(0, 2)),
            (cut(6.0, 10, 3), cut(6.0, 4, 3), (5, 10), None),
            (cut(6.0, 0, 9), cut(6.0, 0, 12), (0, 9), crop(0, 12)),
            (cut(6.0, 0, 9), cut(6.0, 0, 12), (0, 5), None),
        ];
        for (from, to, (first, end), expected) in rows {
            let document = Document { audio: None, text: crop(first, end) };
            let found = document.carried(&[from], &[to]);
            assert_eq!(found, Document { audio: None, text: expected }, "{first}..{end}");
        }
    }

    #[test]
    fn what_is_exhausted_ends_and_what_is_empty_is_not_drawn() {
        assert_eq!(draw(&[features(3, 1)], 2000).len(), 3, "whole, without words, without sound");
        assert_eq!(draw(&[features(0, 0)], 2000), []);
        assert_eq!(draw(&[], 2000), []);
    }
}
