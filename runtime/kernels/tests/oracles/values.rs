//! Values that tests feed to the kernels.

use std::cmp::Ordering;

use hilbert_kernels::Isa;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof};

/// The paths of this machine; a test that compares paths needs two at least on x86-64 of the last decade.
pub(crate) fn paths() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available())
}

/// Checks a property on so many cases, or on the fewer that `PROPTEST_CASES` asks for, as an emulated machine needs it.
pub(crate) fn checked(most: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(most).min(most))
}

/// Ordinary floats, zeros and denormals among them.
pub(crate) fn floats(count: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(
        prop_oneof![
            8 => -4.0_f32..4.0,
            1 => -1000.0_f32..1000.0,
            1 => prop_oneof![Just(0.0), Just(-0.0), Just(1e-40), Just(-3e-42), Just(1e-30)],
        ],
        count,
    )
}

/// Positive scales of ordinary size.
pub(crate) fn scales(count: usize) -> impl Strategy<Value = Vec<f32>> {
    vec(1e-3_f32..0.1, count)
}

/// What no computation may turn into a plausible number.
pub(crate) const HOSTILE: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Whether two floats are the same bits, or both NaN.
pub(crate) fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// The largest excess of `|found - expected|` over `absolute + relative |expected|`; at most 0 when all are close.
pub(crate) fn excess(found: &[f32], expected: &[f64], absolute: f64, relative: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let excess = |(found, expected): (&f32, &f64)| {
        let difference = (f64::from(*found) - expected).abs();
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference - absolute - relative * expected.abs()
        }
    };
    found.iter().zip(expected).map(excess).fold(f64::NEG_INFINITY, f64::max)
}

/// `x / 2 (1 + erf(x / sqrt 2))` by the Maclaurin series of erf, and 0 or x where the tail is below 1e-12.
pub(crate) fn gelu(x: f64) -> f64 {
    let z = x / 2.0_f64.sqrt();
    if z.abs() > 5.0 {
        return if z > 0.0 { x } else { 0.0 };
    }
    let (mut term, mut sum, mut n) = (z, z, 0.0);
    while term.abs() > 1e-17 * sum.abs() {
        n += 1.0;
        term *= -z * z / n;
        sum += term / (2.0 * n + 1.0);
    }
    let erf = sum * 2.0 / std::f64::consts::PI.sqrt();
    x / 2.0 * (1.0 + erf)
}

/// A row of `rows` as the kernels round it: each value cut at six times the root mean square and rounded to a 127th of that, or
/// of the largest value; what is left of those beyond, and of their neighbours in fours, rounded once more. Of up to 8 rows, of
/// all values.
pub(crate) fn rounded(row: &[f32], rows: usize) -> Vec<f64> {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    // The sum of squares in the order of the kernels: 16 lanes four times, those in pairs, then halves onto each other.
    let mut fours = [[0.0_f32; 16]; 4];
    let whole = row.len() / 16 * 16;
    for (lane, x) in fours[0].iter_mut().zip(&row[whole..]) {
        *lane = x * x;
    }
    for (i, x) in row[..whole].iter().enumerate() {
        fours[i / 16 % 4][i % 16] += x * x;
    }
    let mut lanes: Vec<f32> =
        (0..16).map(|i| (fours[0][i] + fours[1][i]) + (fours[2][i] + fours[3][i])).collect();
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    let cut = 6.0 * (lanes[0] / row.len() as f32).sqrt();
    let all = rows <= 8;
    let cut = if all || cut.partial_cmp(&largest) != Some(Ordering::Less) { largest } else { cut };
    let level = cut / 127.0;
    let fine = if all { level / 254.0 } else { (largest - cut) / 127.0 };
    if !level.recip().is_finite() {
        return vec![0.0; row.len()];
    }
    let value = |(i, x): (usize, &f32)| {
        let coarse = (x * level.recip()).clamp(-127.0, 127.0).round_ties_even();
        let four = &row[i / 4 * 4..row.len().min(i / 4 * 4 + 4)];
        let is_left = fine.recip().is_finite() && (all || four.iter().any(|x| x.abs() > cut));
        let left = if is_left {
            ((x - coarse * level) / fine).clamp(-127.0, 127.0).round_ties_even()
        } else {
            0.0
        };
        f64::from(coarse) * f64::from(level) + f64::from(left) * f64::from(fine)
    };
    row.iter().enumerate().map(value).collect()
}

/// A row, or a column of weights, as levels of 12 bits have it.
pub(crate) fn rounded_to_words(values: &[f32]) -> Vec<f64> {
    let level = values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs())) / 2047.0;
    if !level.recip().is_finite() {
        return vec![0.0; values.len()];
    }
    let value = |x: &f32| f64::from((x * level.recip()).round_ties_even()) * f64::from(level);
    values.iter().map(value).collect()
}
