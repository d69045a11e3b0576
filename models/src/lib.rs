//! The default HILBERT bundle as bytes, so that a program needs no file beside it.
//!
//! The bundle is `models/spoken-english/bundle`: tasks `proficiency` and `fluency` for recordings of spoken English.
//! `models/README.md` says what it was trained on and how good it is.
//!
//! Features:
//! - `default-bundle` (default): embeds the bundle. Without it this crate is empty.

#![forbid(unsafe_code)]

/// The files of the default bundle, `manifest.json` among them: their names in the manifest, and what they hold.
///
/// `hilbert_formats::Bundle::from_files` opens them. Their sizes and hashes are checked there, not here.
#[cfg(feature = "default-bundle")]
#[must_use]
pub const fn default_bundle() -> &'static [(&'static str, &'static [u8])] {
    SPOKEN_ENGLISH
}

#[cfg(feature = "default-bundle")]
macro_rules! embed {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_bytes!(concat!($folder, $file)).as_slice())),+]
    };
}

#[cfg(feature = "default-bundle")]
const SPOKEN_ENGLISH: &[(&str, &[u8])] = embed!(
    "../spoken-english/bundle/":
    "manifest.json",
    "certificate.json",
    "vocab.txt",
    "taps.safetensors",
    "speech_encoder.onnx",
    "text_encoder.onnx",
    "project_audio.onnx",
    "project_text.onnx",
    "cross_audio.onnx",
    "cross_text.onnx",
    "finish_audio.onnx",
    "finish_text.onnx",
    "join.onnx",
    "router.onnx",
    "expert_0.onnx",
    "expert_1.onnx",
    "expert_2.onnx",
    "expert_3.onnx",
    "head_proficiency.onnx",
    "head_fluency.onnx",
    "alignment.onnx",
);
