//! What a decision stands on, as tab-separated columns: each segment and each cue with its weight, each task with its experts.
//! `cargo run --release -p hilbert-examples --bin segments -- REC.wav [TRANSCRIPT]`.
#![expect(clippy::print_stdout, reason = "a program's result")]

use std::error::Error;
use std::path::Path;

use hilbert_formats::Bundle;
use hilbert_runtime::{Classifier, Model, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let wav =
        arguments.next().ok_or("expected a recording and, if there is one, its transcript")?;
    let transcript = arguments.next();

    let bundle = Bundle::from_files(hilbert_models::default_bundle())?;
    let mut classifier = Classifier::new(Model::from_bundle(&bundle)?)?;
    let result = classifier.classify_file(
        Some(Path::new(&wav)),
        transcript.as_ref().map(Path::new),
        &Options::default(),
    )?;

    println!("row\tstart_s\tend_s\tweight");
    for segment in &result.segments {
        println!(
            "segment\t{:.3}\t{:.3}\t{:.6}",
            segment.start_s, segment.end_s, segment.audio_weight
        );
    }
    let seconds = |time: Option<f64>| time.map_or("-".to_owned(), |s| format!("{s:.3}"));
    for cue in &result.cues {
        println!("cue\t{}\t{}\t{:.6}", seconds(cue.start_s), seconds(cue.end_s), cue.text_weight);
    }
    println!("\ntask\texpert\tgate");
    for task in &result.tasks {
        for expert in &task.experts {
            println!("{}\t{}\t{:.6}", task.name, expert.id, expert.gate);
        }
    }
    for warning in &result.warnings {
        eprintln!("{}: {}", warning.code, warning.message);
    }
    Ok(())
}
