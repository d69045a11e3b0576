//! Weights of int8 in the order in which tiles read them.

use std::borrow::Cow;

use crate::error::ShapeError;
use crate::simd::LANES;

/// The levels of a matrix `[inputs, outputs]`, a signed byte each, where they lie or packed anew.
///
/// Panels of 16 columns, zeros beyond the last; in a panel, four levels of each column, then the next four.
#[derive(Debug, Clone, PartialEq)]
pub struct Panels {
    shape: [usize; 2],
    bytes: Cow<'static, [u8]>,
}

impl Panels {
    /// Outputs of a panel.
    pub const COLUMNS: usize = LANES;

    /// Inputs whose levels lie side by side.
    pub const INPUTS: usize = 4;

    /// Packs the levels `level(input, output)`.
    #[must_use]
    pub fn pack([inputs, outputs]: [usize; 2], level: impl Fn(usize, usize) -> i8) -> Self {
        let panels = outputs.div_ceil(LANES);
        let mut bytes = Vec::with_capacity(panels * LANES * inputs.next_multiple_of(4));
        for panel in 0..panels {
            for first in (0..inputs).step_by(4) {
                for output in panel * LANES..(panel + 1) * LANES {
                    for input in first..first + 4 {
                        let inside = input < inputs && output < outputs;
                        let level = if inside { level(input, output) } else { 0 };
                        bytes.push(level.cast_unsigned());
                    }
                }
            }
        }
        Self { shape: [inputs, outputs], bytes: bytes.into() }
    }

    /// Packs the windows of a convolution, frame after frame and channel after channel; `level(i)` is value `i` of its kernel
    /// `[outputs, inputs, width]`.
    #[must_use]
    pub fn pack_windows([outputs, inputs, width]: [usize; 3], level: impl Fn(usize) -> i8) -> Self {
        Self::pack([width * inputs, outputs], |i, output| {
            let (tap, channel) = (i / inputs, i % inputs);
            level((output * inputs + channel) * width + tap)
        })
    }

    /// Levels that lie in panels already, of which none is padded: inputs are a multiple of 4, outputs of 16.
    ///
    /// # Errors
    /// A shape that would be padded, bytes of another number.
    pub fn packed(
        [inputs, outputs]: [usize; 2],
        bytes: Cow<'static, [u8]>,
    ) -> Result<Self, ShapeError> {
        ShapeError::check("inputs in fours", inputs, inputs / Self::INPUTS * Self::INPUTS)?;
        ShapeError::check("outputs in panels", outputs, outputs / Self::COLUMNS * Self::COLUMNS)?;
        ShapeError::check("levels", bytes.len(), inputs.saturating_mul(outputs))?;
        Ok(Self { shape: [inputs, outputs], bytes })
    }

    /// `[inputs, outputs]`
    #[must_use]
    pub const fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Bytes of the levels.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Panel after panel.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let [inputs, _] = self.shape;
        self.bytes.chunks_exact((inputs.next_multiple_of(4) * LANES).max(1))
    }

    /// Sums of the levels of each column, panel by panel.
    pub(crate) fn sums(&self) -> Vec<[i32; LANES]> {
        let [_, outputs] = self.shape;
        let mut sums = vec![[0; LANES]; outputs.div_ceil(LANES)];
        for (sums, panel) in sums.iter_mut().zip(self.iter()) {
            for fours in panel.as_chunks::<{ 4 * LANES }>().0 {
                for (sum, levels) in sums.iter_mut().zip(fours.as_chunks::<4>().0) {
                    *sum += levels.iter().map(|level| i32::from(level.cast_signed())).sum::<i32>();
                }
            }
        }
        sums
    }
}
