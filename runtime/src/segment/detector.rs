//! Which frames are speech: level above an adaptive noise floor.

use hilbert_formats::manifest::Segmentation;

/// Power below digital silence, so that its level is finite: -100 dBFS.
const SILENCE: f64 = 1e-10;

/// What is kept of one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Mean power, dBFS.
    pub(super) level: f64,
    /// Whether the level stands above the floor by the margin.
    pub(super) speech: bool,
}

/// `speech_frames` of `models/reference/segment.py`, one frame at a time: the floor falls at once and rises slowly.
#[derive(Debug)]
pub(super) struct Detector {
    /// dB above the floor.
    margin: f64,
    /// dBFS.
    floor_min: f64,
    /// dBFS.
    floor_max: f64,
    /// dB a frame.
    rise: f64,
    /// dBFS.
    floor: f64,
}

impl Detector {
    pub(super) const fn new(segmentation: &Segmentation, frames_per_s: f64) -> Self {
        Self {
            margin: segmentation.margin_db,
            floor_min: segmentation.floor_min_db,
            floor_max: segmentation.floor_max_db,
            rise: segmentation.floor_rise_db_per_s / frames_per_s,
            floor: segmentation.floor_max_db,
        }
    }

    pub(super) fn frame(&mut self, samples: &[f32]) -> Frame {
        let energy: f64 = samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
        let level = 10.0 * (energy / samples.len() as f64 + SILENCE).log10();
        self.floor = level.min(self.floor + self.rise).max(self.floor_min).min(self.floor_max);
        Frame { level, speech: level > self.floor + self.margin }
    }

    pub(super) const fn reset(&mut self) {
        self.floor = self.floor_max;
    }
}
