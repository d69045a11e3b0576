//! The plan holds for a whole program: one whose entire heap is an array of the planned size classifies the golden recordings, and one
//! whose heap is smaller is refused by the plan before any graph is loaded.
//!
//! A program of its own, without the test harness, which allocates as it likes: the parent plans, and starts itself with that much
//! heap as the child.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and this one is a program"
)]

#[path = "memory/bundles.rs"]
mod bundles;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr::NonNull;

use hilbert_formats::Transcript;
use hilbert_runtime::{Capacities, Classifier, Model, Options, Plan};
use linked_list_allocator::LockedHeap;

use crate::bundles::{IN_PLACE, open};

/// Bytes of the array: what a child is granted is the first part of it.
const ARRAY: usize = 64 << 20;
/// What a program has before it knows how much it is granted.
const AT_FIRST: usize = 256 << 10;

#[repr(align(4096))]
struct Array(UnsafeCell<[u8; ARRAY]>);

// SAFETY: only the allocator takes its address, and hands out each byte to one owner at a time.
unsafe impl Sync for Array {}

static ARRAY_OF_HEAP: Array = Array(UnsafeCell::new([0; ARRAY]));

/// A heap in the array.
struct Fixed(LockedHeap);

#[global_allocator]
static HEAP: Fixed = Fixed(LockedHeap::empty());

impl Fixed {
    /// Bytes that can be allocated in all.
    fn grant(&self, bytes: usize) {
        let mut heap = self.0.lock();
        let more = bytes.min(ARRAY).saturating_sub(heap.size());
        // SAFETY: what follows the heap's part of the array is in the array, up to its end, and nobody else's.
        unsafe { heap.extend(more) };
    }
}

// SAFETY: blocks are those of `linked_list_allocator`; where there is no room the program ends.
unsafe impl GlobalAlloc for Fixed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.lock();
        if heap.size() == 0 {
            // SAFETY: the array is static, and this is done once, under the lock.
            unsafe { heap.init(ARRAY_OF_HEAP.0.get().cast(), AT_FIRST) };
        }
        match heap.allocate_first_fit(layout) {
            Ok(block) => block.as_ptr(),
            // Whoever tells of it would allocate. The parent sees the signal.
            Err(()) => std::process::abort(),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the caller promises a block of this allocator and its layout.
            unsafe { self.0.lock().deallocate(pointer, layout) };
        }
    }
}

fn path(from_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(from_root)
}

/// Bundles with the recordings that their golden files are cut from.
const DOCUMENTS: [(&str, &str); 3] = [
    (IN_PLACE, "session"),
    ("spoken-english", "session"),
    ("consultations", "synthetic-interview"),
];

/// The result of a document as JSON, or why there is none, with at most so much heap.
fn classified(bundle: &str, name: &str, most: u64) -> Result<String, hilbert_runtime::Error> {
    let bundle = open(bundle)?;
    let [wav, srt] = ["wav", "srt"].map(|kind| path(&format!("examples/data/{name}.{kind}")));
    let transcript = Transcript::open(&srt)?;
    let capacities = Capacities::of(bundle.manifest()).with_transcript(Some(&transcript));
    let plan = Plan::new(&bundle, &capacities, None)?;
    if plan.total > most {
        let (_, fewer) = Plan::within(&bundle, &capacities, None, most)?;
        panic!("{} rows fit, and all were asked for", fewer.n_max);
    }
    let model = Model::from_bundle(&bundle)?;
    let mut classifier = Classifier::with_capacities(model, &capacities)?;
    drop(transcript);
    let result = classifier.classify_file(Some(&wav), Some(&srt), &Options::default())?;
    Ok(serde_json::to_string(&result).unwrap())
}

/// What a classifier of the document needs at least, and with all its rows.
fn planned(bundle: &str, name: &str) -> [u64; 2] {
    let bundle = open(bundle).unwrap();
    let transcript = Transcript::open(path(&format!("examples/data/{name}.srt"))).unwrap();
    let mut capacities = Capacities::of(bundle.manifest()).with_transcript(Some(&transcript));
    let all = Plan::new(&bundle, &capacities, None).unwrap().total;
    capacities.n_max = hilbert_runtime::MIN_ROWS;
    [Plan::new(&bundle, &capacities, None).unwrap().total, all]
}

fn child(bundle: &str, name: &str, heap: u64) -> Output {
    let arguments = [bundle, name, &heap.to_string()];
    Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [bundle, name, heap] = &arguments[..]
        && let Ok(heap) = heap.parse::<u64>()
    {
        HEAP.grant(usize::try_from(heap).unwrap());
        match classified(bundle, name, heap) {
            Ok(json) => println!("{json}"),
            Err(error) => println!("{} {error}", error.code()),
        }
        return;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        println!("fixed_heap: test");
        return;
    }
    HEAP.grant(ARRAY);
    for (bundle, name) in DOCUMENTS {
        let expected = classified(bundle, name, u64::MAX).unwrap();
        let [least, all] = planned(bundle, name);
        let Output { status, stdout, stderr } = child(bundle, name, all);
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{bundle} in {all} bytes: {status}: {said}");
        assert_eq!(String::from_utf8(stdout).unwrap().trim_end(), expected, "{bundle}");
        // Far too little to load a model: an allocation that fails would abort.
        for heap in [least - 1, 4 << 20] {
            let Output { status, stdout, .. } = child(bundle, name, heap);
            let message = format!(
                "5 memory: found {least} bytes of heap that the plan needs, expected at most {heap}\n"
            );
            assert!(status.success(), "{bundle} in {heap} bytes: {status}");
            assert_eq!(String::from_utf8(stdout).unwrap(), message);
        }
        println!("{bundle}: {name} classified in a heap of {all} bytes, refused in {}", least - 1);
    }
}
