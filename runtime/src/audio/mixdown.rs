//! Several channels to one.

use super::ChannelChoice;
use crate::error::{ErrorKind, Result};

/// Frames mixed at a time.
const BLOCK: usize = 1024;

/// Mixes interleaved frames to mono in one buffer of [`BLOCK`] samples.
#[derive(Debug)]
pub(super) struct Mixdown {
    channels: u16,
    /// Index of the only channel, counted from 0; `None` is the mean.
    only: Option<usize>,
    mono: Vec<f32>,
}

impl Mixdown {
    pub(super) fn new(channels: u16, channel: ChannelChoice) -> Result<Self> {
        let only = match channel {
            ChannelChoice::Mean => None,
            ChannelChoice::Only(found) if (1..=channels).contains(&found) => {
                Some(usize::from(found) - 1)
            }
            ChannelChoice::Only(found) => return Err(ErrorKind::Channel { found, channels }.into()),
        };
        Ok(Self { channels, only, mono: vec![0.0; BLOCK] })
    }

    /// Bytes of heap that its buffer takes.
    pub(super) const fn heap_bytes() -> usize {
        BLOCK * size_of::<f32>()
    }

    pub(super) fn channels(&self) -> usize {
        usize::from(self.channels)
    }

    /// Takes whole frames.
    pub(super) fn push(
        &mut self,
        interleaved: &[f32],
        mut on_mono: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let channels = usize::from(self.channels);
        if channels == 1 {
            return if interleaved.is_empty() { Ok(()) } else { on_mono(interleaved) };
        }
        let share = 1.0 / f32::from(self.channels);
        for block in interleaved.chunks(BLOCK * channels) {
            let frames = block.chunks_exact(channels);
            let mono = &mut self.mono[..frames.len()];
            for (sample, frame) in mono.iter_mut().zip(frames) {
                *sample = self
                    .only
                    .map_or_else(|| frame.iter().sum::<f32>() * share, |channel| frame[channel]);
            }
            on_mono(mono)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(channels: u16, channel: ChannelChoice, interleaved: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        let mut mixdown = Mixdown::new(channels, channel).unwrap();
        mixdown
            .push(interleaved, |mono| {
                out.extend_from_slice(mono);
                Ok(())
            })
            .unwrap();
        out
    }

    #[test]
    fn the_mean_of_the_channels_and_single_channels_come_out_in_order() {
        let interleaved: Vec<f32> = (0..3 * 5000).map(|i| i as f32).collect();
        let first: Vec<f32> = (0..5000).map(|i| (3 * i) as f32).collect();
        let middle: Vec<f32> = first.iter().map(|x| x + 1.0).collect();
        assert_eq!(mixed(3, ChannelChoice::Only(1), &interleaved), first);
        assert_eq!(mixed(3, ChannelChoice::Only(2), &interleaved), middle);
        let mean = mixed(3, ChannelChoice::Mean, &interleaved);
        assert!(mean.iter().zip(&middle).all(|(a, b)| (a - b).abs() <= b * 1e-6));
    }

    #[test]
    fn a_channel_that_is_not_there_is_refused() {
        for (channels, channel) in [(2, ChannelChoice::Only(0)), (2, ChannelChoice::Only(3))] {
            let error = Mixdown::new(channels, channel).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Channel { .. }),
                "{channels} {channel:?}: {error}"
            );
        }
    }
}
