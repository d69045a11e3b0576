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

/// What a schema cannot say: where the manifest's own check refuses a value that the schema accepts, `*` for a number or a
/// name, and why.
const BEYOND_THE_SCHEMA: &[(&str, &str)] = &[];

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

/// The place where a manifest is refused, `*` for every number and every name of a graph; `None` where it is accepted.
fn refused_at(manifest: &Value) -> Option<String> {
    let error = Manifest::parse(manifest.to_string().as_bytes()).err()?;
    let at = match error.kind() {
        ErrorKind::Manifest { at, .. } => at,
        ErrorKind::ManifestSyntax { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let mut place = String::new();
    for part in at.split_inclusive(['[', '.']) {
        let name = part.trim_end_matches(['[', '.']);
        let number = part.split_once(']').filter(|(i, _)| i.bytes().all(|b| b.is_ascii_digit()));
        if let Some((_, rest)) = number {
            place += &format!("*]{rest}");
        } else if place == "graphs." {
            place += &part.replacen(name, "*", 1);
        } else {
            place += part;
        }
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
fn each_value_out_of_its_range_is_refused_by_both_or_accepted_by_both() {
    let (schema, validator, example) = (schema(), validator(), example());
    let (mut failed, mut used, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for Mutation { pointer, what, manifest } in mutations(&schema, &example) {
        count += 1;
        let (valid, refused) = (validator.is_valid(&manifest), refused_at(&manifest));
        match (valid, refused) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(at)) => {
                match BEYOND_THE_SCHEMA.iter().find(|(place, _)| at.contains(place)) {
                    Some((place, _)) => drop(used.insert(place)),
                    None => failed.push(format!("{pointer} {what}: the schema accepts it, {at}")),
                }
            }
            (false, None) => failed.push(format!("{pointer} {what}: the type accepts it")),
        }
    }
    assert!(failed.is_empty(), "{} of {count}\n{}", failed.len(), failed.join("\n"));
    assert!(count > 1000, "{count} mutations");
    let idle: Vec<_> =
        BEYOND_THE_SCHEMA.iter().filter(|(place, _)| !used.contains(place)).collect();
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
