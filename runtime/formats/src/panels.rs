//! The order in which int8 weights lie in the graphs of a bundle, so that kernels read them where they are.
//!
//! Weights of which every 16 outputs are a panel, and in it every four inputs of each output side by side, stand in a graph as
//! a constant in that order, which a `Transpose` and a `Reshape` bring into the order of their own shape: plain ONNX, which any runtime
//! folds into a constant. `docs/bundle-format.md` is normative.

/// The panels of weights of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panels {
    stored: Vec<usize>,
    permutation: Vec<usize>,
}

impl Panels {
    /// Outputs of a panel.
    pub const COLUMNS: usize = 16;

    /// Inputs whose levels lie side by side.
    pub const INPUTS: usize = 4;

    /// Those of a matrix, `[inputs, outputs]` or, where `axis`, that of the outputs, is 0, `[outputs, inputs]`, or of the kernel of
    /// a convolution over time, `[outputs, inputs, taps]`, whose windows lie tap after tap. `None` for another shape, and for one of
    /// which a panel would not be full.
    #[must_use]
    pub fn of(shape: &[usize], axis: usize) -> Option<Self> {
        let full = |inputs: usize, outputs: usize| {
            let fits = inputs.is_multiple_of(Self::INPUTS) && outputs.is_multiple_of(Self::COLUMNS);
            fits.then_some((inputs / Self::INPUTS, outputs / Self::COLUMNS))
        };
        let (stored, permutation) = match (shape, axis) {
            (&[inputs, outputs], 1) => {
                let (fours, panels) = full(inputs, outputs)?;
                (vec![panels, fours, Self::COLUMNS, Self::INPUTS], vec![1, 3, 0, 2])
            }
            (&[outputs, inputs], 0) => {
                let (fours, panels) = full(inputs, outputs)?;
                (vec![panels, fours, Self::COLUMNS, Self::INPUTS], vec![0, 2, 1, 3])
            }
            (&[outputs, inputs, taps], 0) => {
                let (fours, panels) = full(inputs, outputs)?;
                (vec![panels, taps, fours, Self::COLUMNS, Self::INPUTS], vec![0, 3, 2, 4, 1])
            }
            _ => return None,
        };
        Some(Self { stored, permutation })
    }

    /// Shape of the constant.
    #[must_use]
    pub fn stored(&self) -> &[usize] {
        &self.stored
    }

    /// Which of its dimensions are those of its `Transpose`, in order.
    #[must_use]
    pub fn permutation(&self) -> &[usize] {
        &self.permutation
    }

    /// Of each value of the constant, in order, its place among the weights in the order of their own shape.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let mut strides = vec![0; self.stored.len()];
        let mut stride = 1;
        for &dimension in self.permutation.iter().rev() {
            strides[dimension] = stride;
            stride *= self.stored[dimension];
        }
        (0..stride).map(move |mut at| {
            let mut place = 0;
            for (length, stride) in self.stored.iter().zip(&strides).rev() {
                place += at % length * stride;
                at /= length;
            }
            place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a weight lies, by the definition: panel, tap, step, column, input of the step.
    fn place_in_panels(
        [inputs, taps]: [usize; 2],
        output: usize,
        input: usize,
        tap: usize,
    ) -> usize {
        let (panel, column) = (output / 16, output % 16);
        let (step, side) = (input / 4, input % 4);
        (((panel * taps + tap) * (inputs / 4) + step) * 16 + column) * 4 + side
    }

    #[test]
    fn every_weight_lies_where_the_definition_says() {
        let (outputs, inputs) = (48, 12);
        for (shape, axis, taps) in [
            (vec![inputs, outputs], 1, 1),
            (vec![outputs, inputs], 0, 1),
            (vec![outputs, inputs, 3], 0, 3),
        ] {
            let panels = Panels::of(&shape, axis).expect("a shape that fits");
            let places: Vec<usize> = panels.places().collect();
            assert_eq!(places.len(), outputs * inputs * taps);
            for (output, input, tap) in (0..outputs)
                .flat_map(|o| (0..inputs).flat_map(move |i| (0..taps).map(move |t| (o, i, t))))
            {
                let at = place_in_panels([inputs, taps], output, input, tap);
                let of_shape = match axis {
                    1 => input * outputs + output,
                    _ => (output * inputs + input) * taps + tap,
                };
                assert_eq!(places[at], of_shape, "{shape:?} {output} {input} {tap}");
            }
        }
    }

    #[test]
    fn shapes_that_would_be_padded_have_no_panels() {
        let rows: [(&[usize], usize); 7] = [
            (&[14, 32], 1),
            (&[16, 24], 1),
            (&[24, 16], 0),
            (&[16, 3, 4], 0),
            (&[16, 4, 4], 1),
            (&[64], 0),
            (&[16, 4, 2, 2], 0),
        ];
        for (shape, axis) in rows {
            assert_eq!(Panels::of(shape, axis), None, "{shape:?}");
        }
    }
}
