//! What a document cost.

use std::fs;
use std::time::{Duration, Instant};

use super::result::Run;

/// Time spent since the document began, by stage.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    pub(super) log_mel: Lap,
    pub(super) speech_encoder: Lap,
    pub(super) text_encoder: Lap,
    pub(super) alignment: Lap,
    pub(super) fusion: Lap,
    /// When the first lap began.
    started: Option<Instant>,
}

/// Time spent in one stage.
#[derive(Debug, Default)]
pub(super) struct Lap(Duration);

impl Lap {
    pub(super) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = work();
        self.0 += started.elapsed();
        value
    }
}

impl Stopwatch {
    /// Starts the total; a second start changes nothing.
    pub(super) fn start(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// What rows of the recording took so far behind the encoder.
    pub(super) fn of_rows(&self) -> Duration {
        self.alignment.0 + self.fusion.0
    }

    /// Counts a lap as the speech encoder's, without what rows took in it, of which there was so much `before`.
    pub(super) fn add_encoding(&mut self, lap: Lap, before: Duration) {
        self.speech_encoder.0 += lap.0.saturating_sub(self.of_rows() - before);
    }

    /// The values so far, for a recording of `duration_s` seconds.
    pub(super) fn read(&self, duration_s: Option<f64>) -> Run {
        let total_s =
            self.started.map_or(Duration::ZERO, |started| started.elapsed()).as_secs_f64();
        Run {
            total_s,
            log_mel_s: self.log_mel.0.as_secs_f64(),
            speech_encoder_s: self.speech_encoder.0.as_secs_f64(),
            text_encoder_s: self.text_encoder.0.as_secs_f64(),
            alignment_s: self.alignment.0.as_secs_f64(),
            fusion_s: self.fusion.0.as_secs_f64(),
            real_time_factor: duration_s
                .filter(|seconds| *seconds > 0.0)
                .map(|seconds| total_s / seconds),
            peak_resident_bytes: peak_resident_bytes(),
        }
    }
}

/// `VmHWM` of this process, where the system has `/proc`.
fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
