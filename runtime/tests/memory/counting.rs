//! The system's allocator, counting what is live and its peak.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every allocation of the program goes through it.
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

/// One test at a time counts.
static TURN: Mutex<()> = Mutex::new(());

/// What is live above the start, and its peak.
pub(crate) struct Count {
    start: usize,
    _turn: MutexGuard<'static, ()>,
}

impl Count {
    /// Counts from here.
    pub(crate) fn start() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let start = LIVE.load(Relaxed);
        PEAK.store(start, Relaxed);
        Self { start, _turn: turn }
    }

    /// Bytes that are live now.
    pub(crate) fn live(&self) -> usize {
        LIVE.load(Relaxed) - self.start
    }

    /// The most that were live, since the last call or the start.
    pub(crate) fn peak(&self) -> usize {
        PEAK.swap(LIVE.load(Relaxed), Relaxed) - self.start
    }
}
