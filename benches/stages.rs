//! One stage at a time, each on what the stage before it makes of the recording.

use std::error::Error;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use hilbert_formats::Manifest;
use hilbert_runtime::{
    AudioStream, ChannelChoice, DocumentRows, LogMel, Modality, Model, PcmFormat, Result,
    Segmenter, Span, TimeSpan, TokenRow, TokenRows,
};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let bundle = hilbert_benches::bundle()?;
    let manifest = bundle.manifest();
    let vocabulary = bundle.read(manifest.text.vocabulary())?;
    let model = Model::from_bundle(&bundle)?;
    front_end(&mut criterion, manifest, &vocabulary)?;
    encoders(&mut criterion, &model, &vocabulary)?;
    fusion_and_experts(&mut criterion, &model)?;
    criterion.final_summary();
    Ok(())
}

/// Resampling, segmentation, log-mel spectrogram, word pieces. Throughput: samples or bytes a second.
fn front_end(
    criterion: &mut Criterion,
    manifest: &Manifest,
    vocabulary: &[u8],
) -> std::result::Result<(), Box<dyn Error>> {
    let samples = hilbert_benches::samples()?;
    let mut group = criterion.benchmark_group("front_end");

    // A second of stereo at 44.1 kHz: what it sounds like makes no difference.
    let stereo = &samples[..2 * 44_100];
    let mut stream = AudioStream::new(
        PcmFormat { sample_rate: 44_100, channels: 2 },
        ChannelChoice::Mean,
        &manifest.audio,
    )?;
    let mut resample = || {
        let mut count = 0;
        stream.push(black_box(stereo), |mono| counted(&mut count, mono))?;
        stream.finish(|mono| counted(&mut count, mono))?;
        Ok(count)
    };
    check(resample())?;
    group.throughput(Throughput::Elements(44_100));
    group.bench_function("resample_44100_stereo", |bencher| bencher.iter(&mut resample));

    let mut segmenter = Segmenter::new(&manifest.segmentation, &manifest.audio)?;
    let mut cut = || {
        let mut count = 0;
        segmenter.push(black_box(&samples), |span| counted(&mut count, span))?;
        segmenter.finish(|span| counted(&mut count, span))?;
        Ok(count)
    };
    check(cut())?;
    group.throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("segmentation", |bencher| bencher.iter(&mut cut));

    let segment = longest_segment(manifest, &samples)?;
    let mut log_mel = LogMel::new(&manifest.features, &manifest.audio)?;
    log_mel.compute(&segment)?;
    group.throughput(Throughput::Elements(segment.len() as u64));
    group.bench_function("log_mel", |bencher| {
        bencher.iter(|| log_mel.compute(black_box(&segment)).map(|_| ()));
    });

    let cues = hilbert_benches::cues()?.cues;
    let mut token_rows = TokenRows::new(&manifest.text, vocabulary)?;
    let mut tokenise = || {
        let mut count = 0;
        for cue in black_box(&cues) {
            token_rows.push(cue, |row| counted(&mut count, row))?;
        }
        token_rows.finish(|row| counted(&mut count, row))?;
        Ok(count)
    };
    check(tokenise())?;
    group.throughput(Throughput::Bytes(cues.iter().map(|cue| cue.text.len() as u64).sum()));
    group.bench_function("word_pieces", |bencher| bencher.iter(&mut tokenise));
    group.finish();
    Ok(())
}

/// One segment, one row of tokens.
fn encoders(
    criterion: &mut Criterion,
    model: &Model,
    vocabulary: &[u8],
) -> std::result::Result<(), Box<dyn Error>> {
    let manifest = model.manifest();
    let mut group = criterion.benchmark_group("encoder");
    group.sample_size(20);

    let segment = longest_segment(manifest, &hilbert_benches::samples()?)?;
    let mut log_mel = LogMel::new(&manifest.features, &manifest.audio)?;
    let spectrogram = log_mel.compute(&segment)?;
    let mut row = vec![0.0; model.speech_encoder().row_width()];
    let mut frames = vec![0.0; model.speech_encoder().frames_len()];
    model.speech_encoder().encode(spectrogram, &mut row, &mut frames)?;
    group.bench_function("speech", |bencher| {
        bencher
            .iter(|| model.speech_encoder().encode(black_box(spectrogram), &mut row, &mut frames));
    });

    let (tokens, mask) = first_tokens(manifest, vocabulary)?;
    let tokens = TokenRow { tokens: &tokens, mask: &mask, times: None };
    let mut row = vec![0.0; model.text_encoder().row_width()];
    model.text_encoder().encode(tokens, &mut row)?;
    group.bench_function("text", |bencher| {
        bencher.iter(|| model.text_encoder().encode(black_box(tokens), &mut row));
    });
    group.finish();
    Ok(())
}

/// One projected row; a whole document of few and of many rows; the mixture of experts. Of the rows only the number counts.
fn fusion_and_experts(
    criterion: &mut Criterion,
    model: &Model,
) -> std::result::Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("fusion");
    group.sample_size(20);
    let audio_row = vec![0.5; model.speech_encoder().row_width()];
    let text_row = vec![0.5; model.text_encoder().row_width()];
    let fill = |document: &mut DocumentRows, segments: u32, cues: u32| -> Result<()> {
        document.clear();
        for i in 0..segments {
            let times = TimeSpan { start_s: 10.0 * f64::from(i), end_s: 10.0 * f64::from(i + 1) };
            model.fusion().push(document, Modality::Audio, &audio_row, Some(times))?;
        }
        for i in 0..cues {
            let times = TimeSpan { start_s: 25.0 * f64::from(i), end_s: 25.0 * f64::from(i + 1) };
            model.fusion().push(document, Modality::Text, &text_row, Some(times))?;
        }
        Ok(())
    };
    let mut document = model.fusion().document_rows(model.manifest().fusion.n_max);
    fill(&mut document, 1, 0)?;
    group.bench_function("project_audio", |bencher| bencher.iter(|| fill(&mut document, 1, 0)));
    fill(&mut document, 0, 1)?;
    group.bench_function("project_text", |bencher| bencher.iter(|| fill(&mut document, 0, 1)));
    for (segments, cues) in [(9, 3), (256, 128)] {
        fill(&mut document, segments, cues)?;
        model.fusion().fuse(&mut document)?;
        group.bench_function(format!("fuse_{segments}_segments_{cues}_cues"), |bencher| {
            bencher.iter(|| model.fusion().fuse(&mut document));
        });
    }
    let fused = model.fusion().fuse(&mut document)?.ok_or("found no rows, expected some")?;
    model.experts().run(&fused.document)?;
    group.bench_function("mixture_of_experts", |bencher| {
        bencher.iter(|| model.experts().run(black_box(&fused.document)));
    });
    group.finish();
    Ok(())
}

fn longest_segment(manifest: &Manifest, samples: &[f32]) -> Result<Vec<f32>> {
    let mut segmenter = Segmenter::new(&manifest.segmentation, &manifest.audio)?;
    let mut longest = Vec::new();
    let mut keep = |span: Span<'_>| {
        match span {
            Span::Segment(segment) if segment.samples.len() > longest.len() => {
                longest = segment.samples.to_vec();
            }
            _ => {}
        }
        Ok(())
    };
    segmenter.push(samples, &mut keep)?;
    segmenter.finish(&mut keep)?;
    Ok(longest)
}

/// The first row of tokens of the transcript, and its mask.
fn first_tokens(
    manifest: &Manifest,
    vocabulary: &[u8],
) -> std::result::Result<(Vec<i64>, Vec<f32>), Box<dyn Error>> {
    let mut token_rows = TokenRows::new(&manifest.text, vocabulary)?;
    let mut rows = Vec::new();
    for cue in &hilbert_benches::cues()?.cues {
        token_rows.push(cue, |row| {
            rows.push((row.tokens.to_vec(), row.mask.to_vec()));
            Ok(())
        })?;
    }
    rows.into_iter().next().ok_or_else(|| "found no row of tokens, expected some".into())
}

/// Counts what a stage hands on, so that the work is not in vain.
fn counted<T>(count: &mut usize, value: T) -> Result<()> {
    black_box(value);
    *count += 1;
    Ok(())
}

/// A stage that fails or does nothing is not measured.
fn check(count: Result<usize>) -> std::result::Result<(), Box<dyn Error>> {
    match count? {
        0 => Err("found nothing, expected work".into()),
        _ => Ok(()),
    }
}
