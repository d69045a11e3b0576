//! Each example runs as a user would run it, on the recording in `examples/data`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

fn run(program: &str, files: &[&str]) -> Output {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    Command::new(program).args(files.iter().map(|file| data.join(file))).output().unwrap()
}

fn stdout_of(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn classify_prints_a_label_and_its_probabilities_for_each_task() {
    let output = run(env!("CARGO_BIN_EXE_classify"), &["session.wav", "session.srt"]);
    let lines: Vec<&str> = stdout_of(&output).lines().collect();
    let tasks = [
        ("proficiency", &["basic", "intermediate", "proficient"][..]),
        ("fluency", &["at_risk", "fluent"]),
    ];
    let mut rest = &lines[..];
    for (name, labels) in tasks {
        let (head, tail) = rest.split_at(1 + labels.len());
        let probabilities: Vec<(f64, &str)> = head[1..]
            .iter()
            .map(|line| line.trim_start().split_once(' ').unwrap())
            .map(|(probability, label)| (probability.parse().unwrap(), label))
            .collect();
        assert_eq!(probabilities.iter().map(|(_, label)| *label).collect::<Vec<_>>(), labels);
        assert!(
            (probabilities.iter().map(|(p, _)| p).sum::<f64>() - 1.0).abs() < 0.002,
            "{lines:?}"
        );
        let most = probabilities.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        assert_eq!(head[0], format!("{name}: {}", most.1));
        rest = tail;
    }
    assert!(rest.is_empty(), "{lines:?}");
}

#[test]
fn classify_without_files_says_what_it_expects() {
    let output = run(env!("CARGO_BIN_EXE_classify"), &[]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("expected a recording and its transcript")
    );
}

#[test]
fn segments_prints_weights_and_gates_that_sum_to_one() {
    let output = run(env!("CARGO_BIN_EXE_segments"), &["session.wav", "session.srt"]);
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = stdout_of(&output);
    let sum = |row: &str| -> f64 {
        let lines = text.lines().filter(|line| line.split('\t').next() == Some(row));
        lines.map(|line| line.rsplit('\t').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let sums = ["segment", "cue", "proficiency", "fluency"].map(|row| (row, sum(row)));
    assert!(sums.iter().all(|(_, sum)| (sum - 1.0).abs() < 1e-4), "{sums:?} in\n{text}");
}

#[test]
fn segments_does_without_a_transcript() {
    let output = run(env!("CARGO_BIN_EXE_segments"), &["session.wav"]);
    assert!(!stdout_of(&output).contains("\ncue"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("no_transcript: "), "{output:?}");
}
