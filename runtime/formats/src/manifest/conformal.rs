//! Conformal sets: how many labels a set must hold for its coverage.

use serde::{Deserialize, Serialize};

use super::MAX_COVERAGES;
use super::check::{require, within};
use crate::error::Result;

/// Conformal sets of one task, one fit for each set of modalities present; as `models/reference/conformal.py` fits them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformal {
    /// Audio alone.
    pub audio: ConformalFit,
    /// Text alone.
    pub text: ConformalFit,
    /// Both.
    pub audio_text: ConformalFit,
}

/// Thresholds, and what they were fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalFit {
    /// Number of held-out documents.
    pub documents: u32,
    /// At most [`MAX_COVERAGES`], ascending.
    pub sets: Vec<Coverage>,
}

/// One set: it holds the labels whose nonconformity is at most the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// How probable it is stated to be that the set holds the true label; above 0 and below 1.
    pub coverage: f64,
    /// From 0, where the likeliest label is alone, to 1, where all labels are in the set.
    pub threshold: f64,
}

impl Conformal {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        self.audio.check(&format!("{at}.audio"))?;
        self.text.check(&format!("{at}.text"))?;
        self.audio_text.check(&format!("{at}.audio_text"))
    }
}

impl ConformalFit {
    fn check(&self, at: &str) -> Result<()> {
        within(&format!("{at}.documents"), self.documents, 1..=u32::MAX)?;
        within(&format!("{at}.sets"), self.sets.len(), 1..=MAX_COVERAGES)?;
        let mut before = Coverage { coverage: 0.0, threshold: 0.0 };
        for (i, one) in self.sets.iter().enumerate() {
            let Coverage { coverage, threshold } = *one;
            let at = format!("{at}.sets[{i}]");
            let ascending = coverage > before.coverage && coverage < 1.0;
            let expected = format!("more than {:?} and less than 1", before.coverage);
            require(ascending, &format!("{at}.coverage"), coverage, expected)?;
            within(&format!("{at}.threshold"), threshold, before.threshold..=1.0)?;
            // The threshold is the ceil((documents + 1) coverage)-th smallest value of so many documents, if there is one.
            let documents = f64::from(self.documents);
            let supported = (documents + 1.0) * coverage <= documents + 1e-9;
            let expected = format!("1, for {documents} documents are too few");
            require(
                supported || threshold >= 1.0,
                &format!("{at}.threshold"),
                threshold,
                expected,
            )?;
            before = *one;
        }
        Ok(())
    }
}
