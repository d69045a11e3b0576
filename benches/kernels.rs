//! One kernel at a time, on every path of this machine, in the shapes of the encoders that ship. Throughput: products a second,
//! or values where there are none.

use std::error::Error;
use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use hilbert_kernels::{
    Activation, Attention, AttentionInputs, Convolution, FRAMES, Isa, Layer, LayerNorm, Layout,
    Linear, LogMelFrames, Panels, Rows, Scratch, ShapeError, Sum, Table, WordLinear, apply_layers,
    statistics_pooling,
};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut group = criterion.benchmark_group(isa.name());
        group.sample_size(20);
        linear(&mut group, isa)?;
        convolution(&mut group, isa)?;
        attention(&mut group, isa)?;
        rows_and_frames(&mut group, isa)?;
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

/// Rows of a speech layer, with and without Gelu, in floats, and one row of an expert.
fn linear(group: &mut Group<'_>, isa: Isa) -> Result<(), ShapeError> {
    for (name, rows, inputs, outputs, activation) in [
        ("linear_500x384x384", 500, 384, 384, Activation::Identity),
        ("linear_500x384x512_gelu", 500, 384, 512, Activation::Gelu),
        ("linear_1x768x128", 1, 768, 128, Activation::Gelu),
    ] {
        let x = values(rows * inputs);
        let bias = values(outputs);
        let linear = Linear::pack([inputs, outputs], level, &vec![0.01; outputs], &bias)?;
        let (mut out, mut scratch) = (vec![0.0; rows * outputs], Scratch::default());
        group.throughput(Throughput::Elements((rows * inputs * outputs) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let rows = Rows::new(black_box(&x), inputs)?;
                linear.apply(isa, rows, activation, Sum::None, &mut out, &mut scratch)
            });
        });
    }
    // Queries, keys and values of rows that are normalised first.
    let (rows, width) = (500, 384);
    let x = values(rows * width);
    let norm = LayerNorm::new(values(width), values(width), 1e-5)?;
    let linear = Linear::pack([width; 2], level, &vec![0.01; width], &values(width))?;
    let mut outs = [(); 3].map(|()| vec![0.0; rows * width]);
    let mut scratch = Scratch::default();
    group.throughput(Throughput::Elements((3 * rows * width * width) as u64));
    group.bench_function("norm_and_3_linear_500x384x384", |bencher| {
        bencher.iter(|| {
            let layers = outs.iter_mut().map(|out| Layer {
                linear: &linear,
                activation: Activation::Identity,
                sum: Sum::None,
                out,
            });
            apply_layers(isa, Rows::new(black_box(&x), width)?, Some(&norm), layers, &mut scratch)
        });
    });
    let (rows, inputs, outputs) = (250, 512, 384);
    let x = values(rows * inputs);
    let weight = |input, output| f32::from(level(input, output)) / 100.0;
    let linear = WordLinear::pack([inputs, outputs], weight, &values(outputs))?;
    let (mut out, mut scratch) = (vec![0.0; rows * outputs], Scratch::default());
    group.throughput(Throughput::Elements((rows * inputs * outputs) as u64));
    group.bench_function("word_linear_250x512x384", |bencher| {
        bencher.iter(|| {
            let rows = Rows::new(black_box(&x), inputs)?;
            linear.apply(isa, rows, Activation::Identity, Sum::None, &mut out, &mut scratch)
        });
    });
    Ok(())
}

/// The second convolution of the speech encoder.
fn convolution(group: &mut Group<'_>, isa: Isa) -> Result<(), ShapeError> {
    let (outputs, inputs, width, frames) = (384, 384, 3, 1000);
    let panels = Panels::pack_windows([outputs, inputs, width], |i| level(i, 0));
    let (scales, bias) = (vec![0.01; outputs], values(outputs));
    let convolution = Convolution::new(panels, inputs, 2, [1, 1], &scales, &bias)?;
    let x = values(frames * inputs);
    let mut out = vec![0.0; convolution.steps(frames) * outputs];
    let mut scratch = Scratch::default();
    group.throughput(Throughput::Elements((out.len() * inputs * width) as u64));
    group.bench_function("convolution_1000x384_stride_2", |bencher| {
        bencher.iter(|| {
            let layouts = [Layout::Frames; 2];
            convolution.apply(isa, black_box(&x), layouts, Activation::Gelu, &mut out, &mut scratch)
        });
    });
    Ok(())
}

/// Of the speech encoder's first and last layers, and of the text encoder's.
fn attention(group: &mut Group<'_>, isa: Isa) -> Result<(), ShapeError> {
    for (rows, heads) in [(500, 6), (250, 6), (64, 12)] {
        let width = 384;
        let [query, key, value] = [0, 1, 2].map(|shift| values(rows * width + shift));
        let (bias, mut out) = (vec![0.0; rows], query.clone());
        let (attention, mut scratch) = (Attention { heads, scale: 0.125 }, Scratch::default());
        group.throughput(Throughput::Elements((2 * rows * rows * width) as u64));
        group.bench_function(format!("attention_{rows}_{heads}_heads"), |bencher| {
            bencher.iter(|| {
                out.copy_from_slice(&query);
                let inputs =
                    AttentionInputs { key: black_box(&key[1..]), value: &value[2..], bias: &bias };
                attention.apply(isa, inputs, &mut out, &mut scratch)
            });
        });
    }
    Ok(())
}

/// Layer norm, statistics, a table that is added, and the log-mel spectra of 16 frames.
fn rows_and_frames(group: &mut Group<'_>, isa: Isa) -> Result<(), ShapeError> {
    let (rows, width) = (500, 384);
    let x = values(rows * width);
    let norm = LayerNorm::new(values(width), values(width), 1e-5)?;
    let mut out = vec![0.0; rows * width];
    group.throughput(Throughput::Elements((rows * width) as u64));
    group.bench_function("layer_norm_500x384", |bencher| {
        bencher.iter(|| {
            out.copy_from_slice(black_box(&x));
            norm.apply(isa, &mut out)
        });
    });

    let weights = vec![1.0 / 250.0; 250];
    let mut statistics = vec![0.0; 2 * width];
    group.throughput(Throughput::Elements((weights.len() * width) as u64));
    group.bench_function("statistics_pooling_250x384", |bencher| {
        bencher.iter(|| {
            let x = black_box(&x[..weights.len() * width]);
            statistics_pooling(isa, x, &weights, 1e-5, &mut statistics)
        });
    });

    let levels: Vec<u8> = (0..rows * width).map(|i| level(i, 0).cast_unsigned()).collect();
    let table = Table::new(levels.into(), vec![0.01; rows])?;
    group.throughput(Throughput::Elements((rows * width) as u64));
    group.bench_function("table_500x384", |bencher| {
        bencher.iter(|| black_box(&table).unfold(isa, Sum::Residual, &mut out));
    });

    // Bands of five bins at equal distances: of whisper's 80 most are narrower.
    let filters = (0..80).map(|band| (2 * band, vec![0.2; 5]));
    let mut frames = LogMelFrames::new(160, vec![0.5; 400], filters, 1e-10)?;
    let samples = values(frames.samples());
    let mut bands = [[0.0; FRAMES]; 80];
    group.throughput(Throughput::Elements(FRAMES as u64));
    group.bench_function("log_mel_16_frames", |bencher| {
        bencher.iter(|| frames.compute(isa, black_box(&samples), &mut bands));
    });
    Ok(())
}

/// Numbers in [-1, 1] without a pattern that matters.
#[expect(clippy::cast_precision_loss, reason = "remainders are small whole numbers")]
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn level(input: usize, output: usize) -> i8 {
    i8::try_from((input * 31 + output * 17) % 255).unwrap_or(-127)
}
