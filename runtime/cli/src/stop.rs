//! Signals that ask for the result so far.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether Ctrl-C was pressed or the program was told to end. A second time ends it at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Number of the signal; 0 before.
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens from here.
    pub(crate) fn listen() -> io::Result<Self> {
        let stop = Self::default();
        let was_asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&was_asked))?;
            flag::register(signal, Arc::clone(&was_asked))?;
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&stop.signal), number)?;
        }
        Ok(stop)
    }

    /// The exit code of a program that a signal ended, if one came.
    pub(crate) fn code(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
