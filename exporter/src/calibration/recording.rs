//! Recordings and transcripts of a list, through the runtime's own front end.

use std::path::Path;

use claxon::FlacReader;
use hilbert_formats::manifest::Manifest;
use hilbert_formats::wav::WavFormat;
use hilbert_formats::{Cue, Transcript, TranscriptFormat, WavReader};
use hilbert_runtime::{
    AudioStream, ChannelChoice, LogMel, PcmFormat, Segment, Segmenter, Span, Spectrogram, TokenRow,
    TokenRows,
};

use super::list::{Entry, Words};
use crate::error::{Error, ErrorKind, Result};

/// Frames of one block that is read.
const BLOCK_FRAMES: usize = 4096;

/// What stands before the encoders.
#[derive(Debug)]
pub struct FrontEnd<'a> {
    manifest: &'a Manifest,
    vocabulary: &'a [u8],
}

impl<'a> FrontEnd<'a> {
    /// The front end of a bundle.
    #[must_use]
    pub fn new(manifest: &'a Manifest, vocabulary: &'a [u8]) -> Self {
        Self { manifest, vocabulary }
    }

    /// Hands on each segment of a recording with its spectrogram, as a session does.
    ///
    /// # Errors
    /// A file that cannot be read or is neither WAV nor FLAC; whatever `on_segment` returns.
    pub fn segments(
        &self,
        path: &Path,
        mut on_segment: impl FnMut(Segment<'_>, Spectrogram<'_>) -> hilbert_runtime::Result<()>,
    ) -> Result<()> {
        let failed = |source| failed(path, source);
        let manifest = self.manifest;
        let mut segmenter =
            Segmenter::new(&manifest.segmentation, &manifest.audio).map_err(failed)?;
        let mut log_mel = LogMel::new(&manifest.features, &manifest.audio).map_err(failed)?;
        let mut on_span = |span: Span<'_>| match span {
            Span::Segment(segment) => on_segment(segment, log_mel.compute(segment.samples)?),
            Span::Pause { .. } => Ok(()),
        };
        let mut stream: Option<AudioStream> = None;
        each_block(path, |format, block| {
            let stream = match &mut stream {
                Some(stream) => stream,
                none => {
                    none.insert(AudioStream::new(format, ChannelChoice::Mean, &manifest.audio)?)
                }
            };
            stream.push(block, |mono| segmenter.push(mono, &mut on_span))
        })?;
        if let Some(mut stream) = stream {
            stream.finish(|mono| segmenter.push(mono, &mut on_span)).map_err(failed)?;
        }
        segmenter.finish(&mut on_span).map_err(failed)
    }

    /// Hands on each row of tokens.
    ///
    /// # Errors
    /// Whatever `on_row` returns.
    pub fn tokens(
        &self,
        cues: &[Cue],
        mut on_row: impl FnMut(TokenRow<'_>) -> hilbert_runtime::Result<()>,
    ) -> hilbert_runtime::Result<()> {
        let mut rows = TokenRows::new(&self.manifest.text, self.vocabulary)?;
        cues.iter().try_for_each(|cue| rows.push(cue, &mut on_row))?;
        rows.finish(&mut on_row)
    }
}

/// The cues of an entry; none where it has no words.
///
/// # Errors
/// [`ErrorKind::Runtime`] for a transcript that cannot be read.
pub fn cues(entry: &Entry) -> Result<Vec<Cue>> {
    let transcript = match &entry.words {
        None => return Ok(Vec::new()),
        Some(Words::File(path)) => Transcript::open(path),
        Some(Words::Text(text)) => {
            Transcript::parse(text.as_bytes(), "text", Some(TranscriptFormat::Text))
        }
    };
    let line = entry.line;
    let failed = |error: hilbert_formats::Error| ErrorKind::Runtime {
        stage: format!("reading the words of the calibration list's line {line}"),
        source: error.into(),
    };
    Ok(transcript.map_err(failed)?.cues)
}

/// Hands on whole frames of interleaved samples in [-1, 1].
fn each_block(
    path: &Path,
    mut on_block: impl FnMut(PcmFormat, &[f32]) -> hilbert_runtime::Result<()>,
) -> Result<()> {
    let failed = |source| failed(path, source);
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("flac")) {
        return each_flac_block(path, |format, block| on_block(format, block).map_err(failed));
    }
    let mut reader = WavReader::open(path).map_err(|source| failed(source.into()))?;
    let WavFormat { sample_rate, channels, .. } = *reader.format();
    let mut block = vec![0.0; BLOCK_FRAMES * usize::from(channels)];
    loop {
        let count = reader.read(&mut block).map_err(|source| failed(source.into()))?;
        if count == 0 {
            return Ok(());
        }
        on_block(PcmFormat { sample_rate, channels }, &block[..count]).map_err(failed)?;
    }
}

fn each_flac_block(
    path: &Path,
    mut on_block: impl FnMut(PcmFormat, &[f32]) -> Result<()>,
) -> Result<()> {
    let failed = |source| ErrorKind::Flac { path: path.into(), source };
    let mut reader = FlacReader::open(path).map_err(failed)?;
    let info = reader.streaminfo();
    let channels = u16::try_from(info.channels).unwrap_or(u16::MAX);
    let format = PcmFormat { sample_rate: info.sample_rate, channels };
    let full_scale = (info.bits_per_sample.saturating_sub(1)).min(31);
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let scale = ((1_u64 << full_scale) as f32).recip();
    let (mut blocks, mut buffer, mut interleaved) = (reader.blocks(), Vec::new(), Vec::new());
    while let Some(block) = blocks.read_next_or_eof(buffer).map_err(failed)? {
        interleaved.clear();
        for at in 0..block.duration() {
            #[expect(clippy::cast_precision_loss, reason = "bits beyond 24 are rounded away")]
            interleaved.extend((0..info.channels).map(|c| block.sample(c, at) as f32 * scale));
        }
        on_block(format, &interleaved)?;
        buffer = block.into_buffer();
    }
    Ok(())
}

fn failed(path: &Path, source: hilbert_runtime::Error) -> Error {
    ErrorKind::Runtime { stage: format!("reading {}", path.display()), source }.into()
}
