//! Each value of a manifest, broken: the error names it by its path.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/example.rs"]
mod example;

use hilbert_formats::Manifest;
use serde_json::{Value, json};

#[test]
fn each_wrong_value_is_named_by_its_path() {
    // The pointer of the value, the value, the path in the error, a part of what was found or expected.
    let rows: Vec<(&str, Value, &str, &str)> = vec![
        (
            "/schema",
            json!("hilbert.bundle/2"),
            "schema",
            "found \"hilbert.bundle/2\", expected \"hilbert.bundle/1\"",
        ),
        ("/name", json!("No Name"), "name", "[a-z0-9-]"),
        ("/name", json!(""), "name", "1 to 64"),
        ("/bundle_version", json!(0), "bundle_version", "found 0"),
        ("/bundle_version", json!(-1), "bundle_version", "integer `-1`"),
        ("/weights", json!("int4"), "weights", "unknown variant `int4`"),
        ("/licence", json!(" "), "licence", "SPDX"),
        (
            "/provenance/checkpoint_sha256",
            json!("abc"),
            "provenance.checkpoint_sha256",
            "64 lower-case",
        ),
        (
            "/provenance/data_sha256",
            json!("A".repeat(64)),
            "provenance.data_sha256",
            "64 lower-case",
        ),
        ("/provenance/seed", json!("x"), "provenance.seed", "expected u64"),
        ("/files", json!([]), "files", "1 to 256"),
        ("/files/0/path", json!("../evil"), "files[0].path", "no folder"),
        ("/files/0/path", json!("/etc/passwd"), "files[0].path", "no folder"),
        ("/files/0/path", json!("C:\\x"), "files[0].path", "no folder"),
        ("/files/0/path", json!(".."), "files[0].path", "no folder"),
        ("/files/0/path", json!("a\u{1b}[2J"), "files[0].path", "a\\u{1b}[2J"),
        ("/files/2/path", json!("CROSS_audio.onnx"), "files[2].path", "no file before"),
        ("/files/0/path", json!("Manifest.json"), "files[0].path", "beside the manifest"),
        ("/files/0/bytes", json!(0), "files[0].bytes", "found 0"),
        ("/files/0/bytes", json!(u64::MAX), "files[0].bytes", "1073741824"),
        ("/files/0/sha256", json!("z".repeat(64)), "files[0].sha256", "hexadecimal"),
        ("/files/0/optional", json!(true), "graphs.alignment.file", "not optional"),
        ("/audio/sample_rate", json!(0), "audio.sample_rate", "8000 to 48000"),
        ("/audio/sample_rate", json!(16001), "audio.sample_rate", "multiple of 100"),
        ("/features/kind", json!("mfcc"), "features.kind", "unknown variant `mfcc`"),
        ("/features/n_fft", json!(401), "features.n_fft", "even"),
        ("/features/n_fft", json!(1u64 << 40), "features.n_fft", "16 to 8192"),
        ("/features/hop", json!(0), "features.hop", "1 to 400"),
        ("/features/hop", json!(401), "features.hop", "1 to 400"),
        ("/features/n_mels", json!(202), "features.n_mels", "1 to 201"),
        ("/features/frames", json!(0), "features.frames", "2 to 6000"),
        ("/features/frames", json!(1u64 << 40), "features.frames", "2 to 6000"),
        ("/features/frames", json!(998), "segmentation.max_s", "at most the 159680 samples"),
        ("/features/floor", json!(0.0), "features.floor", "found 0.0"),
        ("/features/dynamic_range", json!(-8.0), "features.dynamic_range", "found -8.0"),
        ("/features/offset", json!(1e300), "features.offset", "1000.0"),
        ("/features/scale", json!(0.0), "features.scale", "found 0.0"),
        ("/features/scale", Value::Null, "features", "null"),
        ("/segmentation/frame", json!(150), "segmentation.frame", "160 samples"),
        ("/segmentation/frame", json!(0), "segmentation.frame", "160 samples"),
        ("/segmentation/max_s", json!(10.1), "segmentation.max_s", "160000 samples"),
        ("/segmentation/min_s", json!(10.5), "segmentation.min_s", "0.01 to 10.0"),
        ("/segmentation/search_s", json!(11.0), "segmentation.search_s", "0.01 to 10.0"),
        ("/segmentation/pause_s", json!(2.0), "segmentation.pause_s", "0.01 to 1.0"),
        ("/segmentation/long_pause_s", json!(0.0), "segmentation.long_pause_s", "0.01 to 60.0"),
        ("/segmentation/padding_s", json!(5.5), "segmentation.padding_s", "0.0 to 5.0"),
        ("/segmentation/min_speech_s", json!(-0.1), "segmentation.min_speech_s", "0.0 to 6.0"),
        ("/segmentation/margin_db", json!(-1.0), "segmentation.margin_db", "0.0 to 100.0"),
        (
            "/segmentation/floor_min_db",
            json!(-30.0),
            "segmentation.floor_min_db",
            "-200.0 to -35.0",
        ),
        ("/segmentation/floor_max_db", json!(1.0), "segmentation.floor_max_db", "-200.0 to 0.0"),
        (
            "/segmentation/floor_rise_db_per_s",
            json!(-3.0),
            "segmentation.floor_rise_db_per_s",
            "0.0 to 1000.0",
        ),
        ("/text/kind", json!("bpe"), "text.kind", "unknown variant `bpe`"),
        ("/text/vocabulary", json!("words.txt"), "text.vocabulary", "one of files"),
        ("/text/vocabulary", json!("golden.safetensors"), "text.vocabulary", "not optional"),
        ("/text/max_tokens", json!(2), "text.max_tokens", "3 to 512"),
        (
            "/text/max_tokens",
            json!(32),
            "graphs.text_encoder.inputs[0].shape",
            "found [1, 64], expected [1, 32]",
        ),
        ("/text/max_word_chars", json!(0), "text.max_word_chars", "1 to 1000"),
        ("/fusion/width", json!(255), "fusion.width", "even"),
        ("/fusion/heads", json!(3), "fusion.heads", "divisor of the width 256"),
        ("/fusion/heads", json!(0), "fusion.heads", "1 to 64"),
        ("/fusion/heads", json!(8), "graphs.cross_audio.outputs[0].shape", "expected [8, 64, 32]"),
        ("/fusion/block", json!(0), "fusion.block", "1 to 1024"),
        ("/fusion/block", json!(32), "graphs.cross_audio.inputs[0].shape", "expected [32, 256]"),
        ("/fusion/n_max", json!(1), "fusion.n_max", "2 to 65536"),
        ("/fusion/period_min_s", json!(20001.0), "fusion.period_min_s", "20000.0"),
        ("/fusion/period_max_s", json!(0.0), "fusion.period_max_s", "found 0.0"),
        ("/experts/count", json!(0), "experts.count", "1 to 64"),
        ("/experts/count", json!(3), "graphs.expert_2", "no such graph"),
        ("/experts/count", json!(1), "graphs.expert_1", "nothing uses"),
        (
            "/experts/width",
            json!(64),
            "graphs.expert_0.outputs[0].shape",
            "found [1, 128], expected [1, 64]",
        ),
        ("/experts/threshold", json!(0.5), "experts.threshold", "less than 1 / 2"),
        ("/experts/threshold", json!(-0.1), "experts.threshold", "0 to less"),
        ("/tasks", json!([]), "tasks", "1 to 16"),
        ("/tasks/0/name", json!("Proficiency"), "tasks[0].name", "[a-z0-9_]"),
        ("/tasks/0/name", json!("other"), "graphs.head_other", "no such graph"),
        ("/tasks/1/name", json!("proficiency"), "tasks[1].name", "no task before"),
        ("/tasks/0/kind", json!("regression"), "tasks[0].kind", "unknown variant"),
        ("/tasks/0/kind", json!("multi_class"), "tasks[0].calibration.audio", "a temperature"),
        ("/tasks/1/kind", json!("ordinal"), "tasks[1].calibration.audio", "cuts and slope"),
        ("/tasks/0/labels", json!(["one"]), "tasks[0].labels", "2 to 32"),
        (
            "/tasks/0/labels",
            json!(["a", "b"]),
            "tasks[0].calibration.audio.cuts",
            "found 2 cuts, expected 1",
        ),
        ("/tasks/0/labels/1", json!("basic"), "tasks[0].labels[1]", "does not stand before"),
        ("/tasks/0/labels/1", json!("a\nb"), "tasks[0].labels[1]", "a\\nb"),
        ("/tasks/0/labels/1", json!(""), "tasks[0].labels[1]", "1 to 64 bytes"),
        ("/tasks/1/labels", json!(["a", "b", "c"]), "tasks[1].labels", "2 labels"),
        (
            "/tasks/0/calibration/text/cuts",
            json!([0.5, 0.5]),
            "tasks[0].calibration.text.cuts[1]",
            "ascending",
        ),
        (
            "/tasks/0/calibration/text/cuts",
            json!([0.5, 1e39]),
            "tasks[0].calibration.text.cuts[1]",
            "found inf",
        ),
        (
            "/tasks/0/calibration/audio/slope",
            json!(0.0),
            "tasks[0].calibration.audio.slope",
            "positive",
        ),
        (
            "/tasks/1/calibration/audio_text/temperature",
            json!(-1.5),
            "tasks[1].calibration.audio_text.temperature",
            "positive",
        ),
        (
            "/tasks/1/calibration/audio",
            json!({"scale": 1}),
            "tasks[1].calibration.audio",
            "expected cuts and slope, or temperature",
        ),
        ("/tasks/1/kind", json!("multi_label"), "tasks[1].conformal", "the task is multi-label"),
        ("/tasks/1/conformal", json!({"q": 0.1}), "tasks[1].conformal.q", "unknown field"),
        (
            "/tasks/1/conformal/audio/documents",
            json!(0),
            "tasks[1].conformal.audio.documents",
            "found 0",
        ),
        ("/tasks/1/conformal/text/sets", json!([]), "tasks[1].conformal.text.sets", "1 to 8"),
        (
            "/tasks/1/conformal/audio_text/sets/0/coverage",
            json!(0.0),
            "tasks[1].conformal.audio_text.sets[0].coverage",
            "more than 0.0 and less than 1",
        ),
        (
            "/tasks/1/conformal/audio/sets/1/coverage",
            json!(1.0),
            "tasks[1].conformal.audio.sets[1].coverage",
            "found 1, expected more than 0.8 and less than 1",
        ),
        (
            "/tasks/1/conformal/audio/sets/1/coverage",
            json!(0.8),
            "tasks[1].conformal.audio.sets[1].coverage",
            "more than 0.8",
        ),
        (
            "/tasks/1/conformal/audio/sets/0/threshold",
            json!(-0.1),
            "tasks[1].conformal.audio.sets[0].threshold",
            "0.0 to 1.0",
        ),
        (
            "/tasks/1/conformal/audio/sets/1/threshold",
            json!(1.1),
            "tasks[1].conformal.audio.sets[1].threshold",
            "0.0 to 1.0",
        ),
        (
            "/tasks/1/conformal/audio/sets/0/threshold",
            json!(0.75),
            "tasks[1].conformal.audio.sets[1].threshold",
            "found 0.625, expected 0.75 to 1.0",
        ),
        (
            "/tasks/1/conformal/audio/documents",
            json!(8),
            "tasks[1].conformal.audio.sets[1].threshold",
            "expected 1, for 8 documents are too few",
        ),
        ("/tasks/0/threshold", json!(0.5), "tasks[0].threshold", "reserved"),
        ("/alignment", json!({}), "alignment", "missing field"),
        ("/alignment/frames", json!(0), "alignment.frames", "1 to 1000"),
        ("/alignment/frames", json!(300), "alignment.frames", "divisor of the 1000 log-mel frames"),
        (
            "/alignment/frames",
            json!(500),
            "graphs.alignment.inputs[0].shape",
            "found [250, 384], expected [500, 384]",
        ),
        ("/alignment/width", json!(4097), "alignment.width", "1 to 4096"),
        ("/alignment/alphabet", json!("abc"), "alignment.alphabet", "abcdefghijklmnopqrstuvwxyz'"),
        ("/alignment/margin_s", json!(-0.1), "alignment.margin_s", "0.0 to 10.0"),
        ("/alignment/worst_fit", json!(1.0), "alignment.worst_fit", "-1000.0 to 0.0"),
        (
            "/alignment/integrity/labels",
            json!(["intact"]),
            "alignment.integrity.labels",
            "found 1, expected 2 to 32",
        ),
        (
            "/alignment/integrity/labels/2",
            json!("intact"),
            "alignment.integrity.labels[2]",
            "does not stand before",
        ),
        (
            "/alignment/integrity/labels",
            json!(["intact", "swapped"]),
            "alignment.integrity.document.weight",
            "found 3 rows, expected 2",
        ),
        (
            "/alignment/integrity/cue/weight",
            json!([1.0, 2.0]),
            "alignment.integrity.cue.weight",
            "invalid type: sequence, expected f64",
        ),
        (
            "/alignment/integrity/cue/bias",
            json!(1e300),
            "alignment.integrity.cue.bias",
            "1000000000.0",
        ),
        (
            "/alignment/integrity/document/summaries",
            json!(["mean", "largest", "smallest"]),
            "alignment.integrity.document.summaries",
            "[\"mean\", \"smallest\", \"largest\"]",
        ),
        (
            "/alignment/integrity/document/bias",
            json!([0.0]),
            "alignment.integrity.document.bias",
            "found 1 numbers, expected 3",
        ),
        ("/graphs/join/file", json!("nothing.onnx"), "graphs.join.file", "one of files"),
        (
            "/graphs/join/file",
            json!("router.onnx"),
            "graphs.router.file",
            "another file than graph join",
        ),
        (
            "/graphs/join/inputs/2/shape",
            json!([1, 255]),
            "graphs.join.inputs[2].shape",
            "found [1, 255], expected [1, 256]",
        ),
        (
            "/graphs/join/inputs/4/name",
            json!("present"),
            "graphs.join.inputs[4].name",
            "expected presence",
        ),
        ("/graphs/join/outputs", json!([]), "graphs.join.outputs", "found 0 tensors, expected 1"),
        (
            "/graphs/text_encoder/inputs/0/dtype",
            json!("f32"),
            "graphs.text_encoder.inputs[0].dtype",
            "found f32, expected i64",
        ),
        (
            "/graphs/text_encoder/inputs/0/dtype",
            json!("f16"),
            "graphs.text_encoder.inputs[0].dtype",
            "unknown variant",
        ),
        (
            "/graphs/join/memory/64/load_peak",
            json!(0),
            "graphs.join.memory.64.load_peak",
            "found 0, expected 4096 to 4294967296",
        ),
        (
            "/graphs/join/memory/32/run_peak",
            json!(4097),
            "graphs.join.memory.32.run_peak",
            "found 4097, expected a multiple of 4096",
        ),
        (
            "/graphs/join/memory/64/run_peak",
            json!((1_u64 << 32) + 4096),
            "graphs.join.memory.64.run_peak",
            "4096 to 4294967296",
        ),
        (
            "/graphs/join/memory/64/resident",
            json!(262_144),
            "graphs.join.memory.64.resident",
            "found 262144, expected at most the 12288 of load_peak",
        ),
        (
            "/graphs/join/memory/64/in_place/resident",
            json!(12_288),
            "graphs.join.memory.64.in_place.resident",
            "found 12288, expected at most the 8192 of load_peak",
        ),
        (
            "/graphs/join/memory",
            Value::Null,
            "graphs.join.memory",
            "found none, expected figures, as other graphs have them",
        ),
        ("/graphs/join/memory", json!({}), "graphs.join.memory", "missing field `32`"),
        (
            "/graphs/speech_encoder/outputs/0/shape",
            json!([768]),
            "graphs.speech_encoder.outputs[0].shape",
            "found [768]",
        ),
        (
            "/graphs/speech_encoder/outputs/0/shape",
            json!([1, 512]),
            "graphs.project_audio.inputs[0].shape",
            "expected [1, 512]",
        ),
        (
            "/graphs/speech_encoder/outputs/0/shape",
            json!([-1, 512]),
            "graphs.speech_encoder.outputs[0].shape[0]",
            "integer `-1`",
        ),
    ];
    let mut failed = Vec::new();
    for (pointer, value, path, part) in &rows {
        let mut json = serde_json::to_value(example::manifest()).unwrap();
        *json.pointer_mut(pointer).unwrap() = value.clone();
        match Manifest::parse(json.to_string().as_bytes()) {
            Ok(_) => failed.push(format!("{pointer} = {value}: accepted")),
            Err(error) => {
                let shown = error.to_string();
                if !shown.starts_with(&format!("manifest.json: {path}: "))
                    || !shown.contains(part)
                    || error.code() != 3
                {
                    failed.push(format!("{pointer} = {value}: {shown}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
