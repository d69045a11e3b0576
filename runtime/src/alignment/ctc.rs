//! Connectionist temporal classification (Graves et al. 2006): how well a text fits what is heard.

/// Class of the blank.
const BLANK: u8 = 0;

/// The search for the best path, in one buffer that holds one text.
#[derive(Debug)]
pub(super) struct Viterbi {
    /// Of each character, how well the best path fits that ends in it, and how well the one that ends in the blank before it.
    states: Vec<[f64; 2]>,
}

impl Viterbi {
    /// Room for texts of `characters`.
    pub(super) fn new(characters: usize) -> Self {
        Self { states: Vec::with_capacity(characters) }
    }

    /// How well `text` fits `frames`, wherever in them it is said: of the path that reads it and fits best, the
    /// log-probability, of each frame less that of the most probable class. At most 0; minus infinity if the frames are too
    /// few.
    ///
    /// `text` in classes, `frames` of log posteriors `[classes]` each. What is said before and after the text
    /// costs nothing: the first and the last blank fit whatever is heard. `fits` of `models/reference/alignment.py`, there
    /// divided by the characters.
    pub(super) fn fit<'a>(&mut self, frames: impl Iterator<Item = &'a [f32]>, text: &[u8]) -> f64 {
        let Self { states } = self;
        states.clear();
        states.resize(text.len(), [f64::NEG_INFINITY; 2]);
        // Before the first frame every path is where the first blank is, and nothing was said.
        let Some([_, first]) = states.first_mut() else { return 0.0 };
        *first = 0.0;
        let mut behind = f64::NEG_INFINITY;
        for frame in frames {
            let most = frame.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let relative = |class: u8| f64::from(frame[usize::from(class)]) - f64::from(most);
            let mut of_blank = 0.0;
            // Of the frame before: where the character ended that comes before this one, and which it is.
            let (mut before, mut class_before) = (f64::NEG_INFINITY, BLANK);
            // A path stays, goes on by one, or leaves out the blank between two characters that differ.
            for ([character, blank], &class) in states.iter_mut().zip(text) {
                let mut best = character.max(*blank);
                if class != class_before {
                    best = best.max(before);
                }
                *blank = blank.max(before) + of_blank;
                (before, class_before) = (*character, class);
                *character = best + relative(class);
                of_blank = relative(BLANK);
            }
            behind = behind.max(before);
        }
        states.last().map_or(behind, |[character, _]| behind.max(*character))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::alignment::tests::reference;

    /// Classes of the frames below.
    const CLASSES: usize = 3;

    /// A path's characters: repeats merged, blanks dropped.
    fn collapsed(path: &[usize]) -> Vec<u8> {
        let mut path = path.to_vec();
        path.dedup();
        path.iter()
            .filter(|class| **class != 0)
            .map(|class| u8::try_from(*class).unwrap())
            .collect()
    }

    /// Every path through `frames` frames.
    fn paths(frames: usize) -> impl Iterator<Item = Vec<usize>> {
        let count = CLASSES.pow(u32::try_from(frames).unwrap());
        (0..count).map(move |number| {
            (0..frames)
                .scan(number, |rest, _| {
                    let class = *rest % CLASSES;
                    *rest /= CLASSES;
                    Some(class)
                })
                .collect()
        })
    }

    /// A path's log-probability, less that of the best one.
    fn relative(log: &[Vec<f32>], path: &[usize]) -> f64 {
        let of = |(frame, class): (&Vec<f32>, &usize)| {
            f64::from(frame[*class]) - f64::from(frame.iter().copied().fold(f32::MIN, f32::max))
        };
        log.iter().zip(path).map(of).sum()
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<f32>>> {
        vec(vec(-8.0_f32..0.0, CLASSES), 0..6)
    }

    /// Both minus infinity, or all but equal.
    fn close(a: f64, b: f64) -> bool {
        a.is_infinite() && b.is_infinite() || (a - b).abs() < 1e-9
    }

    fn slices(log: &[Vec<f32>]) -> impl Iterator<Item = &[f32]> {
        log.iter().map(Vec::as_slice)
    }

    proptest! {
        #[test]
        fn the_fit_is_that_of_the_best_place_and_path_of_the_text(log in frames(), text in vec(1..3_u8, 1..5)) {
            let places = (0..=log.len()).flat_map(|first| (first..=log.len()).map(move |last| first..last));
            let expected = places
                .flat_map(|place| {
                    let log = &log[place];
                    let reads = paths(log.len()).filter(|path| collapsed(path) == text);
                    reads.map(|path| relative(log, &path)).collect::<Vec<_>>()
                })
                .fold(f64::NEG_INFINITY, f64::max);
            let found = Viterbi::new(5).fit(slices(&log), &text);
            prop_assert!(close(found, expected), "{found}, expected {expected}");
        }
    }

    #[test]
    fn fits_are_those_of_the_reference() {
        let mut viterbi = Viterbi::new(100);
        let capacity = viterbi.states.capacity();
        for case in reference("fits") {
            let log: Vec<Vec<f32>> = serde_json::from_value(case["log"].clone()).unwrap();
            let text: Vec<u8> = serde_json::from_value(case["text"].clone()).unwrap();
            let found = viterbi.fit(slices(&log), &text) / text.len() as f64;
            let expected = case["fit"].as_f64().unwrap_or(f64::NEG_INFINITY);
            assert!(close(found, expected), "{found}: {case}");
        }
        assert_eq!(viterbi.states.capacity(), capacity);
    }
}
