//! What stands before the encoders, with its buffers.

use hilbert_formats::Manifest;

use crate::error::Result;
use crate::features::{LogMel, TokenRows};
use crate::segment::Segmenter;

/// Segmentation and features of one bundle.
#[derive(Debug)]
pub(super) struct FrontEnd {
    pub(super) segmenter: Segmenter,
    pub(super) log_mel: LogMel,
    pub(super) token_rows: TokenRows,
}

impl FrontEnd {
    pub(super) fn new(manifest: &Manifest, vocabulary: &[u8]) -> Result<Self> {
        Ok(Self {
            segmenter: Segmenter::new(&manifest.segmentation, &manifest.audio)?,
            log_mel: LogMel::new(&manifest.features, &manifest.audio)?,
            token_rows: TokenRows::new(&manifest.text, vocabulary)?,
        })
    }

    /// Drops what an interrupted document left.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.segmenter.finish(|_| Ok(()))?;
        self.token_rows.finish(|_| Ok(()))
    }
}
