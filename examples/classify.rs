//! A recording and its transcript to labels and probabilities, with the default bundle:
//! `cargo run --release -p hilbert-examples --bin classify -- REC.wav TRANSCRIPT`.
#![expect(clippy::print_stdout, reason = "a program's result")]

use std::error::Error;
use std::path::PathBuf;

use hilbert_formats::Bundle;
use hilbert_runtime::{Classifier, Model, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [wav, transcript] = &files[..] else {
        return Err("expected a recording and its transcript".into());
    };
    let bundle = Bundle::from_files(hilbert_models::default_bundle())?;
    let mut classifier = Classifier::new(Model::from_bundle(&bundle)?)?;
    let result = classifier.classify_file(Some(wav), Some(transcript), &Options::default())?;
    for task in &result.tasks {
        println!("{}: {}", task.name, task.label);
        for one in &task.probabilities {
            println!("  {:.3} {}", one.probability, one.label);
        }
    }
    Ok(())
}
