//! Recordings from a pipe, estimates on the way, and the result so far.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::process::{command, hilbert, sample};

/// The command with a pipe on each side.
fn started(arguments: &[&str]) -> Child {
    command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code and output of the command fed with these bytes.
fn fed(arguments: &[&str], bytes: &[u8]) -> (Option<i32>, String) {
    let mut child = started(arguments);
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writes = thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writes.join().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn classified(file: &str) -> Value {
    serde_json::from_str(&hilbert(&["classify", file, "--format", "json"]).stdout).unwrap()
}

#[test]
fn standard_input_is_classified_as_the_file_is_with_a_header_or_without() {
    let wav = sample("session.wav");
    let bytes = fs::read(&wav).unwrap();
    let mut expected = classified(&wav);
    expected["input"]["path"] = "-".into();
    for (arguments, bytes) in [
        (&["classify", "-", "--format", "json"][..], &bytes[..]),
        (&["classify", "-", "--format", "json", "--raw", "s16le:16000:1"], &bytes[44..]),
    ] {
        let (code, stdout) = fed(arguments, bytes);
        assert_eq!(code, Some(0));
        assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), expected);
    }
    let (code, stdout) = fed(&["classify", "-", "--format", "json"], b"RIFX");
    assert_eq!((code, stdout.as_str()), (Some(4), ""));
}

#[test]
fn estimates_come_on_the_way_and_the_result_last_one_line_each() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let bytes = fs::read(&wav).unwrap();
    let (code, stdout) = fed(&["classify", "-", "--transcript", &srt, "--every", "20s"], &bytes);
    assert_eq!(code, Some(0));
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [estimates @ .., result] = &lines[..] else { panic!("{stdout}") };
    let at: Vec<f64> = estimates.iter().map(|one| one["at_s"].as_f64().unwrap().floor()).collect();
    assert_eq!(at, [20.0, 40.0, 60.0]);
    for estimate in estimates {
        assert_eq!(estimate["schema"], "hilbert.estimate/1");
        assert_eq!(estimate["tasks"].as_array().unwrap().len(), 2, "{estimate}");
    }
    assert!(estimates[0]["segments"].as_u64() < estimates[2]["segments"].as_u64());
    let mut expected: Value = serde_json::from_str(
        &hilbert(&["classify", &wav, "--transcript", &srt, "--format", "json"]).stdout,
    )
    .unwrap();
    expected["input"]["path"] = "-".into();
    assert_eq!(*result, expected, "having been asked changes nothing");
    // Of a file too, and the same from run to run.
    let of_file = hilbert(&["classify", &wav, "--every", "20s"]).stdout;
    assert_eq!(of_file.lines().count(), 4);
    assert_eq!(of_file, hilbert(&["classify", &wav, "--every", "20s"]).stdout);
    for wrong in ["", "0s", "10ms", "soon"] {
        assert_eq!(hilbert(&["classify", &wav, "--every", wrong]).code, 2, "{wrong}");
    }
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Reads one line, byte by byte, so that nothing behind it is taken.
#[cfg(unix)]
fn line(stdout: &mut impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte != [b'\n'] {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

#[cfg(unix)]
#[test]
fn a_signal_ends_with_the_result_so_far_although_the_pipe_stays_open() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = started(&["classify", "-", "--raw", "s16le:16000:1", "--every", "10s"]);
        let mut stdin = child.stdin.take().unwrap();
        let bytes = fs::read(sample("session.wav")).unwrap();
        // 30 s, and then whoever records says nothing more.
        stdin.write_all(&bytes[44..44 + 2 * 16_000 * 30]).unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let estimates: Vec<String> = (0..2).map(|_| line(&mut stdout)).collect();
        assert!(estimates.iter().all(|one| one.contains("hilbert.estimate/1")), "{estimates:?}");
        thread::sleep(Duration::from_millis(300));
        signal(&child, name);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        let result: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
        assert_eq!(result["schema"], "hilbert.result/1");
        assert_eq!(result["input"]["duration_s"], 30.0);
        let codes: Vec<_> =
            result["warnings"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
        assert_eq!(codes, ["no_transcript", "interrupted"]);
        drop(stdin);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_before_anything_was_heard_is_no_result_and_its_own_code() {
    let mut child = started(&["classify", "-", "--raw", "s16le:16000:1"]);
    let stdin = child.stdin.take().unwrap();
    thread::sleep(Duration::from_millis(500));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to classify"));
    drop(stdin);
}
