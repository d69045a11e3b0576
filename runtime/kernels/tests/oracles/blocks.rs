//! Kernels that hold what is between their parts of some rows at a time give what the parts give, to the bit, on either side of a
//! block's end.

use hilbert_kernels::{
    Activation, Attention, AttentionInputs, Contraction, Convolution, FeedForward, Layer,
    LayerNorm, Layout, Linear, Panels, Rows, Scratch, SelfAttention, Sum, WordLinear, apply_layers,
};

use crate::values::{paths, same};

/// Around 8 rows, which are rounded twice, and around the ends of blocks of 48.
const ROWS: [usize; 9] = [1, 7, 9, 40, 47, 48, 49, 96, 107];

/// Numbers without a pattern, of which some are far larger than the rest.
fn noise(count: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| {
        let mixed = (i + seed * 7919).wrapping_mul(2_654_435_761) >> 7;
        let large = if mixed.is_multiple_of(97) { 30.0 } else { 1.0 };
        ((mixed % 4001) as f32 / 1000.0 - 2.0) * large
    };
    (0..count).map(value).collect()
}

fn linear([inputs, outputs]: [usize; 2], seed: usize) -> Linear {
    let level =
        |i: usize, o: usize| i8::try_from((i * 31 + o * 17 + seed * 13) % 255).unwrap_or(-128) / 2;
    Linear::pack([inputs, outputs], level, &vec![0.004; outputs], &noise(outputs, seed)).unwrap()
}

fn words([inputs, outputs]: [usize; 2], seed: usize) -> WordLinear {
    let weights = noise(inputs * outputs, seed);
    WordLinear::pack([inputs, outputs], |i, o| weights[i * outputs + o], &[]).unwrap()
}

fn norm(width: usize) -> LayerNorm {
    LayerNorm::new(noise(width, 3), noise(width, 4), 1e-5).unwrap()
}

#[test]
fn a_feed_forward_network_gives_what_its_layers_give() {
    let shape = [40, 70];
    for (rows, isa) in ROWS.into_iter().flat_map(|rows| paths().map(move |isa| (rows, isa))) {
        for contract in
            [Contraction::Levels(linear([70, 40], 2)), Contraction::Words(words([70, 40], 2))]
        {
            for norm in [None, Some(norm(40))] {
                let (expand, activation) = (linear(shape, 1), Activation::Gelu);
                let last = Activation::Identity;
                let x = noise(rows * 40, rows);
                let all = Rows::new(&x, 40).unwrap();
                let scratch = &mut Scratch::default();
                let mut hidden = vec![f32::NAN; rows * 70];
                let layer = Layer { linear: &expand, activation, sum: Sum::None, out: &mut hidden };
                apply_layers(isa, all, norm.as_ref(), [layer], scratch).unwrap();
                let between = Rows::new(&hidden, 70).unwrap();
                let mut expected = x.clone();
                match &contract {
                    Contraction::Levels(linear) => {
                        linear.apply(isa, between, last, Sum::Residual, &mut expected, scratch)
                    }
                    Contraction::Words(linear) => {
                        linear.apply(isa, between, last, Sum::Residual, &mut expected, scratch)
                    }
                }
                .unwrap();
                let layers =
                    FeedForward { norm, expand, activation, contract: contract.clone(), last };
                let mut apart = x.clone();
                layers.apply(isa, all, Sum::Residual, &mut apart, scratch).unwrap();
                let mut in_place = x.clone();
                layers.apply_in_place(isa, &mut in_place, rows, scratch).unwrap();
                assert!(same(&apart, &expected), "{rows} rows on {isa}");
                assert!(same(&in_place, &expected), "{rows} rows on {isa}");
            }
        }
    }
}

#[test]
fn self_attention_gives_what_its_projections_and_attention_give() {
    let (width, attention) = (48, Attention { heads: 3, scale: 0.25 });
    for (rows, isa) in ROWS.into_iter().flat_map(|rows| paths().map(move |isa| (rows, isa))) {
        for norm in [None, Some(norm(width))] {
            let [query, key, value] = [5, 6, 7].map(|seed| linear([width, width], seed));
            // Some keys in the middle are masked, and rows behind the last that counts are not computed.
            let all = rows + 5;
            let masked = |i: usize| if i >= rows || i % 11 == 4 { -1e4 } else { 0.01 * i as f32 };
            let bias: Vec<f32> = (0..all).map(masked).collect();
            let x = noise(rows * width, rows);
            let of_x = Rows::new(&x, width).unwrap().among(all);
            let scratch = &mut Scratch::default();
            let mut project = |linear: &Linear, values: &mut [f32]| {
                let (activation, out) = (Activation::Identity, &mut values[..rows * width]);
                let layer = Layer { linear, activation, sum: Sum::None, out };
                apply_layers(isa, of_x, norm.as_ref(), [layer], scratch).unwrap();
            };
            let (mut q, mut k, mut v) =
                (vec![0.0; rows * width], vec![0.0; all * width], vec![0.0; all * width]);
            project(&query, &mut q);
            project(&key, &mut k);
            project(&value, &mut v);
            let inputs = AttentionInputs { key: &k, value: &v, bias: &bias };
            attention.apply(isa, inputs, &mut q, scratch).unwrap();
            let whole = SelfAttention { norm: norm.clone(), query, key, value, attention };
            let mut found = vec![f32::NAN; rows * width];
            whole.apply(isa, of_x, &bias, &mut found, scratch).unwrap();
            assert!(same(&found, &q), "{rows} rows on {isa}");
        }
    }
}

#[test]
fn self_attention_to_rows_that_are_not_given_is_refused() {
    let layer = || linear([16, 16], 1);
    let attention = Attention { heads: 2, scale: 1.0 };
    let whole =
        SelfAttention { norm: None, query: layer(), key: layer(), value: layer(), attention };
    let x = noise(4 * 16, 1);
    let rows = Rows::new(&x, 16).unwrap().among(6);
    for (last, fits) in [(3, true), (4, false)] {
        let bias: Vec<f32> = (0..6).map(|i| if i > last { -1e4 } else { 0.0 }).collect();
        for isa in paths() {
            let found = whole.apply(isa, rows, &bias, &mut [0.0; 64], &mut Scratch::default());
            assert_eq!(found.is_ok(), fits, "{found:?}");
        }
    }
}

#[test]
fn two_convolutions_give_what_each_gives() {
    let convolution = |[outputs, inputs]: [usize; 2], stride, pads| {
        let level = |i: usize| i8::try_from(i * 29 % 120).unwrap() - 60;
        let panels = Panels::pack_windows([outputs, inputs, 3], level);
        let (scales, bias) = (vec![0.01; outputs], noise(outputs, 8));
        Convolution::new(panels, inputs, stride, pads, &scales, &bias).unwrap()
    };
    for (frames, isa) in [1, 2, 3, 30, 95, 96, 97, 98, 200]
        .into_iter()
        .flat_map(|frames| paths().map(move |isa| (frames, isa)))
    {
        for pads in [[1, 1], [0, 0], [2, 0]] {
            let (first, second) =
                (convolution([24, 20], 1, [1, 1]), convolution([18, 24], 2, pads));
            let x = noise(frames * 20, frames);
            let scratch = &mut Scratch::default();
            let mut hidden = vec![f32::NAN; first.steps(frames) * 24];
            let [from, to] = [Layout::Channels, Layout::Frames];
            first.apply(isa, &x, [from, to], Activation::Gelu, &mut hidden, scratch).unwrap();
            let steps = second.steps(first.steps(frames));
            let mut expected = vec![f32::NAN; steps * 18];
            second
                .apply(isa, &hidden, [to, to], Activation::Identity, &mut expected, scratch)
                .unwrap();
            // All steps, or the first ones.
            for count in [steps, steps / 2] {
                let mut found = vec![f32::NAN; count * 18];
                let before = (&first, Activation::Gelu);
                second
                    .apply_after(isa, before, (&x, from), Activation::Identity, &mut found, scratch)
                    .unwrap();
                assert!(
                    same(&found, &expected[..count * 18]),
                    "{frames} frames, {pads:?} on {isa}"
                );
            }
        }
    }
}

#[test]
fn layers_that_do_not_fit_each_other_are_refused() {
    let contract = Contraction::Levels(linear([60, 40], 2));
    let (expand, activation) = (linear([40, 70], 1), Activation::Gelu);
    let layers = FeedForward { norm: None, expand, activation, contract, last: activation };
    let isa = hilbert_kernels::Isa::detect();
    let x = [0.0; 80];
    let rows = Rows::new(&x, 40).unwrap();
    let scratch = &mut Scratch::default();
    assert!(layers.apply(isa, rows, Sum::None, &mut [0.0; 80], scratch).is_err());
    assert!(layers.apply(isa, rows, Sum::None, &mut [0.0; 79], scratch).is_err());
    assert!(layers.apply_in_place(isa, &mut [0.0; 80], 2, scratch).is_err());
}
