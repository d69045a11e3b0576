//! The log posteriors of the latest frames of a recording.

/// A ring of frames in order of their time. Memory is allocated and written once, when it is made.
#[derive(Debug)]
pub(super) struct Posteriors {
    classes: usize,
    /// `[capacity, classes]`; frame i stands in row i modulo the capacity.
    log: Box<[f32]>,
    /// `[capacity]`: the middle of each frame, seconds.
    middles_s: Box<[f64]>,
    /// Frames pushed.
    pushed: usize,
    /// Middle of the latest frame that is gone, seconds.
    gone_s: f64,
}

impl Posteriors {
    /// A ring of `capacity` frames of `classes` values; both are at least 1.
    pub(super) fn new(capacity: usize, classes: usize) -> Self {
        Self {
            classes,
            // Not zeros, which the system hands out without memory behind them.
            log: vec![f32::NAN; capacity * classes].into(),
            middles_s: vec![f64::NAN; capacity].into(),
            pushed: 0,
            gone_s: f64::NEG_INFINITY,
        }
    }

    pub(super) fn clear(&mut self) {
        self.pushed = 0;
        self.gone_s = f64::NEG_INFINITY;
    }

    /// Takes the next frame; beyond the capacity the oldest one goes. `middle_s` is later than any before.
    pub(super) fn push(&mut self, middle_s: f64, log: &[f32]) {
        let row = self.pushed % self.capacity();
        if self.pushed >= self.capacity() {
            self.gone_s = self.middles_s[row];
        }
        self.middles_s[row] = middle_s;
        self.log[row * self.classes..][..self.classes].copy_from_slice(log);
        self.pushed += 1;
    }

    /// Middle of the latest frame, seconds.
    pub(super) fn latest_s(&self) -> Option<f64> {
        self.pushed.checked_sub(1).map(|i| self.middles_s[i % self.capacity()])
    }

    /// The frames whose middles lie from `first_s` to `last_s`, in order; `None` if one of them is gone.
    ///
    /// `Posteriors.between` of `models/reference/alignment.py`, its margin apart.
    pub(super) fn between(
        &self,
        first_s: f64,
        last_s: f64,
    ) -> Option<impl Iterator<Item = &[f32]> + Clone> {
        let oldest = self.pushed.saturating_sub(self.capacity());
        (self.gone_s < first_s).then(|| {
            (oldest..self.pushed)
                .map(|i| i % self.capacity())
                .filter(move |row| (first_s..=last_s).contains(&self.middles_s[*row]))
                .map(|row| &self.log[row * self.classes..][..self.classes])
        })
    }

    fn capacity(&self) -> usize {
        self.middles_s.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Posteriors;

    /// Ten frames of one class, each of which holds its number; the middle of frame i is at i + 0.5 s.
    fn ten(capacity: usize) -> Posteriors {
        let mut posteriors = Posteriors::new(capacity, 1);
        (0..10_u8).for_each(|i| posteriors.push(f64::from(i) + 0.5, &[f32::from(i)]));
        posteriors
    }

    fn between(posteriors: &Posteriors, first_s: f64, last_s: f64) -> Option<Vec<f32>> {
        posteriors.between(first_s, last_s).map(|frames| frames.map(|frame| frame[0]).collect())
    }

    #[test]
    fn frames_are_found_by_their_middles_as_long_as_none_of_them_is_gone() {
        let rows: [(usize, f64, f64, Option<&[f32]>); 10] = [
            (10, 2.3, 4.6, Some(&[2.0, 3.0, 4.0])),
            (10, 2.5, 4.5, Some(&[2.0, 3.0, 4.0])),
            (10, -1.0, 0.2, Some(&[])),
            (10, 9.6, 99.0, Some(&[])),
            (20, 8.0, 99.0, Some(&[8.0, 9.0])),
            (4, 6.2, 7.9, Some(&[6.0, 7.0])),
            (4, 5.6, 7.9, Some(&[6.0, 7.0])),
            (4, 5.5, 7.9, None),
            (4, 0.0, 0.1, None),
            (1, 9.0, 10.0, Some(&[9.0])),
        ];
        let failed: Vec<_> = rows
            .iter()
            .filter(|(capacity, first_s, last_s, expected)| {
                between(&ten(*capacity), *first_s, *last_s).as_deref() != *expected
            })
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn a_cleared_ring_is_as_a_new_one() {
        let mut posteriors = ten(4);
        assert_eq!(posteriors.latest_s(), Some(9.5));
        posteriors.clear();
        assert_eq!((posteriors.latest_s(), between(&posteriors, 0.0, 9.9)), (None, Some(vec![])));
    }
}
