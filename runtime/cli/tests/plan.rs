//! `hilbert plan`, and memory that is limited.

use std::fs;

use serde_json::Value;

use crate::process::{Finished, bundle, command, hilbert, sample};

fn plan(arguments: &[&str]) -> Value {
    let Finished { code, stdout, stderr } =
        hilbert(&[&["plan", "--format", "json"], arguments].concat());
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn the_plan_adds_up_in_json_and_as_a_table() {
    let value = plan(&[]);
    assert_eq!(value["schema"], "hilbert.plan/1");
    assert_eq!((&value["bundle"], &value["n_max"]), (&"spoken-english".into(), &512.into()));
    let components = value["components"].as_array().unwrap();
    let sum: u64 = components.iter().map(|one| one["bytes"].as_u64().unwrap()).sum();
    assert_eq!(value["total"].as_u64(), Some(sum.max(value["loading"].as_u64().unwrap())));
    let Finished { code, stdout, .. } = hilbert(&["plan"]);
    assert_eq!(code, 0);
    for part in components.iter().map(|one| one["name"].as_str().unwrap()).chain(["at most"]) {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(stdout.contains(&format!("{sum}")), "{stdout}");
}

#[test]
fn what_is_given_counts() {
    let total = |arguments: &[&str]| plan(arguments)["total"].as_u64().unwrap();
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let folder = tempfile::tempdir().unwrap();
    let stereo = folder.path().join("stereo.wav");
    // 44.1 kHz has to be resampled.
    let mut header = fs::read(&wav).unwrap()[..44].to_vec();
    header[24..28].copy_from_slice(&44_100_u32.to_le_bytes());
    header[40..44].copy_from_slice(&0_u32.to_le_bytes());
    fs::write(&stereo, &header).unwrap();
    assert!(total(&[stereo.to_str().unwrap()]) > total(&[&wav]) + (200 << 10));
    let long = folder.path().join("long.srt");
    let cue = |i: usize| {
        format!("{i}\n00:{:02}:{:02},000 --> 00:59:59,000\nsome words\n\n", i / 60, i % 60)
    };
    fs::write(&long, (0..3000).map(cue).collect::<String>()).unwrap();
    assert!(
        total(&["--transcript", long.to_str().unwrap()])
            > total(&["--transcript", &srt]) + 3000 * 100
    );
    // The weights of the bundle inside stay where they are.
    let of_folder = bundle();
    assert!(total(&["--model", of_folder.to_str().unwrap()]) > total(&[]) + 7_000_000);
}

#[test]
fn a_limit_keeps_fewer_rows_or_refuses() {
    let all = plan(&[]);
    let least = plan(&["--max-memory", &(all["total"].as_u64().unwrap() - 900_000).to_string()]);
    let n_max = least["n_max"].as_u64().unwrap();
    assert!((64..512).contains(&n_max), "{n_max}");
    let total = least["total"].as_u64().unwrap();
    assert!(total <= all["total"].as_u64().unwrap() - 900_000);
    assert_eq!(plan(&["--max-memory", "1G"])["n_max"], 512);
    let wav = sample("session.wav");
    for command in [&["plan", "--max-memory", "6M"][..], &["classify", &wav, "--max-memory", "6M"]]
    {
        let Finished { code, stdout, stderr } = hilbert(command);
        assert_eq!((code, stdout.as_str()), (5, ""), "{command:?}");
        assert!(stderr.starts_with("hilbert: memory: found "), "{stderr}");
        assert!(stderr.ends_with("expected at most 6291456\n"), "{stderr}");
    }
    for wrong in ["", "M", "12X", "-1", "99999999999G"] {
        assert_eq!(hilbert(&["plan", "--max-memory", wrong]).code, 2, "{wrong}");
    }
    // The same decision, for no rows had to merge.
    let classified = |arguments: &[&str]| {
        let Finished { code, stdout, .. } = hilbert(&[&["classify", &*wav], arguments].concat());
        assert_eq!(code, 0);
        stdout
    };
    assert_eq!(classified(&["--max-memory", "9000000"]), classified(&[]));
}

/// What a process maps beside its heap: the program's file, the C library, stacks.
#[cfg(target_os = "linux")]
const BESIDE_HEAP: u64 = 16 << 20;

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_may_map_no_more_than_its_file_and_the_plan_classifies() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let planned = plan(&[&wav, "--transcript", &srt])["total"].as_u64().unwrap();
    let file = fs::metadata(env!("CARGO_BIN_EXE_hilbert")).unwrap().len();
    let run = |limit: u64| {
        // `exec` after `ulimit`, so that the limit is this program's own.
        let script = format!("ulimit -v {}; exec \"$@\"", limit >> 10);
        let inner = command(&["classify", &wav, "--transcript", &srt, "--format", "json"]);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        let output = shell.env_remove("HILBERT_LOG").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let expected = hilbert(&["classify", &wav, "--transcript", &srt, "--format", "json"]).stdout;
    assert_eq!(run(planned + file + BESIDE_HEAP), (Some(0), expected));
    assert_ne!(run(file + BESIDE_HEAP / 4).0, Some(0), "the limit holds");
}
