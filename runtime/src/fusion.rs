//! Fusion: the rows of both modalities become one document vector.
//!
//! Reading A of the HILBERT paper (arXiv 2604.16247), as `Fusion` in `models/reference/hilbert.py` computes it: each row is
//! projected and placed in time; the audio and the text vector pool their own rows; the joint vector pools both streams of
//! cross-attention. Rows arrive one at a time in any order of the modalities, and memory does not grow with them.

mod cross;
mod pooling;
mod position;
mod rows;

use std::sync::Arc;

use hilbert_formats::manifest;

use self::cross::{CrossAttention, Shape};
pub use self::pooling::Pooling;
pub use self::position::PositionEncoding;
pub use self::rows::{Row, RowStore, TimeSpan};
use crate::engine::{Graph, Input};
use crate::error::{Error, Result};

/// Sound or words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// The recording.
    Audio,
    /// The transcript.
    Text,
}

/// Which modalities a document has; it has at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modalities {
    /// The recording alone.
    Audio,
    /// The transcript alone.
    Text,
    /// Both.
    AudioText,
}

impl Modalities {
    /// Names in the order of the result.
    #[must_use]
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Audio => &["audio"],
            Self::Text => &["text"],
            Self::AudioText => &["audio", "text"],
        }
    }
}

/// The graphs of the fusion and its constants. Immutable: a document's rows stand in [`DocumentRows`].
#[derive(Debug)]
pub struct Fusion {
    shape: Shape,
    position: PositionEncoding,
    audio: ModalityGraphs,
    text: ModalityGraphs,
    join: Arc<Graph>,
}

#[derive(Debug)]
struct ModalityGraphs {
    project: Arc<Graph>,
    cross: Arc<Graph>,
    finish: Arc<Graph>,
}

/// What the fusion holds of one document: at most so many rows a modality, and the pooling of all of them.
#[derive(Debug)]
pub struct DocumentRows {
    audio: Stream,
    text: Stream,
    position: Box<[f32]>,
    x: Box<[f32]>,
    cross: CrossAttention,
    cross_pooling: Pooling,
}

#[derive(Debug)]
struct Stream {
    store: RowStore,
    pooling: Pooling,
}

/// A fused document; vectors of a modality that is absent are zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// Which modalities the document has.
    pub modalities: Modalities,
    /// Pooled audio rows, `[width]`.
    pub audio: Box<[f32]>,
    /// Pooled text rows, `[width]`.
    pub text: Box<[f32]>,
    /// Pooled audio rows that attended to text, `[width]`.
    pub cross_audio: Box<[f32]>,
    /// Pooled text rows that attended to audio, `[width]`.
    pub cross_text: Box<[f32]>,
    /// The document vector: audio, text and joint, `[3 * width]`.
    pub document: Box<[f32]>,
}

impl Fusion {
    /// The fusion of a bundle, whose graphs `graph` finds by their names.
    ///
    /// # Errors
    /// Whatever `graph` returns.
    pub fn new(
        constants: &manifest::Fusion,
        graph: impl Fn(&str) -> Result<Arc<Graph>>,
    ) -> Result<Self> {
        let manifest::Fusion { width, heads, block, period_min_s, period_max_s, .. } = *constants;
        let of_modality = |name: &str| {
            Ok::<_, Error>(ModalityGraphs {
                project: graph(&format!("project_{name}"))?,
                cross: graph(&format!("cross_{name}"))?,
                finish: graph(&format!("finish_{name}"))?,
            })
        };
        Ok(Self {
            shape: Shape { block, width, heads },
            position: PositionEncoding::new(width, period_min_s, period_max_s),
            audio: of_modality("audio")?,
            text: of_modality("text")?,
            join: graph("join")?,
        })
    }

    /// Buffers for one document at a time, of at most `n_max` rows a modality, allocated and written here and nowhere else.
    #[must_use]
    pub fn document_rows(&self, n_max: usize) -> DocumentRows {
        let width = self.shape.width;
        let stream = || Stream { store: RowStore::new(n_max, width), pooling: Pooling::new(width) };
        DocumentRows {
            audio: stream(),
            text: stream(),
            position: vec![0.0; width].into(),
            x: vec![0.0; width].into(),
            cross: CrossAttention::new(self.shape),
            cross_pooling: Pooling::new(width),
        }
    }

    /// Bytes of heap that [`Fusion::document_rows`] takes.
    pub(crate) const fn heap_bytes(constants: &manifest::Fusion, n_max: usize) -> usize {
        let manifest::Fusion { width, heads, block, .. } = *constants;
        2 * RowStore::heap_bytes(n_max, width)
            + 3 * Pooling::heap_bytes(width)
            + 2 * width * size_of::<f32>()
            + CrossAttention::heap_bytes(Shape { block, width, heads })
    }

    /// Adds one encoder's row, `[row_width]`, with the time it was said.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`](crate::ErrorKind::GraphRun) for a row of another length.
    pub fn push(
        &self,
        document: &mut DocumentRows,
        modality: Modality,
        row: &[f32],
        times: Option<TimeSpan>,
    ) -> Result<()> {
        let DocumentRows { audio, text, position, x, .. } = document;
        let (graphs, stream) = match modality {
            Modality::Audio => (&self.audio, audio),
            Modality::Text => (&self.text, text),
        };
        self.position.encode(times.map(TimeSpan::middle_s), position);
        let mut score = [0.0];
        graphs.project.run_into(&[Input::F32(row), Input::F32(position)], &mut [x, &mut score])?;
        let score = f64::from(score[0]);
        // Before anything merges, so that the modality's own vector is exact for any number of rows.
        stream.pooling.push(x, score);
        stream.store.push(x, score, times);
        Ok(())
    }

    /// The document vector over all rows so far; `None` when there are none. The rows stay.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`](crate::ErrorKind::GraphRun) when a graph fails.
    pub fn fuse(&self, document: &mut DocumentRows) -> Result<Option<Fused>> {
        let Some(modalities) = document.modalities() else {
            return Ok(None);
        };
        let width = self.shape.width;
        let pooled = |pooling: &Pooling| {
            let mut vector = vec![0.0; width].into_boxed_slice();
            pooling.pooled(&mut vector);
            vector
        };
        let DocumentRows { audio, text, cross, cross_pooling, .. } = document;
        let mut attend_across = |graphs: &ModalityGraphs, queries: &RowStore, keys: &RowStore| {
            cross_pooling.clear();
            cross.pool(
                queries,
                keys,
                |query_rows, key_rows, bias, partial| {
                    let inputs = [Input::F32(query_rows), Input::F32(key_rows), Input::F32(bias)];
                    let outputs =
                        &mut [&mut *partial.numerator, &mut partial.maximum, &mut partial.sum];
                    graphs.cross.run_into(&inputs, outputs)
                },
                |attended, query_rows, finished| {
                    let inputs = [Input::F32(attended), Input::F32(query_rows)];
                    graphs
                        .finish
                        .run_into(&inputs, &mut [&mut *finished.rows, &mut finished.scores])
                },
                cross_pooling,
            )?;
            Ok::<_, Error>(pooled(cross_pooling))
        };
        let cross_audio = attend_across(&self.audio, &audio.store, &text.store)?;
        let cross_text = attend_across(&self.text, &text.store, &audio.store)?;
        let (audio, text) = (pooled(&audio.pooling), pooled(&text.pooling));
        let presence: [f32; 2] = match modalities {
            Modalities::Audio => [1.0, 0.0],
            Modalities::Text => [0.0, 1.0],
            Modalities::AudioText => [1.0, 1.0],
        };
        let mut vector = vec![0.0; 3 * width].into_boxed_slice();
        let inputs = [&*audio, &*text, &*cross_audio, &*cross_text, &presence].map(Input::F32);
        self.join.run_into(&inputs, &mut [&mut vector])?;
        Ok(Some(Fused { modalities, audio, text, cross_audio, cross_text, document: vector }))
    }
}

impl DocumentRows {
    /// Forgets every row.
    pub fn clear(&mut self) {
        for stream in [&mut self.audio, &mut self.text] {
            stream.store.clear();
            stream.pooling.clear();
        }
    }

    /// Which modalities have rows; `None` when neither has.
    #[must_use]
    pub fn modalities(&self) -> Option<Modalities> {
        match (self.audio.store.rows().is_empty(), self.text.store.rows().is_empty()) {
            (true, true) => None,
            (false, true) => Some(Modalities::Audio),
            (true, false) => Some(Modalities::Text),
            (false, false) => Some(Modalities::AudioText),
        }
    }

    /// The rows kept of one modality, in order.
    #[must_use]
    pub fn rows(&self, modality: Modality) -> &[Row] {
        self.stream(modality).store.rows()
    }

    /// The values of the rows kept of one modality, `[rows, width]`.
    #[must_use]
    pub fn values(&self, modality: Modality) -> &[f32] {
        self.stream(modality).store.values()
    }

    /// How many rows of one modality came in, merged ones counted one by one.
    #[must_use]
    pub fn pushed(&self, modality: Modality) -> u64 {
        self.stream(modality).store.pushed()
    }

    /// The share of a kept row in the pooled vector of its modality, from 0 to 1; over all rows they sum to 1.
    #[must_use]
    pub fn weight(&self, modality: Modality, row: &Row) -> f64 {
        self.stream(modality).pooling.weight(row.logit)
    }

    const fn stream(&self, modality: Modality) -> &Stream {
        match modality {
            Modality::Audio => &self.audio,
            Modality::Text => &self.text,
        }
    }
}
