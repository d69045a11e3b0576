//! What the encoders read: the log-mel spectrogram of a segment, the token rows of cues.

mod log_mel;
mod tokens;

pub use self::log_mel::{LogMel, Spectrogram};
pub use self::tokens::{TokenRow, TokenRows};
