//! What the encoders make of each recording and each transcript, computed once and kept in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use hilbert_formats::Cue;
use hilbert_formats::bundle::sha256;
use hilbert_runtime::{Segment, Spectrogram, TimeSpan};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::json;

use super::form::Form;
use super::list::{Entry, Words};
use super::recording::{FrontEnd, cues};
use crate::checkpoint::read;
use crate::error::{ErrorKind, Result};

/// Rows of one entry of the list.
#[derive(Debug, Clone, Default)]
pub struct Features {
    /// Segments in order.
    pub segments: Vec<SegmentFeatures>,
    /// Rows of tokens in order.
    pub tokens: Vec<TokenFeatures>,
    /// The cues themselves, in order.
    pub cues: Vec<Cue>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentFeatures {
    /// First sample.
    pub start: u64,
    /// The sample after the last.
    pub end: u64,
    /// The encoder's row.
    pub row: Vec<f32>,
    /// Log posteriors of its frames, `[frames, CLASSES]`, those of padding last; empty without an alignment head.
    pub log_posteriors: Vec<f32>,
}

/// One row of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenFeatures {
    /// When it was said; `None` if untimed.
    pub times: Option<TimeSpan>,
    /// The encoder's row.
    pub row: Vec<f32>,
}

/// The folder that keeps them.
#[derive(Debug)]
pub struct Cache<'a> {
    folder: &'a Path,
}

impl<'a> Cache<'a> {
    /// A cache in `folder`, which is made when it is first written to.
    #[must_use]
    pub fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// The features of `entry` under the encoders of `form`: from the folder where it has them.
    ///
    /// # Errors
    /// What cannot be read, encoded or written.
    pub fn features(&self, form: &Form, entry: &Entry) -> Result<Features> {
        let cues = cues(entry)?;
        let segments = match &entry.recording {
            Some(recording) => self.segments(form, recording)?,
            None => Vec::new(),
        };
        let tokens = self.tokens(form, entry, &cues)?;
        Ok(Features { segments, tokens, cues })
    }

    fn segments(&self, form: &Form, recording: &Path) -> Result<Vec<SegmentFeatures>> {
        let manifest = &form.manifest;
        let front_end = json!([manifest.audio, manifest.features, manifest.segmentation]);
        let content = sha256(&read(recording)?);
        let path = self.path(&["speech", &form.speech_key, &content, &front_end.to_string()]);
        if let Some(kept) = kept_segments(&path) {
            return Ok(kept);
        }
        let mut segments = Vec::new();
        let encode = |segment: Segment<'_>, spectrogram: Spectrogram<'_>| {
            segments.push(encoded_segment(form, segment, spectrogram)?);
            Ok(())
        };
        FrontEnd::new(manifest, &form.vocabulary).segments(recording, encode)?;
        write_segments(&path, &segments)?;
        Ok(segments)
    }

    fn tokens(&self, form: &Form, entry: &Entry, cues: &[Cue]) -> Result<Vec<TokenFeatures>> {
        let manifest = &form.manifest;
        let content = match &entry.words {
            None => return Ok(Vec::new()),
            Some(Words::File(path)) => sha256(&read(path)?),
            Some(Words::Text(text)) => sha256(text.as_bytes()),
        };
        let front_end = json!([manifest.text, sha256(&form.vocabulary)]).to_string();
        let path = self.path(&["text", &form.text_key, &content, &front_end]);
        if let Some(kept) = kept_tokens(&path) {
            return Ok(kept);
        }
        let mut tokens = Vec::new();
        let mut row = vec![0.0; form.text_encoder.row_width()];
        let encoded = FrontEnd::new(manifest, &form.vocabulary).tokens(cues, |one| {
            form.text_encoder.encode(one, &mut row)?;
            let times = one.times.map(|t| TimeSpan { start_s: t.start_s, end_s: t.end_s });
            tokens.push(TokenFeatures { times, row: row.clone() });
            Ok(())
        });
        let stage = format!("encoding the words of the calibration list's line {}", entry.line);
        encoded.map_err(|source| ErrorKind::Runtime { stage, source })?;
        write_tokens(&path, &tokens)?;
        Ok(tokens)
    }

    fn path(&self, parts: &[&str]) -> PathBuf {
        self.folder.join(format!("{}.safetensors", sha256(parts.join("\n").as_bytes())))
    }
}

fn encoded_segment(
    form: &Form,
    segment: Segment<'_>,
    spectrogram: Spectrogram<'_>,
) -> hilbert_runtime::Result<SegmentFeatures> {
    let mut row = vec![0.0; form.speech_encoder.row_width()];
    let mut frames = vec![0.0; form.speech_encoder.frames_len()];
    form.speech_encoder.encode(spectrogram, &mut row, &mut frames)?;
    let mut log_posteriors = Vec::new();
    if let Some((head, _)) = &form.alignment {
        log_posteriors.resize(head.posteriors_len(), 0.0);
        head.log_posteriors(&frames, &mut log_posteriors)?;
    }
    Ok(SegmentFeatures { start: segment.start, end: segment.end, row, log_posteriors })
}

/// A file that cannot be used is as good as none: it is written anew.
fn kept_segments(path: &Path) -> Option<Vec<SegmentFeatures>> {
    let bytes = fs::read(path).ok()?;
    let stored = SafeTensors::deserialize(&bytes).ok()?;
    let spans = stored.tensor("spans").ok()?;
    let spans = spans.data().as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
    let spans: Vec<u64> = spans.collect();
    let (rows, log) = (floats(&stored, "rows")?, floats(&stored, "log_posteriors")?);
    let count = spans.len() / 2;
    if count == 0 {
        return Some(Vec::new());
    }
    let (width, each) = (rows.len() / count, log.len() / count);
    let segment = |(i, span): (usize, &[u64; 2])| SegmentFeatures {
        start: span[0],
        end: span[1],
        row: rows[i * width..(i + 1) * width].to_vec(),
        log_posteriors: log[i * each..(i + 1) * each].to_vec(),
    };
    Some(spans.as_chunks::<2>().0.iter().enumerate().map(segment).collect())
}

fn write_segments(path: &Path, segments: &[SegmentFeatures]) -> Result<()> {
    let spans: Vec<u8> =
        segments.iter().flat_map(|s| [s.start, s.end]).flat_map(u64::to_le_bytes).collect();
    let rows = bytes(segments.iter().flat_map(|s| &s.row));
    let log = bytes(segments.iter().flat_map(|s| &s.log_posteriors));
    let tensors = [
        ("spans", Dtype::U64, &spans),
        ("rows", Dtype::F32, &rows),
        ("log_posteriors", Dtype::F32, &log),
    ];
    write(path, &tensors)
}

fn kept_tokens(path: &Path) -> Option<Vec<TokenFeatures>> {
    let bytes = fs::read(path).ok()?;
    let stored = SafeTensors::deserialize(&bytes).ok()?;
    let times = stored.tensor("times").ok()?;
    let times = times.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
    let times: Vec<f64> = times.collect();
    let rows = floats(&stored, "rows")?;
    let count = times.len() / 2;
    let width = rows.len().checked_div(count).unwrap_or(0);
    let token = |(i, [start_s, end_s]): (usize, &[f64; 2])| TokenFeatures {
        times: (!start_s.is_nan()).then_some(TimeSpan { start_s: *start_s, end_s: *end_s }),
        row: rows[i * width..(i + 1) * width].to_vec(),
    };
    Some(times.as_chunks::<2>().0.iter().enumerate().map(token).collect())
}

fn write_tokens(path: &Path, tokens: &[TokenFeatures]) -> Result<()> {
    let times = tokens.iter().map(|t| t.times.map_or([f64::NAN; 2], |t| [t.start_s, t.end_s]));
    let times: Vec<u8> = times.flatten().flat_map(f64::to_le_bytes).collect();
    let rows = bytes(tokens.iter().flat_map(|t| &t.row));
    write(path, &[("times", Dtype::F64, &times), ("rows", Dtype::F32, &rows)])
}

fn floats(stored: &SafeTensors<'_>, name: &str) -> Option<Vec<f32>> {
    let view = stored.tensor(name).ok()?;
    Some(view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

fn bytes<'a>(values: impl Iterator<Item = &'a f32>) -> Vec<u8> {
    values.flat_map(|v| v.to_le_bytes()).collect()
}

/// Written beside and renamed, so that a run that is stopped leaves no half file.
fn write(path: &Path, tensors: &[(&str, Dtype, &Vec<u8>)]) -> Result<()> {
    let failed = |source| ErrorKind::Write { path: path.into(), source };
    let views = tensors.iter().filter_map(|(name, dtype, data)| {
        let count = data.len() * 8 / dtype.bitsize();
        Some((*name, TensorView::new(*dtype, vec![count], data).ok()?))
    });
    let serialized = safetensors::serialize(views, None)
        .map_err(|source| ErrorKind::SafeTensors { path: path.into(), source })?;
    let partial = path.with_extension("partial");
    fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
    fs::write(&partial, serialized).map_err(failed)?;
    Ok(fs::rename(&partial, path).map_err(failed)?)
}
