//! Reading a whole recording in blocks.

use hilbert_formats::{Result, WavFormat, WavReader};

#[derive(Debug, PartialEq)]
pub(crate) struct Recording {
    pub(crate) format: WavFormat,
    pub(crate) samples: Vec<f32>,
    /// Codes in the order of the warnings.
    pub(crate) warnings: Vec<&'static str>,
}

pub(crate) fn read_all(file: &[u8], frames_a_block: usize) -> Result<Recording> {
    let mut reader = WavReader::new(file, "test.wav")?;
    let format = reader.format().clone();
    let mut block = vec![f32::NAN; frames_a_block * usize::from(format.channels)];
    let mut samples = Vec::new();
    loop {
        let read = reader.read(&mut block)?;
        if read == 0 {
            break;
        }
        samples.extend_from_slice(&block[..read]);
    }
    assert_eq!(reader.frames_read() * u64::from(format.channels), samples.len() as u64);
    assert_eq!(reader.read(&mut block)?, 0, "the end stays the end");
    let warnings = reader.warnings().iter().map(|w| w.code).collect();
    Ok(Recording { format, samples, warnings })
}
