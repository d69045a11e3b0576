//! The arithmetic of HILBERT on slices: log-mel spectra, int8 linear layers and convolutions, attention, layer norm,
//! statistics pooling, tables.
//!
//! A kernel is written once, over vectors of 16 lanes, and compiled for each instruction set ([`Isa`]); which one runs is
//! chosen by the caller, normally [`Isa::detect`]. Nothing here knows of graphs or files.
//!
//! **Integer arithmetic.** Weights are int8 with one scale a column. The rows they multiply are quantised while they run, to
//! whole levels from -127 to 127 with one scale a row, so that no calibration is needed. The sums of products are exact, and
//! the same on every path, bit for bit. Attention multiplies whole numbers too; its softmax is in single precision.
//!
//! **Hostile values.** A row with a NaN or an infinity gives NaN wherever it has a part: never a plausible number.

mod activation;
mod attention;
mod convolution;
mod error;
mod exponential;
mod feed_forward;
mod fourier;
mod isa;
mod layer_norm;
mod levels;
mod linear;
mod log_mel;
mod logarithm;
mod output;
mod panels;
mod simd;
mod statistics;
mod table;
mod word_linear;
mod words;

pub use activation::Activation;
pub use attention::{Attention, AttentionInputs, SelfAttention, masked_below};
pub use convolution::{Convolution, Layout};
pub use error::ShapeError;
pub use feed_forward::{Contraction, FeedForward};
pub use isa::{Isa, UnknownIsa};
pub use layer_norm::LayerNorm;
pub use linear::{Layer, Linear, Rows, apply_layers};
pub use log_mel::{FRAMES, LogMelFrames};
pub use output::Sum;
pub use panels::Panels;
pub use statistics::{statistics_pooling, weighted_mean};
pub use table::{Table, unfold_row};
pub use word_linear::WordLinear;

/// Working memory of the kernels, kept by the caller from call to call. It grows to what the largest call needs and no further.
#[derive(Debug, Default)]
pub struct Scratch {
    levels: levels::Levels,
    rows: Vec<f32>,
    steps: Vec<f32>,
    hidden: Vec<f32>,
    attention: attention::Working,
    words: words::Words,
}

impl Scratch {
    /// Bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels.bytes()
            + 4 * (self.rows.capacity() + self.steps.capacity() + self.hidden.capacity())
            + self.attention.bytes()
            + self.words.bytes()
    }
}
