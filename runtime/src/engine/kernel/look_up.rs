//! Rows of a table of int8 that are chosen by their numbers, such as the embeddings of tokens. The table stays where the bundle
//! is: of tens of thousands of rows a document takes some hundred.

use hilbert_formats::bundle::Records;
use hilbert_kernels::{Isa, ShapeError, unfold_row};

use super::Fault;

/// A table of int8 with a scale for each row.
pub(in crate::engine) struct LookUp {
    rows: Records,
    scales: Box<[f32]>,
}

impl LookUp {
    /// As many scales as rows.
    pub(in crate::engine) fn new(rows: Records, scales: Vec<f32>) -> Option<Self> {
        (rows.count() == scales.len()).then(|| Self { rows, scales: scales.into() })
    }

    /// Values of a row.
    pub(super) const fn width(&self) -> usize {
        self.rows.length()
    }

    /// Bytes of the levels and scales, wherever they lie.
    pub(super) fn bytes(&self) -> usize {
        self.rows.count() * self.rows.length() + size_of_val(&*self.scales)
    }

    /// Writes the rows of these numbers to `out`, `[count, width]`; numbers below 0 count from behind. Numbers are whole, as floats.
    pub(super) fn run(&self, isa: Isa, numbers: &[f32], out: &mut [f32]) -> Result<(), Fault> {
        let expected = numbers.len() * self.width();
        if out.len() != expected {
            let found = out.len();
            return Err(ShapeError { what: "values of the rows", found, expected }.into());
        }
        let mut row = vec![0; self.width()];
        for (number, out) in numbers.iter().zip(out.chunks_exact_mut(self.width().max(1))) {
            let i = self.index(*number)?;
            unfold_row(isa, self.rows.read(i, &mut row)?, self.scales[i], out)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    #[expect(clippy::cast_precision_loss, reason = "a float tells no more")]
    fn index(&self, number: f32) -> Result<usize, ShapeError> {
        let rows = self.scales.len();
        if !(-(rows as f32)..rows as f32).contains(&number) {
            let found = number.abs() as usize;
            return Err(ShapeError { what: "number of a row", found, expected: rows });
        }
        Ok(if number < 0.0 { rows - (-number) as usize } else { number as usize })
    }
}
