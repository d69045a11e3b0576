//! Memory of one document does not grow with its length.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hilbert_formats::WavReader;
use hilbert_runtime::{Classifier, Model, Options};

/// The system's allocator, counting what is live and its peak.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(grown: usize, shrunk: usize) {
    let live = LIVE.fetch_add(grown, Relaxed) + grown;
    LIVE.fetch_sub(shrunk, Relaxed);
    PEAK.fetch_max(live - shrunk, Relaxed);
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller promises a layout of a size that is not 0.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller promises a layout of a size that is not 0.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller promises a pointer of this allocator, which are the system's, and its layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller promises a pointer of this allocator, its layout, and a size that is not 0.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

const RATE: usize = 16_000;

/// What a loaded model keeps beside its weights.
const BESIDE_WEIGHTS: usize = 2 << 20;

/// How much more the longer recording may take: the rows of its result.
const GROWTH: usize = 16 << 10;

/// A 16-bit mono recording that is made while it is read: seven seconds of noise, half a second of silence, and so on.
struct Recording {
    header: Vec<u8>,
    at: usize,
    bytes: usize,
    noise: u32,
}

impl Recording {
    fn new(seconds: usize) -> Self {
        let bytes = 2 * RATE * seconds;
        let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data".to_vec();
        header.extend(u32::try_from(bytes).unwrap().to_le_bytes());
        let riff = u32::try_from(bytes + 36).unwrap().to_le_bytes();
        header[4..8].copy_from_slice(&riff);
        Self { header, at: 0, bytes, noise: 1 }
    }
}

impl Read for Recording {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.header.len() + self.bytes;
        let n = buffer.len().min(end - self.at);
        for byte in &mut buffer[..n] {
            *byte = if let Some(byte) = self.header.get(self.at) {
                *byte
            } else {
                let sample = (self.at - self.header.len()) / 2;
                let speaks = sample % (RATE * 15 / 2) < 7 * RATE;
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // High bytes up to an eighth of the full scale; the low ones do not matter.
                if speaks && self.at % 2 == 1 { (self.noise >> 28) as u8 } else { 0 }
            };
            self.at += 1;
        }
        Ok(n)
    }
}

/// Peak heap of one classification above what was live before it, bytes, and the number of segments.
fn peak(classifier: &mut Classifier, seconds: usize) -> (usize, usize) {
    let recording = WavReader::new(Recording::new(seconds), "synthetic").unwrap();
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = classifier.classify(Some(recording), None, &Options::default()).unwrap();
    (PEAK.load(Relaxed) - before, result.segments.len())
}

/// Bytes of the constants that the graphs of a model hold.
fn weight_bytes(model: &Model) -> usize {
    let names = model.manifest().graph_names();
    let graphs = names.iter().filter_map(|name| model.graph(name));
    graphs.flat_map(|graph| graph.operations()).map(|operation| operation.weight_bytes).sum()
}

#[test]
fn ten_minutes_take_no_more_memory_than_two() {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/spoken-english/bundle");
    let at_start = LIVE.load(Relaxed);
    let model = Model::open(bundle).unwrap_or_else(|error| panic!("{error}"));
    let (live, weights) = (LIVE.load(Relaxed) - at_start, weight_bytes(&model));
    println!("model: {} KiB of heap, {} of weights", live >> 10, weights >> 10);
    assert!(live <= weights + BESIDE_WEIGHTS, "{live} bytes, {weights} of weights");
    let before = LIVE.load(Relaxed);
    let mut classifier = Classifier::new(model).unwrap();
    println!("classifier: {} KiB of heap", (LIVE.load(Relaxed) - before) >> 10);
    peak(&mut classifier, 20); // the engine's scratch, which it keeps
    let (short, few) = peak(&mut classifier, 120);
    let (long, many) = peak(&mut classifier, 600);
    println!(
        "peak heap above the classifier: {short} bytes with {few} segments, {long} bytes with {many}"
    );
    assert!(few >= 12 && many > 4 * few, "{few} and {many} segments");
    assert!(long <= short + GROWTH, "{long} bytes for 10 minutes, {short} for 2");
}
