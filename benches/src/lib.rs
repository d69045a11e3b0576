//! What the benchmarks measure on: the default bundle and the recording in `examples/data`.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};

use hilbert_formats::{Bundle, Transcript, WavReader};

/// The recording: speech, mono, at the model's sample rate.
#[must_use]
pub fn recording() -> PathBuf {
    data("session.wav")
}

/// The recording's transcript, SRT.
#[must_use]
pub fn transcript() -> PathBuf {
    data("session.srt")
}

/// The default bundle.
///
/// # Errors
/// None, unless the bundle that is built in was damaged.
pub fn bundle() -> Result<Bundle, Box<dyn Error>> {
    Ok(Bundle::from_files(hilbert_models::default_bundle())?)
}

/// The samples of [`recording`], mono in [-1, 1].
///
/// # Errors
/// When the file cannot be read or is not mono.
pub fn samples() -> Result<Vec<f32>, Box<dyn Error>> {
    let mut reader = WavReader::open(recording())?;
    if reader.format().channels != 1 {
        return Err(format!("found {} channels, expected 1", reader.format().channels).into());
    }
    let (mut samples, mut block) = (Vec::new(), vec![0.0; 4096]);
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(samples),
            n => samples.extend_from_slice(&block[..n]),
        }
    }
}

/// The cues of [`transcript`].
///
/// # Errors
/// When the file cannot be read.
pub fn cues() -> Result<Transcript, Box<dyn Error>> {
    Ok(Transcript::open(transcript())?)
}

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(file)
}
