//! Connectionist temporal classification (Graves et al. 2006): how probable a text is, and what is heard.

/// Class of the blank.
const BLANK: u8 = 0;

/// The forward algorithm in log space, in one buffer that holds one text.
#[derive(Debug)]
pub(super) struct Forward {
    /// Of each state - the characters, a blank before each and one behind the last - the log-probability of all paths
    /// that end there.
    states: Vec<f64>,
}

/// What the most probable path says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BestPath {
    /// Its log-probability.
    pub(super) log_probability: f64,
    /// Its characters: repeats merged, blanks dropped.
    pub(super) characters: usize,
}

impl Forward {
    /// Room for texts of `characters`.
    pub(super) fn new(characters: usize) -> Self {
        Self { states: Vec::with_capacity(2 * characters + 1) }
    }

    /// log P(`text` | `frames`) over all paths; minus infinity if the frames are too few. `text` in classes, `frames` of log
    /// posteriors `[classes]` each.
    pub(super) fn log_likelihood<'a>(
        &mut self,
        frames: impl Iterator<Item = &'a [f32]>,
        text: &[u8],
    ) -> f64 {
        let Self { states } = self;
        let last = 2 * text.len();
        states.clear();
        // Before the first frame all paths are where the first blank is, and nothing was said.
        states.push(0.0);
        states.resize(last + 1, f64::NEG_INFINITY);
        for frame in frames {
            // A path stays, goes on by one, or leaves out the blank between two characters that differ. From the last state
            // to the first, so that what a state is computed from is of the frame before.
            for state in (0..=last).rev() {
                let mut sum = states[state];
                if state > 0 {
                    sum = log_add(sum, states[state - 1]);
                }
                let character = if state % 2 == 1 { text[state / 2] } else { BLANK };
                if state > 2 && character != BLANK && character != text[state / 2 - 1] {
                    sum = log_add(sum, states[state - 2]);
                }
                states[state] = sum + f64::from(frame[usize::from(character)]);
            }
        }
        match states[..] {
            [.., character, blank] => log_add(character, blank),
            _ => states[0],
        }
    }
}

impl BestPath {
    /// The most probable path of `frames`, log posteriors `[classes]` each.
    pub(super) fn of<'a>(frames: impl Iterator<Item = &'a [f32]>) -> Self {
        let mut path = Self { log_probability: 0.0, characters: 0 };
        let mut before = usize::from(BLANK);
        for frame in frames {
            let mut class = 0;
            for (i, log) in frame.iter().enumerate() {
                if *log > frame[class] {
                    class = i;
                }
            }
            path.log_probability += f64::from(frame[class]);
            path.characters += usize::from(class != before && class != usize::from(BLANK));
            before = class;
        }
        path
    }
}

/// log(exp(a) + exp(b))
fn log_add(a: f64, b: f64) -> f64 {
    let (larger, smaller) = if a > b { (a, b) } else { (b, a) };
    if smaller == f64::NEG_INFINITY {
        return larger;
    }
    larger + (smaller - larger).exp().ln_1p()
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

    fn probability(log: &[Vec<f32>], path: &[usize]) -> f64 {
        log.iter().zip(path).map(|(frame, class)| f64::from(frame[*class])).sum::<f64>().exp()
    }

    fn normalised(logits: Vec<f32>) -> Vec<f32> {
        let sum = logits.iter().map(|x| x.exp()).sum::<f32>().ln();
        logits.into_iter().map(|x| x - sum).collect()
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<f32>>> {
        vec(vec(-4.0_f32..4.0, CLASSES).prop_map(normalised), 0..7)
    }

    fn slices(log: &[Vec<f32>]) -> impl Iterator<Item = &[f32]> {
        log.iter().map(Vec::as_slice)
    }

    proptest! {
        #[test]
        fn the_likelihood_is_the_sum_over_every_path_that_reads_the_text(log in frames(), text in vec(1..3_u8, 0..5)) {
            let expected: f64 = paths(log.len())
                .filter(|path| collapsed(path) == text)
                .map(|path| probability(&log, &path))
                .sum();
            let found = Forward::new(5).log_likelihood(slices(&log), &text);
            prop_assert!((found.exp() - expected).abs() <= 1e-9 * expected.max(1e-9), "{found}, expected {}", expected.ln());
            prop_assert_eq!(found == f64::NEG_INFINITY, expected <= 0.0);
        }

        #[test]
        fn the_best_path_is_the_most_probable_one(log in frames()) {
            let probable = |path: &Vec<usize>| probability(&log, path);
            let best = paths(log.len()).max_by(|a, b| probable(a).total_cmp(&probable(b))).unwrap();
            let found = BestPath::of(slices(&log));
            prop_assert!((found.log_probability - probable(&best).ln()).abs() < 1e-9);
            prop_assert_eq!(found.characters, collapsed(&best).len());
        }
    }

    #[test]
    fn likelihoods_and_what_is_heard_are_those_of_the_reference() {
        let mut forward = Forward::new(100);
        let capacity = forward.states.capacity();
        for case in reference("likelihoods") {
            let log: Vec<Vec<f32>> = serde_json::from_value(case["log"].clone()).unwrap();
            let text: Vec<u8> = serde_json::from_value(case["text"].clone()).unwrap();
            let found = forward.log_likelihood(slices(&log), &text);
            let expected = case["log_likelihood"].as_f64().unwrap_or(f64::NEG_INFINITY);
            // The reference sums in single precision.
            let close = (found - expected).abs() < 1e-5 * (1.0 - expected);
            assert!(close || found.is_infinite() && expected.is_infinite(), "{found}: {case}");
            assert_eq!(
                BestPath::of(slices(&log)).characters,
                case["heard"].as_array().unwrap().len(),
                "{case}"
            );
        }
        assert_eq!(forward.states.capacity(), capacity);
    }
}
