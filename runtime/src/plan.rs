//! The memory that a model and a session take, known before a graph is loaded.
//!
//! The manifest carries what each graph was measured to take; what the stages allocate follows from the manifest's constants and from
//! [`Capacities`]. Everything is heap: what is asked of the allocator, and a 32nd of it for the allocator itself. The program's own
//! pages and its stack come on top.

use hilbert_formats::manifest::{self, HeapUse, LoadUse, TensorEntry};
use hilbert_formats::wav::BUFFER_BYTES;
use hilbert_formats::{Bundle, Cue, Manifest};
use serde::Serialize;

use crate::alignment::Alignment;
use crate::audio::{AudioStream, PcmFormat};
use crate::classifier::BLOCK_SAMPLES;
use crate::error::{Error, ErrorKind, Result};
use crate::features::{LogMel, TokenRows};
use crate::fusion::Fusion;
use crate::segment::Segmenter;
use crate::session::{Capacities, CueResult, CueScore, MIN_ROWS, SegmentResult};

/// Bytes of heap, by what takes them. Serialised it is a `hilbert.plan/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Always `hilbert.plan/1`. Fields are only added within it.
    pub schema: &'static str,
    /// Name of the bundle.
    pub bundle: String,
    /// Rows of each modality that the session keeps.
    pub n_max: usize,
    /// The most that is live at one time: the larger of what loading takes and the sum of the components.
    pub total: u64,
    /// The most that is live while the model is loaded.
    pub loading: u64,
    /// What there is while a document is classified.
    pub components: Vec<Component>,
}

/// A part of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// What it is, in a word or two.
    pub name: &'static str,
    /// Bytes of heap.
    pub bytes: u64,
}

/// What the engine and this crate take once a process: tables of operations, the bundle's index and manifest.
const PROGRAM: usize = 128 << 10;

/// Bytes of the manifest in memory for one in the file: three copies of its values.
const OF_MANIFEST: usize = 6;

/// Between a recording's file and its samples: the buffer of the file.
const FILE_BUFFER: usize = 8 << 10;

/// What an allocator needs beside what it is asked for, one part in so many: an array in which the first gap that fits is taken was
/// measured to need a 65th.
const ALLOCATOR: usize = 32;

/// Text of a result as JSON, bytes for each of its rows, and how often it is there: as it grows, and escaped.
const JSON_ROW: usize = 200;
const JSON_COPIES: usize = 3;

impl Plan {
    /// What the model of `bundle` takes with one session of these capacities, for a recording of this format; with no format, one of
    /// one channel at the model's own rate.
    ///
    /// # Errors
    /// [`ErrorKind::Bundle`] for a bundle whose manifest has no figures of memory, [`ErrorKind::Capacity`] for capacities outside of
    /// their range, [`ErrorKind::Formats`] if the vocabulary cannot be read, [`ErrorKind::Setting`] for constants that do not fit.
    pub fn new(
        bundle: &Bundle,
        capacities: &Capacities,
        format: Option<PcmFormat>,
    ) -> Result<Self> {
        let manifest = bundle.manifest();
        capacities.check(manifest)?;
        let graphs = Graphs::of(bundle)?;
        let vocabulary = bundle.read(manifest.text.vocabulary())?;
        let of_vocabulary = if bundle.is_in_place() { 0 } else { vocabulary.len() };
        let of_own_rate = PcmFormat { sample_rate: manifest.audio.sample_rate, channels: 1 };
        let stream = AudioStream::heap_bytes(format.unwrap_or(of_own_rate), &manifest.audio);
        let Capacities { n_max, waiting_text, cues, threads } = *capacities;
        let transcript = waiting_text + cues * size_of::<Cue>();
        let result = result_bytes(manifest, n_max, cues);
        let program = PROGRAM + OF_MANIFEST * manifest.to_json().len();
        let mut components = vec![
            ("program", program + of_vocabulary),
            ("weights", graphs.resident),
            ("kernels", graphs.scratch * threads),
            ("graph run", (graphs.run_peak * threads).max(result)),
            ("recording", BUFFER_BYTES + FILE_BUFFER + BLOCK_SAMPLES * size_of::<f32>() + stream),
            ("segments", Segmenter::heap_bytes(&manifest.segmentation, &manifest.audio)?),
            ("features", LogMel::heap_bytes(&manifest.features)),
            ("tokens", TokenRows::heap_bytes(&manifest.text, &vocabulary)),
            ("fusion", Fusion::heap_bytes(&manifest.fusion, n_max) + encoded(manifest)),
            ("alignment", alignment_bytes(manifest, waiting_text, cues)?),
            ("transcript", transcript),
            ("threads", lanes_bytes(manifest, threads)?),
        ];
        let asked: usize = components.iter().map(|(_, bytes)| bytes).sum();
        components.push(("allocator", asked / ALLOCATOR));
        let sum = (asked + asked / ALLOCATOR) as u64;
        // The front end is made once to see whether it can be, before any graph is there.
        let loading = program + of_vocabulary + graphs.load_peak + transcript;
        let loading = (loading + loading / ALLOCATOR) as u64;
        Ok(Self {
            schema: "hilbert.plan/1",
            bundle: manifest.name.clone(),
            n_max,
            total: loading.max(sum),
            loading,
            components: components
                .into_iter()
                .map(|(name, bytes)| Component { name, bytes: bytes as u64 })
                .collect(),
        })
    }

    /// The plan of most rows, at most those of `capacities`, that takes no more than `most` bytes, and the capacities that it is of.
    ///
    /// # Errors
    /// [`ErrorKind::Budget`] if even [`MIN_ROWS`] take more; else as [`Plan::new`].
    pub fn within(
        bundle: &Bundle,
        capacities: &Capacities,
        format: Option<PcmFormat>,
        most: u64,
    ) -> Result<(Self, Capacities)> {
        let with = |n_max| {
            let capacities = Capacities { n_max, ..*capacities };
            Ok::<_, Error>((Self::new(bundle, &capacities, format)?, capacities))
        };
        let all = with(capacities.n_max)?;
        if all.0.total <= most {
            return Ok(all);
        }
        let mut least = with(capacities.n_max.min(MIN_ROWS))?;
        if least.0.total > most {
            let what = "bytes of heap that the plan needs";
            return Err(ErrorKind::Budget { what, found: least.0.total, most }.into());
        }
        // The total rises with the rows.
        let (mut fits, mut does_not) = (least.1.n_max, capacities.n_max);
        while fits + 1 < does_not {
            let middle = usize::midpoint(fits, does_not);
            let found = with(middle)?;
            if found.0.total <= most {
                (fits, least) = (middle, found);
            } else {
                does_not = middle;
            }
        }
        Ok(least)
    }
}

/// What the graphs take together, bytes.
struct Graphs {
    resident: usize,
    scratch: usize,
    run_peak: usize,
    load_peak: usize,
}

impl Graphs {
    fn of(bundle: &Bundle) -> Result<Self> {
        let (manifest, is_in_place) = (bundle.manifest(), bundle.is_in_place());
        let mut all = Self { resident: 0, scratch: 0, run_peak: 0, load_peak: 0 };
        for (_, entry, file) in manifest.graphs_by_size() {
            let Some(memory) = entry.memory else {
                return Err(ErrorKind::Bundle {
                    what: format!("memory of {}", entry.file),
                    found: "no figures".to_owned(),
                    expected: "those that hilbert-export writes".to_owned(),
                }
                .into());
            };
            let heap = memory.of_this_program();
            let LoadUse { load_peak, resident } = heap.load(is_in_place);
            let HeapUse { scratch, run_peak, .. } = heap;
            let file = if is_in_place { 0 } else { file };
            let [load_peak, resident, scratch, run_peak, file] =
                [load_peak, resident, scratch, run_peak, file].map(in_memory);
            all.load_peak = all.load_peak.max(all.resident + file + load_peak);
            all.resident += resident;
            all.scratch += scratch;
            all.run_peak = all.run_peak.max(run_peak);
        }
        Ok(all)
    }
}

/// A figure that a manifest bounds at 4 GiB, and a program of 32 bits has no room for anyway.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX / 8)
}

/// What the encoders give, once each.
fn encoded(manifest: &Manifest) -> usize {
    ["speech_encoder", "text_encoder"].iter().map(|graph| output_bytes(manifest, graph, 0)).sum()
}

/// Bytes of output `i` of a graph.
fn output_bytes(manifest: &Manifest, graph: &str, i: usize) -> usize {
    let output = manifest.graphs.get(graph).and_then(|entry| entry.outputs.get(i));
    output.map_or(0, |TensorEntry { shape, .. }| shape.iter().product::<usize>() * size_of::<f32>())
}

fn alignment_bytes(manifest: &Manifest, waiting_text: usize, cues: usize) -> Result<usize> {
    let Some(constants) = &manifest.alignment else { return Ok(0) };
    let alignment = Alignment::new(constants, &manifest.features, &manifest.audio)?;
    let frames = output_bytes(manifest, "speech_encoder", 1);
    let log_posteriors = output_bytes(manifest, "alignment", 0);
    Ok(alignment.heap_bytes(waiting_text, cues) + frames + log_posteriors)
}

/// What segments that are encoded together wait in.
fn lanes_bytes(manifest: &Manifest, threads: usize) -> Result<usize> {
    if threads == 1 {
        return Ok(0);
    }
    let samples = Segmenter::longest(&manifest.segmentation, &manifest.audio)?;
    let lane = samples * size_of::<f32>()
        + LogMel::heap_bytes(&manifest.features)
        + output_bytes(manifest, "speech_encoder", 0)
        + output_bytes(manifest, "speech_encoder", 1);
    Ok(threads * lane)
}

/// A classification and its text.
fn result_bytes(manifest: &Manifest, n_max: usize, cues: usize) -> usize {
    let manifest::Fusion { width, .. } = manifest.fusion;
    let rows = n_max * (size_of::<SegmentResult>() + size_of::<CueResult>());
    let scores = if manifest.alignment.is_some() { cues } else { 0 };
    let text = (2 * n_max + scores) * JSON_ROW * JSON_COPIES;
    rows + scores * size_of::<CueScore>() + 8 * width * size_of::<f32>() + text
}
