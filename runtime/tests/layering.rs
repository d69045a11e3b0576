//! The layers of this crate, each importing only what stands left of it. The table is CONTRIBUTING.md's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom to the top; those of one row do not import each other.
const LAYERS: [&[&str]; 14] = [
    &["error", "limits"],
    &["engine"],
    &["selftest"],
    &["audio"],
    &["segment"],
    &["features"],
    &["encoder"],
    &["alignment"],
    &["fusion"],
    &["moe"],
    &["decision"],
    &["session"],
    &["classifier"],
    &["plan"],
];

/// A line that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// Counted from 1.
    line: usize,
    reason: String,
}

#[test]
fn every_module_imports_only_what_stands_left_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = rust_files(&root);
    assert!(files.len() > LAYERS.len(), "found {} files in {}", files.len(), root.display());
    let mut report = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&file).unwrap();
        report.extend(describe(
            &format!("runtime/src/{name}"),
            &text,
            layer_violations(&name, &text),
        ));
    }
    assert!(report.is_empty(), "\n{}", report.join("\n"));
}

#[test]
fn tract_is_named_under_engine_alone_kernels_there_and_in_features_and_hound_in_formats() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut report = Vec::new();
    for folder in [
        "runtime/src",
        "runtime/formats/src",
        "runtime/cli/src",
        "exporter/src",
        "models/src",
        "examples",
        "benches",
    ] {
        for file in rust_files(&workspace.join(folder)) {
            let name = file.strip_prefix(&workspace).unwrap().to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&file).unwrap();
            report.extend(describe(&name, &text, crate_violations(&name, &text)));
        }
    }
    assert!(report.is_empty(), "\n{}", report.join("\n"));
}

#[test]
fn planted_violations_are_found() {
    let rows: [(&str, &str, &[usize]); 14] = [
        ("audio.rs", "use crate::error::Result;\nuse crate::segment::Segmenter;\n", &[2]),
        ("audio/mixdown.rs", "fn f() -> crate::session::Model { todo!() }", &[1]),
        (
            "engine/load.rs",
            "use crate::{\n    error::Error,\n    moe::{Gate, crate_name},\n    limits,\n};\n",
            &[3],
        ),
        ("features.rs", "use super::fusion::Fusion;\n", &[1]),
        ("features/tokens.rs", "use super::super::classifier;\n", &[1]),
        ("limits.rs", "use crate::error::Error;\n", &[1]),
        (
            "fusion.rs",
            "/* crate::session */ // crate::session\n/// [`crate::session`]\nuse crate::fusion::rows;\n",
            &[],
        ),
        ("fusion.rs", "const A: &str = \"//\"; use crate::session::Model;\n", &[1]),
        ("fusion.rs", "const A: char = '\"'; use crate::moe::Moe; // \"\n", &[1]),
        ("moe.rs", "use crate::Error;\n", &[1]),
        ("moe.rs", "use crate::*;\n", &[1]),
        ("moe.rs", "use crate :: session ;\n", &[1]),
        (
            "session/model.rs",
            "use crate::moe::MixtureOfExperts;\nuse super::front_end::FrontEnd;\n",
            &[],
        ),
        ("new_layer.rs", "fn f() {}\n", &[1]),
    ];
    let mut failed = Vec::new();
    for (name, text, lines) in rows {
        let found = layer_violations(name, text);
        if found.iter().map(|violation| violation.line).collect::<Vec<_>>() != lines {
            failed.push(format!("{name}: {text:?}: {found:?}"));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn planted_names_of_crates_are_found() {
    let rows: [(&str, &str, usize); 8] = [
        ("runtime/src/engine/load.rs", "use tract_onnx::prelude::tvec;\n", 0),
        ("runtime/src/fusion.rs", "use tract_onnx::prelude::tvec;\n", 1),
        ("runtime/src/fusion.rs", "use hilbert_kernels::Isa;\n", 1),
        ("runtime/src/features/log_mel.rs", "use hilbert_kernels::Isa;\n", 0),
        ("runtime/src/audio.rs", "fn f() {\n    hound::WavReader::open(\"\");\n}\n", 1),
        ("runtime/formats/src/wav.rs", "use hound;\n", 0),
        ("runtime/formats/src/wav.rs", "use tract_core::internal;\n", 1),
        (
            "exporter/src/lib.rs",
            "// tract_onnx folds it, hound is not there\nfn extract_rows() {}\n",
            0,
        ),
    ];
    let failed: Vec<_> =
        rows.iter().filter(|(name, text, n)| crate_violations(name, text).len() != *n).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// What in the file `name`, relative to `src`, points at a layer that is not left of its own.
fn layer_violations(name: &str, text: &str) -> Vec<Violation> {
    let own = name.split(['/', '.']).next().unwrap_or_default();
    if own == "lib" {
        return Vec::new();
    }
    let Some(rank) = rank(own) else {
        return vec![Violation { line: 1, reason: format!("the module {own} has no layer") }];
    };
    let code = without_comments(text);
    let mut found = Vec::new();
    for (at, target) in paths(&code) {
        if target == own || target == "self" {
            continue;
        }
        let reason = match self::rank(&target) {
            Some(other) if other < rank => continue,
            Some(_) => format!("{own} imports {target}, which does not stand left of it"),
            None => format!("{own} imports {target} from the root, which hides its layer"),
        };
        found.push(Violation { line: code[..at].matches('\n').count() + 1, reason });
    }
    found
}

/// Where the file `name`, relative to the workspace, names a crate that belongs elsewhere.
fn crate_violations(name: &str, text: &str) -> Vec<Violation> {
    let engine = name == "runtime/src/engine.rs" || name.starts_with("runtime/src/engine/");
    let formats = name.starts_with("runtime/formats/");
    let mut found = Vec::new();
    for (i, line) in without_comments(text).lines().enumerate() {
        for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            let is_tract = word == "tract" || word.starts_with("tract_");
            // What this runtime is compared with has a workspace of its own.
            if is_tract && !engine && !name.starts_with("benches/compare/") {
                found.push(Violation {
                    line: i + 1,
                    reason: format!("{word} is named outside of engine"),
                });
            }
            let uses_kernels = engine || name.starts_with("runtime/src/features");
            let in_library = name.starts_with("runtime/src/") && name != "runtime/src/lib.rs";
            if word == "hilbert_kernels" && in_library && !uses_kernels {
                found.push(Violation {
                    line: i + 1,
                    reason: "hilbert_kernels is named outside of engine and features".to_owned(),
                });
            }
            if word == "hound" && !formats {
                found.push(Violation {
                    line: i + 1,
                    reason: "hound is named outside of formats".to_owned(),
                });
            }
        }
    }
    found
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every first name behind `crate::`, groups opened, and every layer behind `super::`, with its place in `code`.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (keyword, from_root) in [("crate", true), ("super", false)] {
        for (at, _) in code.match_indices(keyword) {
            let starts_word =
                !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
            let Some(path) = starts_word.then(|| after_colons(code, at + keyword.len())).flatten()
            else {
                continue;
            };
            let targets = if code[path..].starts_with('{') {
                group(code, path)
            } else {
                vec![(path, word(code, path))]
            };
            // A name behind `super` that is no layer is a neighbour within the module.
            found.extend(targets.into_iter().filter(|(_, name)| from_root || rank(name).is_some()));
        }
    }
    found.sort();
    found
}

/// The place behind `::` and white space, if that stands at `at`.
fn after_colons(code: &str, at: usize) -> Option<usize> {
    let rest = code[at..].trim_start().strip_prefix("::")?.trim_start();
    Some(code.len() - rest.len())
}

/// The first name of each path in the group that opens at `at`.
fn group(code: &str, at: usize) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expects_name = false;
    for (i, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            '{' | ',' if depth == 1 => expects_name = true,
            _ if expects_name && !c.is_whitespace() => {
                if c != '}' {
                    names.push((at + i, word(code, at + i)));
                }
                expects_name = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The identifier or the one character at `at`.
fn word(code: &str, at: usize) -> String {
    let rest = &code[at..];
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    if end == 0 { rest.chars().take(1).collect() } else { rest[..end].to_owned() }
}

/// The text with comments blanked, so that places and lines stay.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            0
        };
        if length > 0 {
            code.extend(rest[..length].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
            continue;
        }
        let literal = if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else if c == '"' {
            string_length(rest)
        } else {
            c.len_utf8()
        };
        code.push_str(&rest[..literal]);
        rest = &rest[literal..];
    }
    code
}

/// Bytes of the string literal at the start of `text`.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return i + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn describe(name: &str, text: &str, violations: Vec<Violation>) -> Vec<String> {
    let line =
        |violation: &Violation| text.lines().nth(violation.line - 1).unwrap_or_default().trim();
    violations.iter().map(|v| format!("{name}:{}: {}: {}", v.line, v.reason, line(v))).collect()
}
