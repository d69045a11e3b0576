//! Encoders: one segment's spectrogram or one row of tokens becomes one embedding.

use std::sync::Arc;

use crate::engine::{Graph, Input};
use crate::error::Result;
use crate::features::{Spectrogram, TokenRow};

/// The speech encoder: a segment to its frames' embeddings, and to their mean and deviation.
#[derive(Debug, Clone)]
pub struct SpeechEncoder {
    graph: Arc<Graph>,
}

impl SpeechEncoder {
    /// The encoder around the graph `speech_encoder`.
    #[must_use]
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph }
    }

    /// Values of one embedding: twice the encoder's width.
    #[must_use]
    pub fn row_width(&self) -> usize {
        output_width(&self.graph)
    }

    /// Values of the frames' embeddings of one segment; 0 for a bundle without an alignment head, which alone reads them.
    #[must_use]
    pub fn frames_len(&self) -> usize {
        self.graph.outputs().get(1).map_or(0, |port| port.len())
    }

    /// Embeds one segment into `row`, `[row_width]`, and its frames into `frames`, `[frames_len]`, zeros beyond its end.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`](crate::ErrorKind::GraphRun) for lengths other than the graph's.
    pub fn encode(
        &self,
        spectrogram: Spectrogram<'_>,
        row: &mut [f32],
        frames: &mut [f32],
    ) -> Result<()> {
        let inputs = [Input::F32(spectrogram.values), Input::F32(spectrogram.mask)];
        if frames.is_empty() {
            self.graph.run_into(&inputs, &mut [row])
        } else {
            self.graph.run_into(&inputs, &mut [row, frames])
        }
    }
}

/// The text encoder: a row of tokens to the mean of its tokens' embeddings.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    graph: Arc<Graph>,
}

impl TextEncoder {
    /// The encoder around the graph `text_encoder`.
    #[must_use]
    pub fn new(graph: Arc<Graph>) -> Self {
        Self { graph }
    }

    /// Values of one embedding: the encoder's width.
    #[must_use]
    pub fn row_width(&self) -> usize {
        output_width(&self.graph)
    }

    /// Embeds one row of tokens into `row`, `[row_width]`.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`](crate::ErrorKind::GraphRun) for lengths other than the graph's.
    pub fn encode(&self, tokens: TokenRow<'_>, row: &mut [f32]) -> Result<()> {
        self.graph.run_into(&[Input::I64(tokens.tokens), Input::F32(tokens.mask)], &mut [row])
    }
}

fn output_width(graph: &Graph) -> usize {
    graph.outputs().first().map_or(0, |port| port.len())
}
