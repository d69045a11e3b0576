//! `docs/schemas/bundle.schema.json` and the manifest's type accept the same manifests.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[path = "support/example.rs"]
mod example;
#[path = "support/mutations.rs"]
mod mutations;

use std::collections::BTreeSet;
use std::fs;

use hilbert_formats::{ErrorKind, Manifest};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::mutations::{Mutation, mutations, properties};

/// What a schema cannot say: the place where the type refuses what the schema accepts, and why. `*` is any number or name.
const BEYOND_THE_SCHEMA: [(&str, &str); 42] = [
    ("invalid type: floating point ", "a whole number is written without a point"),
    ("alignment.frames", "divides features.frames"),
    ("alignment.integrity.document.bias", "one for each label"),
    ("alignment.integrity.document.weight", "a row for each label"),
    ("alignment.integrity.labels[*]", "a limit in bytes"),
    ("experts.threshold", "less than 1 / count"),
    ("features.hop", "at most n_fft"),
    ("features.n_mels", "at most n_fft / 2 + 1"),
    ("fusion.heads", "divides width"),
    ("fusion.period_min_s", "at most period_max_s"),
    ("graphs.*", "names follow from experts, tasks and alignment"),
    ("graphs.*.file", "one of files, not optional, of no other graph"),
    ("graphs.*.inputs", "follow from the widths"),
    ("graphs.*.inputs[*].dtype", "follows from the graph's name"),
    ("graphs.*.inputs[*].name", "follows from the graph's name"),
    ("graphs.*.inputs[*].shape", "follows from the widths"),
    ("graphs.*.memory", "all graphs have figures or none"),
    ("graphs.*.memory.*.in_place.resident", "at most load_peak"),
    ("graphs.*.memory.*.resident", "at most load_peak"),
    ("graphs.*.outputs", "follow from the widths"),
    ("graphs.*.outputs[*].dtype", "follows from the graph's name"),
    ("graphs.*.outputs[*].name", "follows from the graph's name"),
    ("graphs.*.outputs[*].shape", "follows from the widths"),
    ("licence", "a limit in bytes"),
    ("files[*].path", "no path twice"),
    ("segmentation.floor_min_db", "at most floor_max_db"),
    ("segmentation.frame", "10 ms of the sample rate"),
    ("segmentation.max_s", "fits into one encoder input"),
    ("segmentation.min_s", "at most max_s"),
    ("segmentation.min_speech_s", "at most min_s"),
    ("segmentation.padding_s", "at most max_s / 2"),
    ("segmentation.pause_s", "at most long_pause_s"),
    ("segmentation.search_s", "at most max_s"),
    ("tasks[*].calibration.*.cuts", "one fewer than labels"),
    ("tasks[*].calibration.*.cuts[*]", "ascending"),
    ("tasks[*].calibration.*.slope", "positive as a float of 32 bits"),
    ("tasks[*].calibration.*.temperature", "positive as a float of 32 bits"),
    ("tasks[*].conformal.*.sets[*].coverage", "ascending"),
    ("tasks[*].conformal.*.sets[*].threshold", "not falling; 1 where documents are too few"),
    ("tasks[*].labels[*]", "a limit in bytes"),
    ("tasks[*].name", "no name twice"),
    ("text.vocabulary", "one of files, not optional"),
];

/// Where the type accepts what the schema refuses, and why.
const BEYOND_THE_TYPE: [(&str, &str); 1] =
    [("/experts/threshold", "-5e-324 is read as 0, a float of 32 bits")];

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/bundle.schema.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn example() -> Value {
    serde_json::to_value(example::manifest()).unwrap()
}

/// The place where the type refuses a manifest, or the start of what serde says; `None` where it accepts it.
fn refused_at(manifest: &Value) -> Option<String> {
    let error = Manifest::parse(manifest.to_string().as_bytes()).err()?;
    let at = match error.kind() {
        ErrorKind::Manifest { at, .. } => at,
        ErrorKind::ManifestSyntax { message, .. } => {
            return message.split('`').next().map(str::to_owned);
        }
        _ => "schema",
    };
    let mut place = String::new();
    for part in at.split('.') {
        let named = ["graphs", "calibration", "conformal", "memory"];
        let is_name = place.rsplit('.').next().is_some_and(|before| named.contains(&before));
        let (name, index) = part.split_once('[').map_or((part, ""), |(name, _)| (name, "[*]"));
        let name = if is_name { "*" } else { name };
        place += &format!("{}{name}{index}", if place.is_empty() { "" } else { "." });
    }
    Some(place)
}

#[test]
fn the_schema_is_one_and_the_full_example_and_every_shipped_manifest_are_valid_by_it() {
    assert!(jsonschema::meta::is_valid(&schema()));
    let validator = validator();
    let mut manifests = vec![("the example".to_owned(), example())];
    for name in ["spoken-english", "consultations"] {
        let path =
            format!("{}/../../models/{name}/bundle/manifest.json", env!("CARGO_MANIFEST_DIR"));
        let bytes = fs::read(&path).unwrap();
        assert!(Manifest::parse(&bytes).is_ok(), "{path}");
        manifests.push((path, serde_json::from_slice(&bytes).unwrap()));
    }
    for (name, manifest) in &manifests {
        let errors: Vec<_> = validator.iter_errors(manifest).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn every_property_of_the_schema_is_described_and_known_to_the_type_and_no_other_is() {
    let schema = schema();
    let all = properties(&schema);
    let undescribed: Vec<_> = all
        .iter()
        .filter(|at| schema.pointer(at).unwrap()["description"].as_str().is_none_or(str::is_empty))
        .collect();
    assert!(undescribed.is_empty(), "{undescribed:#?}");
    // What the type writes: with `additionalProperties: false` the schema accepts no other, and the example is valid by it.
    let mut written = BTreeSet::new();
    mutations::walk(&schema, "", &example(), "", &mut |at, _, _| {
        written.insert(at.to_owned());
    });
    let unknown: Vec<_> = all.iter().filter(|at| !written.contains(*at)).collect();
    assert!(unknown.is_empty(), "the type does not write {unknown:#?}");
    let open: Vec<_> = mutations::objects(&schema)
        .into_iter()
        .filter(|at| schema.pointer(at).unwrap().get("additionalProperties").is_none())
        .collect();
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn every_property_of_the_schema_stands_in_the_normative_description() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bundle-format.md");
    let text = fs::read_to_string(path).unwrap();
    let all = properties(&schema());
    let stands = |at: &&String| {
        let name = at.rsplit('/').next().unwrap();
        let before = ["`", ".", "]."].map(|before| format!("{before}{name}"));
        before.iter().any(|name| ["`", ".", "["].iter().any(|c| text.contains(&(name.clone() + c))))
    };
    let missing: Vec<_> = all.iter().filter(|at| !stands(at)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_value_out_of_its_range_is_refused_by_both_or_accepted_by_both() {
    let (schema, validator, example) = (schema(), validator(), example());
    let (mut failed, mut used, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for Mutation { pointer, what, manifest } in mutations(&schema, &example) {
        count += 1;
        let (valid, refused) = (validator.is_valid(&manifest), refused_at(&manifest));
        match (valid, refused) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(at)) => match BEYOND_THE_SCHEMA.iter().find(|(place, _)| *place == at) {
                Some((place, _)) => drop(used.insert(*place)),
                None => failed.push(format!("{pointer} {what}: the schema accepts it, {at}")),
            },
            (false, None) => match BEYOND_THE_TYPE.iter().find(|(place, _)| *place == pointer) {
                Some((place, _)) => drop(used.insert(*place)),
                None => failed.push(format!("{pointer} {what}: the type accepts it")),
            },
        }
    }
    assert!(failed.is_empty(), "{} of {count}\n{}", failed.len(), failed.join("\n"));
    assert!(count > 1000, "{count} mutations");
    let named = BEYOND_THE_SCHEMA.iter().chain(&BEYOND_THE_TYPE);
    let idle: Vec<_> = named.filter(|(place, _)| !used.contains(place)).collect();
    assert!(idle.is_empty(), "nothing needs {idle:#?}");
}

#[test]
fn a_task_without_sets_and_a_bundle_without_alignment_or_figures_are_valid() {
    let mut manifest = example();
    let map = manifest.as_object_mut().unwrap();
    map.remove("alignment");
    let graphs = map["graphs"].as_object_mut().unwrap();
    graphs.remove("alignment");
    graphs["speech_encoder"]["outputs"].as_array_mut().unwrap().pop();
    graphs.values_mut().for_each(|graph| drop(graph.as_object_mut().unwrap().remove("memory")));
    for task in map["tasks"].as_array_mut().unwrap() {
        task.as_object_mut().unwrap().remove("conformal");
        task.as_object_mut().unwrap().remove("threshold");
    }
    assert_eq!(refused_at(&manifest), None);
    assert!(validator().is_valid(&manifest));
    manifest["tasks"][1]["kind"] = json!("multi_label");
    assert_eq!(refused_at(&manifest), None);
    assert!(validator().is_valid(&manifest));
}
