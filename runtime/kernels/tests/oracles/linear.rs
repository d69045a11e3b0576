//! The int8 linear layer.

use hilbert_kernels::{
    Activation, Isa, Layer, LayerNorm, Linear, Rows, Scratch, Sum, WordLinear, apply_layers,
};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::{collection::vec, prop_assert, proptest};

use crate::values::{
    HOSTILE, checked, excess, floats, gelu, paths, rounded, rounded_to_words, same, scales,
};

#[derive(Debug, Clone)]
struct Case {
    inputs: usize,
    outputs: usize,
    x: Vec<f32>,
    levels: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    gelu: bool,
}

impl Case {
    fn apply(&self, isa: Isa) -> Vec<f32> {
        let level = |i: usize, o: usize| self.levels[i * self.outputs + o];
        let linear =
            Linear::pack([self.inputs, self.outputs], level, &self.scales, &self.bias).unwrap();
        let rows = Rows::new(&self.x, self.inputs).unwrap();
        let activation = if self.gelu { Activation::Gelu } else { Activation::Identity };
        let (sum, mut out) = self.before();
        linear.apply(isa, rows, activation, sum, &mut out, &mut Scratch::default()).unwrap();
        out
    }

    /// What stands where outputs go.
    fn before(&self) -> (Sum, Vec<f32>) {
        let count = self.x.len() / self.inputs * self.outputs;
        match self.residual.is_empty() {
            true => (Sum::None, vec![f32::NAN; count]),
            false => (Sum::Residual, self.residual.clone()),
        }
    }

    /// The same rounding to levels, all else in double precision; and the largest magnitude that an activation is given.
    fn oracle(&self) -> (Vec<f64>, f64) {
        let mut out = Vec::new();
        let mut largest_sum = 0.0_f64;
        for (r, x) in self.x.chunks(self.inputs).enumerate() {
            let x = rounded(x, self.x.len() / self.inputs);
            for o in 0..self.outputs {
                let product =
                    |(i, x): (usize, &f64)| x * f64::from(self.levels[i * self.outputs + o]);
                let sum: f64 = x.iter().enumerate().map(product).sum();
                let mut y = sum * f64::from(self.scales[o]);
                y += self.bias.get(o).map_or(0.0, |b| f64::from(*b));
                largest_sum = largest_sum.max(y.abs());
                if self.gelu {
                    y = gelu(y);
                }
                y += self.residual.get(r * self.outputs + o).map_or(0.0, |x| f64::from(*x));
                out.push(y);
            }
        }
        (out, largest_sum)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1_usize..30, 1_usize..70, 1_usize..70).prop_flat_map(|(rows, inputs, outputs)| {
        let floats_or_none =
            |count| any::<bool>().prop_flat_map(move |some| floats(if some { count } else { 0 }));
        (
            Just((inputs, outputs)),
            floats(rows * inputs),
            vec(any::<i8>(), inputs * outputs),
            scales(outputs),
            floats_or_none(outputs),
            floats_or_none(rows * outputs),
            any::<bool>(),
        )
            .prop_map(|((inputs, outputs), x, levels, scales, bias, residual, gelu)| {
                Case { inputs, outputs, x, levels, scales, bias, residual, gelu }
            })
    })
}

proptest! {
    #![proptest_config(checked(300))]

    #[test]
    fn every_path_equals_the_naive_product(case in cases()) {
        let (expected, largest) = case.oracle();
        let of_gelu = if case.gelu { 4e-7 * largest } else { 0.0 };
        for isa in paths() {
            let excess = excess(&case.apply(isa), &expected, 1e-4 + of_gelu, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
        }
    }

    #[test]
    fn layers_side_by_side_behind_a_norm_give_what_each_gives_alone(case in cases(), other in cases()) {
        let (inputs, outputs) = (case.inputs, case.outputs);
        let level = |i: usize, o: usize| case.levels[(i * outputs + o) % case.levels.len()];
        let first = Linear::pack([inputs, outputs], level, &case.scales, &case.bias).unwrap();
        let level = |i: usize, o: usize| other.levels[(i + o) % other.levels.len()];
        let second =
            Linear::pack([inputs, other.outputs], level, &other.scales, &other.bias).unwrap();
        let norm = LayerNorm::new(vec![1.5; inputs], vec![0.25; inputs], 1e-5).unwrap();
        let rows = case.x.len() / inputs;
        for isa in paths() {
            let mut scratch = Scratch::default();
            let mut normalised = case.x.clone();
            norm.apply(isa, &mut normalised).unwrap();
            let mut alone = [vec![0.0; rows * outputs], vec![0.0; rows * other.outputs]];
            let mut together = alone.clone();
            let layers = [(&first, Activation::Gelu), (&second, Activation::Identity)];
            for ((linear, activation), out) in layers.iter().zip(&mut alone) {
                let rows = Rows::new(&normalised, inputs).unwrap();
                linear.apply(isa, rows, *activation, Sum::None, out, &mut scratch).unwrap();
            }
            let layers = layers.into_iter().zip(&mut together).map(|((linear, activation), out)| {
                Layer { linear, activation, sum: Sum::None, out }
            });
            let rows = Rows::new(&case.x, inputs).unwrap();
            apply_layers(isa, rows, Some(&norm), layers, &mut scratch).unwrap();
            prop_assert!(same(&alone[0], &together[0]) && same(&alone[1], &together[1]), "{isa}");
        }
    }

    #[test]
    fn all_paths_agree_to_the_bit(case in cases()) {
        let expected = case.apply(Isa::Portable);
        for isa in paths() {
            prop_assert!(same(&case.apply(isa), &expected), "{isa}");
        }
    }

    #[test]
    fn a_value_that_is_no_number_spoils_its_row_and_no_other(
        case in cases(),
        at in any::<prop::sample::Index>(),
        hostile in 0_usize..3,
    ) {
        let at = at.index(case.x.len());
        let mut spoilt = case.clone();
        spoilt.x[at] = HOSTILE[hostile];
        for isa in paths() {
            let (clean, found) = (case.apply(isa), spoilt.apply(isa));
            for (r, (clean, found)) in clean.chunks(case.outputs).zip(found.chunks(case.outputs)).enumerate() {
                if r == at / case.inputs {
                    prop_assert!(found.iter().all(|y| y.is_nan()), "{isa}, row {r}: {found:?}");
                } else {
                    prop_assert!(same(clean, found), "{isa}, row {r}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(checked(200))]

    #[test]
    fn a_layer_of_12_bits_equals_the_naive_product_of_its_levels_and_all_paths_agree_to_the_bit(case in cases()) {
        let weight = |i: usize, o: usize| f32::from(case.levels[i * case.outputs + o]) * case.scales[o];
        let linear = WordLinear::pack([case.inputs, case.outputs], weight, &case.bias).unwrap();
        let rows = Rows::new(&case.x, case.inputs).unwrap();
        let apply = |isa| {
            let (sum, mut out) = case.before();
            let mut scratch = Scratch::default();
            linear.apply(isa, rows, Activation::Identity, sum, &mut out, &mut scratch).unwrap();
            out
        };
        let columns: Vec<Vec<f64>> = (0..case.outputs)
            .map(|o| rounded_to_words(&(0..case.inputs).map(|i| weight(i, o)).collect::<Vec<_>>()))
            .collect();
        let of = |values: &[f32], at: usize| values.get(at).map_or(0.0, |value| f64::from(*value));
        let expected: Vec<f64> = case.x.chunks(case.inputs).enumerate().flat_map(|(r, row)| {
            let (case, row) = (&case, rounded_to_words(row));
            columns.iter().enumerate().map(move |(o, column)| {
                let sum: f64 = row.iter().zip(column).map(|(x, w)| x * w).sum();
                sum + of(&case.bias, o) + of(&case.residual, r * case.outputs + o)
            })
        }).collect();
        for isa in paths() {
            let found = apply(isa);
            let excess = excess(&found, &expected, 1e-4, 1e-5);
            prop_assert!(excess <= 0.0, "{isa}: {excess} beyond the tolerance");
            prop_assert!(same(&found, &apply(Isa::Portable)), "{isa}");
        }
    }

    #[test]
    fn in_12_bits_a_value_that_is_no_number_spoils_its_row_and_a_weight_its_column(
        case in cases(),
        at in any::<prop::sample::Index>(),
        hostile in 0_usize..3,
    ) {
        let (x, w) = (at.index(case.x.len()), at.index(case.levels.len()));
        let apply = |isa, values: &[f32], spoilt: Option<usize>| {
            let weight = |i: usize, o: usize| match i * case.outputs + o {
                i if Some(i) == spoilt => HOSTILE[hostile],
                i => f32::from(case.levels[i]),
            };
            let linear = WordLinear::pack([case.inputs, case.outputs], weight, &case.bias).unwrap();
            let rows = Rows::new(values, case.inputs).unwrap();
            let (sum, mut out) = case.before();
            let mut scratch = Scratch::default();
            linear.apply(isa, rows, Activation::Identity, sum, &mut out, &mut scratch).unwrap();
            out
        };
        let mut values = case.x.clone();
        values[x] = HOSTILE[hostile];
        for isa in paths() {
            let clean = apply(isa, &case.x, None);
            let (of_row, of_column) = (apply(isa, &values, None), apply(isa, &case.x, Some(w)));
            for (i, clean) in clean.iter().enumerate() {
                let (r, o) = (i / case.outputs, i % case.outputs);
                let is = |found: f32, spoilt| if spoilt { found.is_nan() } else { found.to_bits() == clean.to_bits() };
                prop_assert!(is(of_row[i], r == x / case.inputs), "{isa}, row {r}");
                prop_assert!(is(of_column[i], o == w % case.outputs), "{isa}, column {o}");
            }
        }
    }
}

#[test]
fn extreme_levels_of_12_bits_do_not_overflow() {
    for (weight, x) in [(1.0_f32, 1.0_f32), (-1.0, 1.0), (-1.0, -1.0)] {
        let inputs = 5000;
        let linear = WordLinear::pack([inputs, 16], |_, _| weight, &[]).unwrap();
        let row = vec![x; inputs];
        for isa in paths() {
            let mut out = [0.0; 16];
            let (rows, mut scratch) = (Rows::new(&row, inputs).unwrap(), Scratch::default());
            linear
                .apply(isa, rows, Activation::Identity, Sum::None, &mut out, &mut scratch)
                .unwrap();
            assert!(out.iter().all(|y| (y - weight * x * 5000.0).abs() < 0.01), "{isa}: {out:?}");
        }
    }
}

#[test]
fn extreme_levels_do_not_overflow() {
    for (level, x) in [(-128_i8, 1.0_f32), (-128, -1.0), (127, 1.0), (127, -1.0), (-127, 1.0)] {
        let inputs = 4096;
        let linear = Linear::pack([inputs, 16], |_, _| level, &[1.0; 16], &[]).unwrap();
        let row = vec![x; inputs];
        for isa in paths() {
            let mut out = [0.0; 16];
            let rows = Rows::new(&row, inputs).unwrap();
            linear
                .apply(
                    isa,
                    rows,
                    Activation::Identity,
                    Sum::None,
                    &mut out,
                    &mut Scratch::default(),
                )
                .unwrap();
            let expected = f64::from(level) * f64::from(x) * 4096.0;
            assert!(
                excess(&out, &[expected; 16], 0.0, 1e-6) <= 0.0,
                "{isa}: {out:?}, expected {expected}"
            );
        }
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let linear = Linear::pack([4, 2], |_, _| 1, &[1.0; 2], &[]).unwrap();
    let mut scratch = Scratch::default();
    let rows = |values| Rows::new(values, 4).unwrap();
    let narrow = Rows::new(&[0.0; 6], 3).unwrap();
    let mut out = [0.0; 4];
    let identity = Activation::Identity;
    let isa = Isa::detect();
    assert!(Rows::new(&[0.0; 5], 4).is_err());
    assert!(linear.apply(isa, narrow, identity, Sum::None, &mut out, &mut scratch).is_err());
    assert!(
        linear.apply(isa, rows(&[0.0; 4]), identity, Sum::None, &mut out, &mut scratch).is_err()
    );
    assert!(
        linear.apply(isa, rows(&[0.0; 8]), identity, Sum::Residual, &mut out, &mut scratch).is_ok()
    );
    assert!(Linear::pack([4, 2], |_, _| 1, &[1.0; 3], &[]).is_err());
    assert!(Linear::pack([4, 2], |_, _| 1, &[1.0; 2], &[1.0]).is_err());
    assert!(Linear::pack([1 << 17, 1], |_, _| 1, &[1.0], &[]).is_err());
}

#[test]
fn gelu_stays_within_its_stated_error() {
    // One input, one level a step: the sum is the value itself.
    let linear = Linear::pack([1, 1], |_, _| 127, &[1.0 / 127.0], &[]).unwrap();
    let xs: Vec<f32> = (-9000..=9000).map(|i| i as f32 / 1000.0).collect();
    for isa in paths() {
        let mut out = vec![0.0; xs.len()];
        let rows = Rows::new(&xs, 1).unwrap();
        linear
            .apply(isa, rows, Activation::Gelu, Sum::None, &mut out, &mut Scratch::default())
            .unwrap();
        let worst = xs
            .iter()
            .zip(&out)
            .map(|(&x, &y)| {
                let x = f64::from(x);
                (f64::from(y) - gelu(x)).abs() / (1.0 + x.abs())
            })
            .fold(0.0, f64::max);
        assert!(worst <= 4e-7, "{isa}: {worst:e}");
    }
}
