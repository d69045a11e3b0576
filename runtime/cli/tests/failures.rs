//! How the command fails: its exit code, one line on standard error, nothing on standard output.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;

use crate::process::{Finished, bundle, command, hilbert, sample};

struct Row {
    arguments: Vec<String>,
    code: i32,
    /// Parts of the message.
    says: &'static [&'static str],
}

fn row(code: i32, says: &'static [&'static str], arguments: &[&str]) -> Row {
    Row { arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(), code, says }
}

/// Runs every row and reports all that differ.
fn check(rows: Vec<Row>) {
    let mut failed = Vec::new();
    for Row { arguments, code, says } in rows {
        let finished = hilbert(&arguments);
        let Finished { code: found, stdout, stderr } = &finished;
        let said = says.iter().all(|part| stderr.contains(part));
        // Usage errors say how the command is used; the others are one line.
        let in_form = if code == 2 {
            stderr.contains("--help")
        } else {
            stderr.starts_with("hilbert: ") && stderr.lines().count() == 1 && stderr.ends_with('\n')
        };
        if *found != code || !stdout.is_empty() || !said || !in_form {
            failed.push((arguments, code, says, finished));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_wrong_command_line_is_code_2() {
    let (wav, srt) = (&*sample("session.wav"), &*sample("session.srt"));
    check(vec![
        row(2, &["Usage: hilbert"], &[]),
        row(2, &["unrecognized subcommand 'guess'"], &["guess"]),
        row(2, &["<REC.wav|--transcript <FILE>>"], &["classify"]),
        row(2, &["<REC.wav|--transcript <FILE>>"], &["classify", "--format", "json"]),
        row(2, &["--colour"], &["classify", wav, "--colour"]),
        row(2, &["'xml'", "text, json"], &["classify", wav, "--format", "xml"]),
        row(2, &["--jobs", "'0'"], &["classify", wav, wav, "--jobs", "0"]),
        row(
            2,
            &["--transcript is for one recording"],
            &["classify", wav, wav, "--transcript", srt],
        ),
        row(2, &["standard input is for one"], &["classify", wav, "-"]),
        row(2, &["--channel", "'0'"], &["classify", wav, "--channel", "0"]),
        row(2, &["--channel", "'left'"], &["classify", wav, "--channel", "left"]),
        row(2, &["<REC.wav>"], &["classify", "--transcript", srt, "--channel", "1"]),
        row(2, &["--transcript"], &["classify", wav, "--transcript"]),
        row(2, &["'xml'"], &["selftest", "--format", "xml"]),
        row(2, &["--model <BUNDLE>"], &["selftest", "--trusted-key", "maker.pub"]),
    ]);
}

#[test]
fn an_input_that_cannot_be_used_is_code_4() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (wav, srt) = (&*sample("session.wav"), &*sample("session.srt"));
    let directory = folder.path().to_str().unwrap();
    let empty = &*file("empty.wav", b"");
    let blank = &*file("blank.txt", b" \n");
    let latin = &*file("latin.txt", b"caf\xe9");
    let session = fs::read(wav).unwrap();
    let header_only = &*file("header.wav", &session[..40]);
    let mut silence = session[..44 + 64_000].to_vec();
    silence[44..].fill(0);
    let silence = &*file("silence.wav", &silence);
    check(vec![
        row(4, &["absent.wav", "cannot be read"], &["classify", "absent.wav"]),
        row(4, &["absent.srt", "cannot be read"], &["classify", wav, "--transcript", "absent.srt"]),
        row(4, &["found a directory, expected a file"], &["classify", directory]),
        row(4, &["found a directory, expected a file"], &["classify", "--transcript", directory]),
        row(4, &["empty.wav", "at byte"], &["classify", empty]),
        row(4, &["header.wav", "at byte"], &["classify", header_only]),
        row(4, &["session.srt", "expected", "at byte"], &["classify", srt]),
        row(4, &["session.wav"], &["classify", "--transcript", wav]),
        row(4, &["latin.txt"], &["classify", "--transcript", latin]),
        row(
            4,
            &["a transcript without words", "expected speech or words"],
            &["classify", "--transcript", blank],
        ),
        row(
            4,
            &["silence.wav: nothing to classify", "a recording without speech"],
            &["classify", silence],
        ),
        row(
            4,
            &["session.wav: audio: found", "expected a channel 2"],
            &["classify", wav, "--channel", "2"],
        ),
        row(4, &["expected a channel 65535"], &["classify", wav, "--channel", "65535"]),
    ]);
}

#[test]
fn a_bundle_that_cannot_be_used_is_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |name: &str, break_it: &dyn Fn(&Path)| {
        let copy = folder.path().join(name);
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(bundle()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        break_it(&copy);
        copy.to_str().unwrap().to_owned()
    };
    let empty = &*broken("empty", &|copy| fs::remove_file(copy.join("manifest.json")).unwrap());
    let missing = &*broken("missing", &|copy| fs::remove_file(copy.join("router.onnx")).unwrap());
    let flipped = &*broken("flipped", &|copy| {
        let mut bytes = fs::read(copy.join("router.onnx")).unwrap();
        bytes[1000] ^= 1;
        fs::write(copy.join("router.onnx"), bytes).unwrap();
    });
    let cut = &*broken("cut", &|copy| {
        let bytes = fs::read(copy.join("vocab.txt")).unwrap();
        fs::write(copy.join("vocab.txt"), &bytes[..1000]).unwrap();
    });
    let no_json =
        &*broken("no_json", &|copy| fs::write(copy.join("manifest.json"), "{\"schema\":").unwrap());
    let newer = &*broken("newer", &|copy| {
        let manifest = fs::read_to_string(copy.join("manifest.json")).unwrap();
        fs::write(
            copy.join("manifest.json"),
            manifest.replace("hilbert.bundle/1", "hilbert.bundle/9"),
        )
        .unwrap();
    });
    let srt = &*sample("session.srt");
    let with = |bundle| ["classify", "--transcript", srt, "--model", bundle];
    check(vec![
        row(3, &["absent", "manifest.json"], &with("absent")),
        row(3, &["manifest.json"], &with(empty)),
        row(3, &["router.onnx"], &with(missing)),
        row(3, &["router.onnx", "found", "expected"], &with(flipped)),
        row(3, &["vocab.txt", "1000", "expected"], &with(cut)),
        row(3, &["manifest.json", "line 1"], &with(no_json)),
        row(3, &["absent", "manifest.json"], &["selftest", "--model", "absent"]),
        row(3, &["hilbert.bundle/9", "expected \"hilbert.bundle/1\""], &with(newer)),
    ]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let rows: [(&[&str], &[&str]); 4] = [
        (&["--version"], &[concat!("hilbert ", env!("CARGO_PKG_VERSION"), "\n")]),
        (&["--help"], &["Usage: hilbert <COMMAND>", "classify", "Exit codes:", "HILBERT_LOG"]),
        (
            &["classify", "--help"],
            &[
                "Examples:",
                "--transcript session.srt",
                "[REC.wav]",
                "--model <BUNDLE>",
                "[default: text]",
            ],
        ),
        (&["help", "classify"], &["Examples:"]),
    ];
    let mut failed = Vec::new();
    for (arguments, says) in rows {
        let finished = hilbert(arguments);
        if finished.code != 0
            || !finished.stderr.is_empty()
            || !says.iter().all(|part| finished.stdout.contains(part))
        {
            failed.push((arguments, says, finished));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_code_7() {
    let srt = &*sample("session.srt");
    let mut failed = Vec::new();
    let rows = [
        vec!["--help"],
        vec!["classify", "--transcript", srt],
        vec!["classify", "--transcript", srt, "--format", "json"],
    ];
    for arguments in &rows {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        if output.status.code() != Some(7)
            || !stderr.starts_with("hilbert: standard output: cannot be written: ")
        {
            failed.push((arguments, output.status, stderr));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let srt = &*sample("session.srt");
    let mut failed = Vec::new();
    let rows = [vec!["--help"], vec!["classify", "--transcript", srt, "--format", "json"]];
    for arguments in &rows {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        if output.status.code() != Some(0) || !output.stderr.is_empty() {
            failed.push((arguments, output));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn messages_are_shown_when_asked_for_and_never_on_standard_output() {
    let srt = &*sample("session.srt");
    let arguments = ["classify", "--transcript", srt, "--format", "json"];
    let output = command(&arguments).env("HILBERT_LOG", "hilbert_runtime=info").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("hilbert: info: bundle ") && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), hilbert(&arguments).stdout);
}
