//! The command `hilbert-export`: exit codes, and what goes to which stream.

use std::ffi::OsStr;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::tiny::Tiny;
use crate::trained::{checkpoint, perturbed_golden};

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hilbert-export")).args(arguments).output().unwrap()
}

#[test]
fn results_go_to_stdout_and_errors_to_stderr_with_their_code() {
    let (tiny, folder) = (Tiny::new().written(), TempDir::new().unwrap());
    let tiny = tiny.path().to_str().unwrap();
    let out = folder.path().join("bundle");
    let out = out.to_str().unwrap();
    let map = format!("{tiny}/config.json");
    let rows: [(&[&str], i32, &str); 11] = [
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
