//! The alignment head, and how its scores say whether a transcript belongs to its recording (`integrity`).

use serde::{Deserialize, Serialize};

use super::check::{check_labels, require, within};
use super::{Features, MAX_LABELS};
use crate::error::Result;

/// What the alignment head tells apart: its classes from 1 on, in this order. Class 0 is the blank of CTC.
pub const ALPHABET: &str = " abcdefghijklmnopqrstuvwxyz'";
/// What a document's class is read from: summaries of its cues' logits.
pub const SUMMARIES: [&str; 3] = ["mean", "smallest", "largest"];

/// How a cue's text is held against the audio around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// Frames that the speech encoder returns for one input; they divide the log-mel frames evenly.
    pub frames: usize,
    /// Width of one of them.
    pub width: usize,
    /// Always [`ALPHABET`]: the runtime's spelling of transcripts is made for it.
    pub alphabet: String,
    /// Seconds before and after a cue in which it may be said.
    pub margin_s: f64,
    /// The fit of a cue is cut off here, log-probability a character.
    pub worst_fit: f64,
    /// From the fits to scores and classes.
    pub integrity: Integrity,
}

/// Whether the cues of a document belong to its recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// Classes of a document.
    pub labels: Vec<String>,
    /// `sigmoid(weight fit + bias)`: the probability that a cue's text is another's.
    pub cue: CueModel,
    /// `softmax(weight summaries + bias)`: the probability of each label.
    pub document: DocumentModel,
}

/// Logistic model of one cue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CueModel {
    /// Of the fit of its text.
    pub weight: f64,
    /// Added to the weighted fit.
    pub bias: f64,
}

/// Logistic model of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentModel {
    /// Always [`SUMMARIES`].
    pub summaries: Vec<String>,
    /// For each label one for each of [`SUMMARIES`].
    pub weight: Vec<[f64; SUMMARIES.len()]>,
    /// One for each label.
    pub bias: Vec<f64>,
}

impl Alignment {
    /// Classes of the alignment head: the blank and [`ALPHABET`].
    pub const CLASSES: usize = 1 + ALPHABET.len();

    pub(super) fn check(&self, features: &Features) -> Result<()> {
        let Features::LogMel { frames, .. } = features;
        within("alignment.frames", self.frames, 1..=*frames)?;
        let divides = frames.is_multiple_of(self.frames);
        let expected = format!("a divisor of the {frames} log-mel frames");
        require(divides, "alignment.frames", self.frames, expected)?;
        within("alignment.width", self.width, 1..=4096)?;
        let known = self.alphabet == ALPHABET;
        require(known, "alignment.alphabet", &self.alphabet, format!("{ALPHABET:?}"))?;
        within("alignment.margin_s", self.margin_s, 0.0..=10.0)?;
        within("alignment.worst_fit", self.worst_fit, -1000.0..=0.0)?;
        self.integrity.check()
    }
}

impl Integrity {
    fn check(&self) -> Result<()> {
        let Self { labels, cue, document } = self;
        within("alignment.integrity.labels", labels.len(), 2..=MAX_LABELS)?;
        check_labels("alignment.integrity.labels", labels)?;
        check_numbers("alignment.integrity.cue.weight", &[cue.weight])?;
        check_numbers("alignment.integrity.cue.bias", &[cue.bias])?;
        check_names("alignment.integrity.document.summaries", &document.summaries, &SUMMARIES)?;
        let (weights, biases) = (document.weight.len(), document.bias.len());
        let expected = format!("{}, one for each label", labels.len());
        let at = "alignment.integrity.document.weight";
        require(weights == labels.len(), at, format!("{weights} rows"), &expected)?;
        check_numbers(at, document.weight.as_flattened())?;
        let at = "alignment.integrity.document.bias";
        require(biases == labels.len(), at, format!("{biases} numbers"), &expected)?;
        check_numbers(at, &document.bias)
    }
}

fn check_names(at: &str, found: &[String], expected: &[&str]) -> Result<()> {
    require(found == expected, at, format!("{found:?}"), format!("{expected:?}"))
}

/// Refuses numbers whose weighted sums could overflow.
fn check_numbers(at: &str, numbers: &[f64]) -> Result<()> {
    numbers.iter().try_for_each(|number| within(at, *number, -1e9..=1e9))
}
