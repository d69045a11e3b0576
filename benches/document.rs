//! Whole documents, from files to the result; throughput in seconds of the recording a second.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use hilbert_runtime::{Classifier, Model, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    load(&mut criterion)?;
    classify(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// From the bytes of the bundle to a model that can run.
fn load(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let bundle = hilbert_benches::bundle()?;
    Model::from_bundle(&bundle)?;
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("default_bundle", |bencher| bencher.iter(|| Model::from_bundle(&bundle)));
    group.finish();
    Ok(())
}

fn classify(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut classifier = Classifier::new(Model::from_bundle(&hilbert_benches::bundle()?)?)?;
    let (wav, srt) = (hilbert_benches::recording(), hilbert_benches::transcript());
    let options = Options::default();
    let documents: [(&str, Option<&Path>, Option<&Path>); 3] = [
        ("text", None, Some(&srt)),
        ("audio", Some(&wav), None),
        ("audio_text", Some(&wav), Some(&srt)),
    ];
    let mut group = criterion.benchmark_group("document");
    group.sample_size(10);
    for (name, wav, transcript) in documents {
        // Fails here rather than being measured as a quick success.
        let result = classifier.classify_file(wav, transcript, &options)?;
        if let Some(seconds) = result.input.duration_s {
            group.throughput(Throughput::Elements(Duration::try_from_secs_f64(seconds)?.as_secs()));
        }
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| classifier.classify_file(black_box(wav), black_box(transcript), &options));
        });
    }
    group.finish();
    Ok(())
}
