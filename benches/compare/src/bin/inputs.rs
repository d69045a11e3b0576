//! `inputs BUNDLE REC.wav TRANSCRIPT FOLDER`: what the runtime hands its encoders for a recording, as files.
//!
//! Writes `speech_encoder.safetensors` (a segment an item) and `text_encoder.safetensors` (a row of tokens an item), and prints
//! the recording's length in seconds.

use std::path::Path;

use hilbert_compare::{Result, inputs};
use hilbert_formats::{Bundle, Transcript, WavReader};
use hilbert_runtime::{LogMel, Segmenter, Span, TokenRows};
use safetensors::tensor::Dtype;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, recording, transcript, folder] = arguments.as_slice() else {
        return Err("expected BUNDLE REC.wav TRANSCRIPT FOLDER".into());
    };
    let bundle = Bundle::open(Path::new(bundle))?;
    let folder = Path::new(folder);
    let seconds =
        speech(&bundle, Path::new(recording), &folder.join("speech_encoder.safetensors"))?;
    text(&bundle, Path::new(transcript), &folder.join("text_encoder.safetensors"))?;
    println!("{seconds}");
    Ok(())
}

/// Every segment's spectrogram; returns the recording's length in seconds.
fn speech(bundle: &Bundle, recording: &Path, out: &Path) -> Result<f64> {
    let manifest = bundle.manifest();
    let mut reader = WavReader::open(recording)?;
    let (rate, channels) = (reader.format().sample_rate, reader.format().channels);
    if (rate, channels) != (manifest.audio.sample_rate, 1) {
        return Err(
            format!("found {channels} channels at {rate} Hz, expected the model's own").into()
        );
    }
    let mut segmenter = Segmenter::new(&manifest.segmentation, &manifest.audio)?;
    let mut log_mel = LogMel::new(&manifest.features, &manifest.audio)?;
    let (mut spectrograms, mut masks, mut samples) = (Vec::new(), Vec::new(), 0_u32);
    let (mut segments, mut frames) = (0, 0);
    let mut keep = |span: Span<'_>| {
        if let Span::Segment(segment) = span {
            let spectrogram = log_mel.compute(segment.samples)?;
            spectrograms.extend(spectrogram.values.iter().flat_map(|x| x.to_le_bytes()));
            masks.extend(spectrogram.mask.iter().flat_map(|x| x.to_le_bytes()));
            segments += 1;
            frames = spectrogram.mask.len();
        }
        Ok(())
    };
    let mut block = vec![0.0; 4096];
    loop {
        match reader.read(&mut block)? {
            0 => break,
            n => {
                segmenter.push(&block[..n], &mut keep)?;
                samples += u32::try_from(n)?;
            }
        }
    }
    segmenter.finish(&mut keep)?;
    if segments == 0 {
        return Err("found no segment, expected speech".into());
    }
    let mels = spectrograms.len() / 4 / segments / frames;
    let tensors = [
        ("log_mel".to_owned(), Dtype::F32, vec![segments, mels, frames], spectrograms.as_slice()),
        ("mask".to_owned(), Dtype::F32, vec![segments, frames], masks.as_slice()),
    ];
    inputs::write(out, tensors.into_iter())?;
    Ok(f64::from(samples) / f64::from(rate))
}

/// Every row of tokens.
fn text(bundle: &Bundle, transcript: &Path, out: &Path) -> Result<()> {
    let manifest = bundle.manifest();
    let mut rows = TokenRows::new(&manifest.text, &bundle.read(manifest.text.vocabulary())?)?;
    let (mut tokens, mut masks, mut count) = (Vec::new(), Vec::new(), 0);
    let mut keep = |row: hilbert_runtime::TokenRow<'_>| {
        tokens.extend(row.tokens.iter().flat_map(|x| x.to_le_bytes()));
        masks.extend(row.mask.iter().flat_map(|x| x.to_le_bytes()));
        count += 1;
        Ok(())
    };
    for cue in &Transcript::open(transcript)?.cues {
        rows.push(cue, &mut keep)?;
    }
    rows.finish(&mut keep)?;
    if count == 0 {
        return Err("found no row of tokens, expected words".into());
    }
    let tensors = [
        ("tokens".to_owned(), Dtype::I64, vec![count, tokens.len() / 8 / count], tokens.as_slice()),
        ("mask".to_owned(), Dtype::F32, vec![count, masks.len() / 4 / count], masks.as_slice()),
    ];
    inputs::write(out, tensors.into_iter())
}
