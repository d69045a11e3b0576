//! Journals: killed at any instant, a classification goes on to the same result.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use hilbert_formats::bundle::sha256;

use crate::process::{Finished, command, hilbert, sample};

/// The sample recording several times in a row, and cues over all of it.
fn long(folder: &Path, times: usize) -> [String; 2] {
    let bytes = fs::read(sample("session.wav")).unwrap();
    let audio = bytes[44..].repeat(times);
    let mut wav = bytes[..44].to_vec();
    wav[4..8].copy_from_slice(&u32::try_from(audio.len() + 36).unwrap().to_le_bytes());
    wav[40..44].copy_from_slice(&u32::try_from(audio.len()).unwrap().to_le_bytes());
    wav.extend(audio);
    let cue = |i: usize| {
        let at = |s: usize| format!("00:{:02}:{:02},500", s / 60, s % 60);
        format!("{}\n{} --> {}\nthe words of cue {i}\n\n", i + 1, at(9 * i), at(9 * i + 7))
    };
    let srt: String = (0..76 * times / 9).map(cue).collect();
    let paths = ["long.wav", "long.srt"].map(|name| folder.join(name));
    fs::write(&paths[0], wav).unwrap();
    fs::write(&paths[1], srt).unwrap();
    paths.map(|path| path.to_str().unwrap().to_owned())
}

/// Lengths of time without a pattern, so that runs are killed anywhere.
fn delays() -> impl Iterator<Item = Duration> {
    let seed = Instant::now();
    (0..).map(move |i| {
        let noise = sha256(format!("{i} {:?}", seed).as_bytes());
        Duration::from_millis(120 + u64::from_str_radix(&noise[..2], 16).unwrap())
    })
}

#[test]
fn killed_again_and_again_it_ends_with_the_bytes_of_a_run_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let [wav, srt] = long(folder.path(), 16);
    let plain = ["classify", &wav, "--transcript", &srt, "--format", "json"];
    let expected = hilbert(&plain);
    assert_eq!(expected.code, 0);
    let journal = folder.path().join("journal").to_str().unwrap().to_owned();
    let resumed = [&plain[..], &["--journal", &journal, "--resume"]].concat();
    let mut killed = 0;
    for delay in delays().take(25) {
        let mut child =
            command(&resumed).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(delay);
        // SIGKILL.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        killed += 1;
    }
    println!("killed {killed} times");
    assert!(killed >= 3, "{killed}");
    for _ in 0..2 {
        let Finished { code, stdout, stderr } = hilbert(&resumed);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(stdout, expected.stdout);
    }
}

#[test]
fn a_journal_that_was_cut_or_damaged_anywhere_gives_the_same_result() {
    let folder = tempfile::tempdir().unwrap();
    let [wav, srt] = long(folder.path(), 2);
    let plain = ["classify", &wav, "--transcript", &srt, "--format", "json"];
    let expected = hilbert(&plain).stdout;
    let path = folder.path().join("journal");
    let journal = path.to_str().unwrap().to_owned();
    let started = [&plain[..], &["--journal", &journal]].concat();
    let resumed = [&started[..], &["--resume"]].concat();
    assert_eq!(hilbert(&started).stdout, expected);
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 15 * 3000, "{}", whole.len());
    let places = [0, 5, 16, 30, 300, 400, 3500, whole.len() / 2, whole.len() - 7, whole.len() - 1];
    for at in places {
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(hilbert(&resumed).stdout, expected, "cut at {at}");
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {at}");
    }
    for at in [600, whole.len() / 2, whole.len() - 20] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert_eq!(hilbert(&resumed).stdout, expected, "damaged at {at}");
        assert_eq!(fs::read(&path).unwrap(), whole, "damaged at {at}");
    }
}

#[test]
fn another_document_and_files_that_are_none_of_its_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let [wav, srt] = long(folder.path(), 1);
    let path = folder.path().join("journal");
    let journal = path.to_str().unwrap().to_owned();
    let with_journal = ["classify", &wav, "--journal", &journal];
    assert_eq!(hilbert(&with_journal).code, 0);
    let whole = fs::read(&path).unwrap();
    let other = folder.path().join("other.wav");
    let mut bytes = fs::read(&wav).unwrap();
    bytes[44 + 400_000] ^= 0x10;
    fs::write(&other, &bytes).unwrap();
    let shorter = folder.path().join("shorter.wav");
    fs::write(&shorter, &bytes[..44 + 2 * 16_000 * 8]).unwrap();
    let [other, shorter] = [&other, &shorter].map(|path| path.to_str().unwrap().to_owned());
    let of = |wav: &str, more: &[&str]| {
        let arguments = [&["classify", wav, "--journal", &journal, "--resume"][..], more].concat();
        let Finished { code, stdout, stderr } = hilbert(&arguments);
        assert_eq!(stdout, "");
        (code, stderr)
    };
    let rows = [
        (
            hilbert(&with_journal).code,
            hilbert(&with_journal).stderr,
            "found a file, expected none; --resume",
        ),
        {
            let (code, said) = of(&other, &[]);
            (code, said, "found other audio from sample")
        },
        {
            let (code, said) = of(&shorter, &[]);
            (code, said, "found the end of the recording before")
        },
        {
            let (code, said) = of(&wav, &["--transcript", &srt]);
            (code, said, "found a journal with transcript ")
        },
        {
            let (code, said) = of(&wav, &["--engine", "portable"]);
            (code, said, "expected engine portable")
        },
    ];
    for (code, said, expected) in rows {
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(fs::read(&path).unwrap(), whole);
    fs::write(&path, "notes of mine").unwrap();
    let (code, said) = of(&wav, &[]);
    assert!(code == 4 && said.contains("found a file of another kind"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes of mine");
    let nowhere = folder.path().join("no/such/folder").to_str().unwrap().to_owned();
    assert_eq!(hilbert(&["classify", &wav, "--journal", &nowhere]).code, 7);
    assert_eq!(hilbert(&["classify", &wav, "--resume"]).code, 2);
}
