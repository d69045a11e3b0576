//! The command `hilbert-export`: exit codes, and what goes to which stream.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::tiny::Tiny;
use crate::trained::{checkpoint, perturbed_golden};

pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilbert-export"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn results_go_to_stdout_and_errors_to_stderr_with_their_code() {
    let (tiny, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let tiny = tiny.path().to_str().unwrap();
    let out = folder.path().join("bundle");
    let out = out.to_str().unwrap();
    let map = format!("{tiny}/config.json");
    let rows: [(&[&str], i32, &str); 23] = [
        (&[tiny, out], 0, ""),
        (&[tiny, out], 7, "--force replaces it"),
        (
            &[tiny, out, "--weights", "f32", "--name", "other", "--bundle-version", "2", "--force"],
            0,
            "",
        ),
        (&[tiny, out, "--weights", "int4"], 2, "int4"),
        (&[tiny, out, "--bundle-version", "0"], 2, "--bundle-version"),
        (&[tiny, out, "--map", &map], 4, "not a map of tensors' names"),
        (&[tiny, out, "--map", "none"], 4, "none: cannot be read"),
        (&[&format!("{tiny}/none"), out], 4, "config.json: cannot be read"),
        (&["verify", out], 0, ""),
        (&["verify", tiny], 3, "manifest.json"),
        (&["verify"], 2, "<BUNDLE>"),
        (&["inspect", out], 0, ""),
        (&["inspect", out, "--json"], 0, ""),
        (&["inspect", tiny], 3, "manifest.json: found no such file, expected one"),
        (&["diff", out, out], 0, ""),
        (&["diff", out, out, "--json"], 0, ""),
        (&["diff", out, tiny], 3, "manifest.json: found no such file, expected one"),
        (&["diff", out, out, "--calibration", "none"], 4, "none: cannot be read"),
        (&["diff", out, out, "--documents", "5"], 2, "--calibration"),
        (&["diff", out], 2, "<NEW>"),
        (&["measure", out], 0, ""),
        (&["measure", out, "--json"], 0, ""),
        (&["measure", tiny], 3, "manifest.json: found no such file, expected one"),
    ];
    let mut wrong = Vec::new();
    for (arguments, code, message) in rows {
        let output = run(arguments);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let streams =
            if code == 0 { !stdout.is_empty() && stderr.is_empty() } else { stdout.is_empty() };
        if output.status.code() != Some(code) || !streams || !stderr.contains(message) {
            wrong.push(format!("{arguments:?}: {output:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_bundle_is_packed_signed_and_verified_by_commands() {
    let (tiny, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let tiny = tiny.path().to_str().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let names = ["bundle", "a.hilbert", "again", "maker", "other", "maker.key", "maker.pub"];
    let [bundle, archive, again, maker, other, secret, public] = names.map(path);
    let other_public = format!("{other}.pub");
    let rows: [(&[&str], i32, &str); 28] = [
        (&[tiny, &bundle], 0, "int8 weights"),
        (&["pack", &bundle, &archive], 0, "all as the manifest says, in "),
        (&["pack", &bundle, &archive], 7, "--force replaces it"),
        (&["pack", &bundle, &archive, "--force"], 0, "tiny: "),
        (&["pack", tiny, &again], 3, "manifest.json: found no such file"),
        (&["pack", &bundle, &secret, "--weights", "f32"], 2, "--weights"),
        (&["unpack", &archive, &again], 0, "tiny: "),
        (&["unpack", &public, &again], 3, "manifest.json"),
        (&["verify", &archive], 0, "\nnot signed\n"),
        (&["verify", &archive, "--trusted-key", "none"], 4, "none: cannot be read"),
        (&["keygen", &maker, "--no-password"], 0, "secret key  "),
        (&["keygen", &maker, "--no-password"], 7, "keys are never overwritten"),
        (&["keygen", &path("third")], 4, "password: found none, expected one on the terminal"),
        (&["keygen", &other, "--no-password"], 0, "not encrypted"),
        (&["verify", &archive, "--trusted-key", &public], 3, "found no signature"),
        (&["verify", &archive, "--trusted-key", &secret], 4, "expected a public key"),
        (&["sign", &archive, "--key", &secret], 0, "tiny: signed by key "),
        (&["sign", &bundle, "--key", &secret, "--comment", "first"], 0, ": first\n"),
        (&["sign", &bundle, "--key", &secret, "--comment", ""], 4, "comment: found an empty one"),
        (&["sign", &bundle, "--key", &public], 4, "expected a secret key of minisign"),
        (&["sign", &bundle], 2, "--key"),
        (&["verify", &archive, "--trusted-key", &public], 0, "tiny, version 1\n"),
        (&["verify", &bundle, "--trusted-key", &other_public], 3, "found a signature by key "),
        (
            &["verify", &bundle, "--trusted-key", &other_public, "--trusted-key", &public],
            0,
            "\nsigned by key ",
        ),
        (&["inspect", &bundle], 0, "  signature    not verified: "),
        (&["inspect", &archive], 0, "  files        "),
        (
            &["diff", &again, &archive],
            0,
            "\ndocuments not compared: no --calibration list was given\n",
        ),
        (&["verify", &bundle], 0, "\nsigned, not verified: no key was given\n"),
    ];
    let mut wrong = Vec::new();
    for (arguments, code, message) in rows {
        let output = run(arguments);
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let (told, silent) = if code == 0 { (stdout, stderr) } else { (stderr, stdout) };
        if output.status.code() != Some(code) || !told.contains(message) || !silent.is_empty() {
            wrong.push(format!("{arguments:?}: {output:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_password_is_the_first_line_of_what_is_piped_in() {
    let (tiny, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [bundle, maker, secret] = ["bundle", "maker", "maker.key"].map(path);
    run([tiny.path().to_str().unwrap(), &*bundle]);
    let piped = |arguments: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hilbert-export"));
        command.args(arguments).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = piped(&["keygen", &maker], "\n");
    assert!(
        code == 4 && error.contains("found an empty one, expected one, or --no-pass"),
        "{error}"
    );
    assert!(!fs::exists(&secret).unwrap());
    assert_eq!(piped(&["keygen", &maker], "pass word\r\nmore\n"), (0, String::new()));
    let sign = ["sign", &*bundle, "--key", &*secret];
    let (code, error) = piped(&sign, "password\n");
    assert!(code == 4 && error.contains("found one that does not open the key"), "{error}");
    let (code, error) = piped(&sign, "");
    assert!(code == 4 && error.contains("password: found none"), "{error}");
    assert_eq!(piped(&sign, "pass word"), (0, String::new()));
}

#[test]
fn a_bundle_unlike_the_reference_exits_with_8_and_names_the_stage() {
    let folder = TempDir::new().unwrap();
    let [golden, out] = ["golden.safetensors", "bundle"].map(|n| folder.path().join(n));
    perturbed_golden("int8/text_only/gates", 1, 1e-2, &golden);
    let (checkpoint, recipe) = (checkpoint(), checkpoint().with_file_name("recipe.json"));
    let output = run([
        checkpoint.as_os_str(),
        out.as_os_str(),
        OsStr::new("--recipe"),
        recipe.as_os_str(),
        OsStr::new("--golden"),
        golden.as_os_str(),
    ]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(stderr.contains(r#"stage "gates", document "text_only", index 1"#), "{stderr}");
    assert!(output.stdout.is_empty() && !out.exists());
}
