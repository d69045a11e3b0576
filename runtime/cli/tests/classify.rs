//! What `hilbert classify` prints.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::process::{Finished, bundle, hilbert, sample};

fn json(arguments: &[&str]) -> (String, Value) {
    let Finished { code, stdout, stderr } = hilbert(arguments);
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?}");
    let value = serde_json::from_str(&stdout).unwrap();
    (stdout, value)
}

/// Keys of pretty JSON that stand at this depth of indentation, in their order, each once.
fn keys_at(json: &str, depth: usize) -> Vec<&str> {
    let indent = " ".repeat(2 * depth) + "\"";
    let keys = json
        .lines()
        .filter_map(|line| line.strip_prefix(&indent)?.split_once("\":").map(|(key, _)| key));
    let mut seen = Vec::new();
    keys.for_each(|key| {
        if !seen.contains(&key) {
            seen.push(key);
        }
    });
    seen
}

fn weights_sum_to_one(rows: &Value, weight: &str) -> bool {
    let sum: f64 = rows.as_array().unwrap().iter().map(|row| row[weight].as_f64().unwrap()).sum();
    (sum - 1.0).abs() < 1e-4
}

#[test]
fn a_recording_and_its_transcript_become_the_documented_json() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let (text, value) = json(&["classify", &wav, "--transcript", &srt, "--format", "json"]);
    assert!(text.ends_with("}\n"));
    let manifest = fs::read(bundle().join("manifest.json")).unwrap();
    let sha256 = hilbert_formats::bundle::sha256(&manifest);
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    // Only a bundle with an alignment head says something of integrity.
    let labels = manifest["alignment"]["integrity"]["labels"].as_array();
    let labels: Vec<_> =
        labels.map_or(vec![], |labels| labels.iter().map(|one| one.as_str().unwrap()).collect());
    let of_integrity = |keys: &'static [&str]| if labels.is_empty() { &[] } else { keys };
    let before = ["schema", "tool", "bundle", "input", "modalities", "tasks"];
    let after = ["segments", "cues", "warnings"];
    assert_eq!(keys_at(&text, 1), [&before[..], of_integrity(&["integrity"]), &after].concat());
    let of_input = ["path", "duration_s", "sample_rate", "channels", "transcript"];
    let in_order = of_integrity(&["label", "probabilities", "cues"]);
    assert_eq!(
        keys_at(&text, 2),
        [&["version", "name", "sha256"][..], &of_input, in_order].concat()
    );
    let has_sets = !manifest["tasks"][0]["conformal"].is_null();
    let of_tasks = ["name", "kind", "label", "score", "probabilities", "sets", "experts"];
    let of_tasks = of_tasks.into_iter().filter(|key| *key != "sets" || has_sets);
    let of_rows = ["start_s", "end_s", "audio_weight", "merged", "text_weight"];
    let expected: Vec<_> = of_tasks.chain(labels).chain(of_rows).collect();
    assert_eq!(keys_at(&text, 3), expected);

    assert_eq!(value["schema"], "hilbert.result/1");
    assert_eq!(value["tool"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(value["bundle"]["sha256"], sha256.as_str());
    assert_eq!(value["input"]["path"], wav.as_str());
    assert_eq!(value["input"]["duration_s"], 76.137);
    assert_eq!(value["input"]["sample_rate"], 16_000);
    assert_eq!(value["input"]["channels"], 1);
    assert_eq!(value["input"]["transcript"], "srt");
    assert_eq!(value["modalities"], serde_json::json!(["audio", "text"]));
    assert_eq!(value["warnings"], serde_json::json!([]));

    let tasks = value["tasks"].as_array().unwrap();
    assert_eq!(
        tasks.iter().map(|task| task["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["proficiency", "fluency"]
    );
    for task in tasks {
        let probabilities = task["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{task}");
        let most = probabilities.values().map(|p| p.as_f64().unwrap()).fold(0.0, f64::max);
        assert_eq!(probabilities[task["label"].as_str().unwrap()], most, "{task}");
        assert_eq!(task["score"].is_number(), task["kind"] == "ordinal", "{task}");
    }
    assert!(weights_sum_to_one(&value["segments"], "audio_weight"), "{text}");
    assert!(weights_sum_to_one(&value["cues"], "text_weight"), "{text}");
    let segments = value["segments"].as_array().unwrap();
    let ordered =
        segments.windows(2).all(|two| two[0]["end_s"].as_f64() <= two[1]["start_s"].as_f64());
    assert!(ordered && segments.len() >= 8, "{text}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    for format in ["json", "text"] {
        let run = || hilbert(&["classify", &wav, "--transcript", &srt, "--format", format]).stdout;
        let (first, second) = (run(), run());
        assert!(!first.is_empty());
        assert_eq!(first, second);
    }
}

#[test]
fn a_folder_gives_the_same_result_as_the_same_bundle_built_in() {
    let (srt, folder) = (sample("session.srt"), bundle());
    let folder = folder.to_str().unwrap();
    let (built_in, _) = json(&["classify", "--transcript", &srt, "--format", "json"]);
    let (opened, _) =
        json(&["classify", "--transcript", &srt, "--format", "json", "--model", folder]);
    assert_eq!(built_in, opened);
}

#[test]
fn audio_alone_is_classified_and_the_result_says_so() {
    let (text, value) = json(&["classify", &sample("session.wav"), "--format", "json"]);
    assert_eq!(value["modalities"], serde_json::json!(["audio"]));
    assert_eq!(value["cues"], serde_json::json!([]));
    assert_eq!(value["input"]["transcript"], Value::Null);
    assert_eq!(value["warnings"][0]["code"], "no_transcript", "{text}");
    assert!(weights_sum_to_one(&value["segments"], "audio_weight"), "{text}");
}

#[test]
fn words_alone_are_classified_and_untimed_rows_have_null_times() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    fs::write(&notes, "It is always so nice to see you. I could do with a break.\n").unwrap();
    let (text, value) =
        json(&["classify", "--transcript", notes.to_str().unwrap(), "--format", "json"]);
    assert_eq!(value["modalities"], serde_json::json!(["text"]));
    assert_eq!(value["segments"], serde_json::json!([]));
    let input = serde_json::json!(
        {"path": null, "duration_s": null, "sample_rate": null, "channels": null, "transcript": "text"});
    assert_eq!(value["input"], input);
    assert_eq!(value["cues"][0]["start_s"], Value::Null, "{text}");
    assert_eq!(value["cues"][0]["end_s"], Value::Null, "{text}");
    assert_eq!(value["warnings"][0]["code"], "no_recording", "{text}");
}

#[test]
fn measured_values_stand_in_run_and_only_with_stats() {
    let wav = sample("session.wav");
    let (_, without) = json(&["classify", &wav, "--format", "json"]);
    let (text, mut with) = json(&["classify", &wav, "--format", "json", "--stats"]);
    assert_eq!(keys_at(&text, 1).last(), Some(&"run"));
    let run = with.as_object_mut().unwrap().remove("run").unwrap();
    assert_eq!(with, without);
    for value in ["total_s", "log_mel_s", "speech_encoder_s", "fusion_s", "real_time_factor"] {
        assert!(run[value].as_f64().is_some_and(|x| x > 0.0), "{value}: {run}");
    }
    assert!(
        cfg!(not(target_os = "linux")) || run["peak_resident_bytes"].as_u64() > Some(1 << 20),
        "{run}"
    );
}

#[test]
fn the_report_for_people_names_label_modalities_rows_and_warnings() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let report = hilbert(&["classify", &wav, "--transcript", &srt]).stdout;
    let (_, value) = json(&["classify", &wav, "--transcript", &srt, "--format", "json"]);
    let mut expected = vec![
        "session.wav, 1:16, 16000 Hz, 1 channel, transcript: srt".to_owned(),
        ", from audio and text\n".to_owned(),
        format!("\nsegments, 5 of {}, by weight\n", value["segments"].as_array().unwrap().len()),
        "\ncues, by weight\n".to_owned(),
        "  0:00 to 0:".to_owned(),
    ];
    for task in value["tasks"].as_array().unwrap() {
        let (name, label) = (task["name"].as_str().unwrap(), task["label"].as_str().unwrap());
        let probability = task["probabilities"][label].as_f64().unwrap();
        expected.push(format!("\n{name}: {label}, probability {probability:.3}"));
    }
    let missing: Vec<_> = expected.iter().filter(|part| !report.contains(*part)).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{report}");
    assert!(!report.contains("warnings") && !report.contains("measured"), "{report}");

    let report = hilbert(&["classify", &wav, "--stats"]).stdout;
    assert!(
        report.contains("\nwarnings\n  no_transcript: ") && report.contains("\nmeasured\n"),
        "{report}"
    );
}

#[test]
fn a_bundle_with_conformal_sets_says_which_labels_they_hold() {
    let (folder, srt) = (tempfile::tempdir().unwrap(), sample("session.srt"));
    for entry in fs::read_dir(bundle()).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let file = folder.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let coverage =
        |coverage, threshold| serde_json::json!({"coverage": coverage, "threshold": threshold});
    let fit =
        serde_json::json!({"documents": 104, "sets": [coverage(0.8, 0.0), coverage(0.9, 1.0)]});
    for modalities in ["audio", "text", "audio_text"] {
        manifest["tasks"][0]["conformal"][modalities] = fit.clone();
    }
    manifest["tasks"][1]["conformal"] = Value::Null;
    fs::write(file, manifest.to_string()).unwrap();

    let arguments = ["classify", "--transcript", &srt, "--model", folder.path().to_str().unwrap()];
    let (text, value) = json(&[&arguments[..], &["--format", "json"]].concat());
    assert!(keys_at(&text, 3).contains(&"sets"), "{text}");
    let [first, second] = [0, 1].map(|task| &value["tasks"][task]);
    let all = ["basic", "intermediate", "proficient"];
    assert_eq!(
        first["sets"],
        serde_json::json!([
            {"coverage": 0.8, "labels": [first["label"]]},
            {"coverage": 0.9, "labels": all},
        ])
    );
    assert_eq!(second.get("sets"), None);
    let report = hilbert(&arguments).stdout;
    let label = first["label"].as_str().unwrap();
    let told =
        format!("\n  at 80 %: {label}\n  at 90 %: basic, intermediate or proficient\n  experts: ");
    assert!(report.contains(&told) && report.matches("\n  at ").count() == 2, "{report}");
}

#[test]
fn a_channel_of_its_own_is_read_where_it_exists() {
    let wav = sample("session.wav");
    let (_, mixed) = json(&["classify", &wav, "--format", "json"]);
    let (_, only) = json(&["classify", &wav, "--format", "json", "--channel", "1"]);
    assert_eq!(mixed, only);
}

#[test]
fn a_file_name_is_never_printed_raw() {
    let folder = tempfile::tempdir().unwrap();
    let name = "evil\u{1b}[31m\u{9b}2J\u{202e}\n.wav";
    let wav = folder.path().join(name);
    let missing = folder.path().join("missing").join(name);
    fs::copy(sample("session.wav"), &wav).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let rows = [
        vec!["classify".to_owned(), path(&wav)],
        vec!["classify".to_owned(), path(&wav), "--format".to_owned(), "json".to_owned()],
        vec!["classify".to_owned(), path(&missing)],
        vec!["classify".to_owned(), path(&wav), "--transcript".to_owned(), path(&missing)],
        vec!["classify".to_owned(), path(&wav), "--model".to_owned(), path(&missing)],
        vec!["classify".to_owned(), path(&wav), path(&wav)],
        vec![path(&wav)],
    ];
    let mut failed = Vec::new();
    for arguments in rows {
        let Finished { code, stdout, stderr } = hilbert(&arguments);
        let printed = stdout + &stderr;
        let raw = printed.chars().any(|c| c != '\n' && hilbert_formats::escape::is_unprintable(c));
        if raw || printed.is_empty() || (code == 0 && !printed.contains("evil")) {
            failed.push((arguments, code, printed));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");

    let (_, value) = json(&["classify", &path(&wav), "--format", "json"]);
    assert_eq!(value["input"]["path"], path(&wav), "the value stays the same");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let (wav, srt) = (sample("session.wav"), sample("session.srt"));
    let arguments = ["classify", &wav, "--transcript", &srt, "--format", "json", "--threads"];
    let on = |threads: &'static str| hilbert(&[&arguments[..], &[threads]].concat());
    let expected = on("1");
    assert_eq!(expected.code, 0);
    for threads in ["2", "3", "16"] {
        assert_eq!(on(threads).stdout, expected.stdout, "{threads}");
    }
    for threads in ["0", "65", "two"] {
        assert_eq!(on(threads).code, 2, "{threads}");
    }
}

#[test]
fn several_recordings_are_classified_in_their_order_for_any_number_of_jobs() {
    let (one, other) = (sample("session.wav"), sample("synthetic-interview.wav"));
    let all = [&*one, &other, "no/such.wav", &one, &other];
    let of = |jobs: &'static str, format: &'static str| {
        hilbert(&[&["classify"], &all[..], &["--format", format, "--jobs", jobs]].concat())
    };
    let expected = of("1", "json");
    assert_eq!(expected.code, 1, "one is not there");
    assert_eq!(expected.stderr.lines().count(), 1, "{}", expected.stderr);
    assert!(expected.stderr.starts_with("hilbert: no/such.wav: cannot be read"));
    let paths: Vec<String> = expected
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["input"]["path"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(paths, [&one, &other, &one, &other].map(String::as_str));
    for jobs in ["2", "3", "8"] {
        let found = of(jobs, "json");
        assert_eq!((found.code, &found.stdout), (1, &expected.stdout), "{jobs}");
    }
    assert_eq!(of("4", "text").stdout, of("1", "text").stdout);
    let alone: Value =
        serde_json::from_str(&hilbert(&["classify", &one, "--format", "json"]).stdout).unwrap();
    let first: Value = serde_json::from_str(expected.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first, alone);
}
