//! Symmetric int8 weights with one scale for each output channel, equal to `checkpoint.round_trip_int8` of the reference.

/// Weights of fewer elements stay float: their scales and operators would cost more than they save.
pub const QUANTISED_FROM: usize = 4096;

/// Largest magnitude of a quantised weight. -128 is not used, so that the range is symmetric.
pub const LIMIT: f32 = 127.0;

/// One quantised tensor, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantised {
    /// Levels from -127 to 127, in the order of the input: `[channels, elements of one]`.
    pub levels: Vec<i8>,
    /// One scale a channel: weight = level * scale. 1 where the channel is all zero.
    pub scales: Vec<f32>,
}

/// Whether a weight of this shape is stored as int8 in the int8 form.
///
/// Matrices and convolutions of at least [`QUANTISED_FROM`] elements are; vectors never.
#[must_use]
pub fn is_quantised(shape: &[usize]) -> bool {
    shape.len() >= 2 && shape.iter().product::<usize>() >= QUANTISED_FROM
}

/// Quantises `weights`, `[channels, elements of one]` in row-major order, all finite.
///
/// scale = max |w| / 127; level = w / scale, rounded half to even. `channels` divides the length; 0 gives nothing.
#[must_use]
pub fn quantise(weights: &[f32], channels: usize) -> Quantised {
    let mut levels = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(channels);
    if channels == 0 || weights.is_empty() {
        return Quantised { levels, scales };
    }
    for channel in weights.chunks_exact(weights.len() / channels) {
        let largest = channel.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        let scale = if largest / LIMIT > 0.0 { largest / LIMIT } else { 1.0 };
        levels.extend(channel.iter().map(|w| level(*w, scale)));
        scales.push(scale);
    }
    Quantised { levels, scales }
}

fn level(weight: f32, scale: f32) -> i8 {
    let rounded = (weight / scale).round_ties_even().clamp(-LIMIT, LIMIT);
    #[expect(clippy::cast_possible_truncation, reason = "a whole number from -127 to 127")]
    let level = rounded as i8;
    level
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Nearest level by trying all 255; of two equally near ones the even one.
    fn naive_level(weight: f32, scale: f32) -> i8 {
        let quotient = f64::from(weight / scale);
        let mut best = 0_i8;
        for candidate in -127..=127_i8 {
            let (new, old) =
                ((quotient - f64::from(candidate)).abs(), (quotient - f64::from(best)).abs());
            if new < old || (new <= old && candidate % 2 == 0) {
                best = candidate;
            }
        }
        best
    }

    fn channels() -> impl Strategy<Value = (usize, Vec<f32>)> {
        (1..5_usize, 1..9_usize, -20..20_i32).prop_flat_map(|(channels, each, power)| {
            let size = 2.0_f32.powi(power);
            vec((-1.0_f32..1.0).prop_map(move |w| w * size), channels * each)
                .prop_map(move |w| (channels, w))
        })
    }

    proptest! {
        #[test]
        fn levels_equal_the_naive_search((count, weights) in channels()) {
            let q = quantise(&weights, count);
            let each = weights.len() / count;
            for (i, w) in weights.iter().enumerate() {
                prop_assert_eq!(q.levels[i], naive_level(*w, q.scales[i / each]), "weight {} at {}", w, i);
            }
        }

        #[test]
        fn the_error_is_at_most_half_a_scale_and_the_range_is_symmetric((count, weights) in channels()) {
            let q = quantise(&weights, count);
            let negated: Vec<f32> = weights.iter().map(|w| -w).collect();
            let mirrored = quantise(&negated, count);
            let each = weights.len() / count;
            for (i, w) in weights.iter().enumerate() {
                let scale = q.scales[i / each];
                let back = f32::from(q.levels[i]) * scale;
                prop_assert!((w - back).abs() <= scale * 0.500_01, "{} came back as {} with scale {}", w, back, scale);
                prop_assert!(q.levels[i] >= -127);
                prop_assert_eq!(q.levels[i], -mirrored.levels[i]);
            }
        }

        #[test]
        fn every_channel_that_is_not_zero_uses_the_full_range(weights in vec(any::<i16>(), 1..40)) {
            let weights: Vec<f32> = weights.into_iter().map(f32::from).collect();
            let q = quantise(&weights, 1);
            let used = q.levels.iter().map(|l| l.unsigned_abs()).max();
            prop_assert_eq!(used, Some(if weights.iter().all(|w| w.abs() <= 0.0) { 0 } else { 127 }));
        }
    }

    #[test]
    fn a_zero_channel_has_scale_one() {
        let q = quantise(&[0.0, 0.0, 1.0, -0.5], 2);
        assert_eq!((q.scales, q.levels), (vec![1.0, 1.0 / 127.0], vec![0, 0, 127, -64]));
    }

    #[test]
    fn halves_round_to_even() {
        let q = quantise(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5], 1);
        assert_eq!(q.levels, [127, 0, 2, 2, 0, -2]);
    }

    #[test]
    fn large_matrices_and_convolutions_are_quantised_and_nothing_else() {
        let rows = [
            (vec![64, 64], true),
            (vec![63, 65], false),
            (vec![4096], false),
            (vec![32, 64, 3], true),
        ];
        let wrong: Vec<_> =
            rows.iter().filter(|(shape, expected)| is_quantised(shape) != *expected).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
