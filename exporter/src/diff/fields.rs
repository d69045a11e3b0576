//! Fields of two JSON documents that are otherwise.

use std::collections::BTreeSet;

use hilbert_formats::Manifest;
use serde::Serialize;
use serde_json::{Map, Value};

/// One field that is otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// JSON path, as in `segmentation.max_s`; tasks go by their names, as in `tasks.fluency.labels`.
    pub path: String,
    /// What stood there; null where nothing did.
    pub old: Value,
    /// What stands there; null where nothing does.
    pub new: Value,
}

/// Fields of the manifests that are otherwise, in the order of their paths: files and graphs are not among them.
pub(super) fn of_manifests(old: &Manifest, new: &Manifest) -> Vec<FieldChange> {
    let [mut old, mut new] = [old, new].map(json);
    let mut changes = Vec::new();
    let [of_old, of_new] = [&mut old, &mut new].map(|manifest| {
        manifest.remove("files");
        manifest.remove("graphs");
        let tasks = manifest.remove("tasks").unwrap_or_default();
        let tasks: Vec<_> = tasks.as_array().into_iter().flatten().map(named).collect();
        let order: Vec<_> = tasks.iter().map(|(name, _)| name.clone()).collect();
        manifest.insert("tasks".into(), Value::Object(tasks.into_iter().collect()));
        order
    });
    let shared = |order: &[String], others: &[String]| -> Vec<Value> {
        order.iter().filter(|name| others.contains(name)).cloned().map(Value::String).collect()
    };
    let (ordered, reordered) = (shared(&of_old, &of_new), shared(&of_new, &of_old));
    if ordered != reordered {
        let (old, new) = (Value::Array(ordered), Value::Array(reordered));
        changes.push(FieldChange { path: "tasks".into(), old, new });
    }
    changes.extend(between(&Value::Object(old), &Value::Object(new)));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Fields of the graph `name` that are otherwise, its file's name not counted; the manifests as [`json`] has them.
pub(super) fn of_graphs(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    name: &str,
) -> Vec<FieldChange> {
    let [old, new] = [old, new].map(|manifest| {
        let graph = manifest.get("graphs").and_then(|graphs| graphs.get(name));
        let mut graph = graph.cloned().unwrap_or_default();
        graph.as_object_mut().and_then(|graph| graph.remove("file"));
        graph
    });
    between(&old, &new)
}

/// The manifest as its file has it: a 32-bit float prints as there.
pub(super) fn json(manifest: &Manifest) -> Map<String, Value> {
    serde_json::from_str(&manifest.to_json()).unwrap_or_default()
}

/// A task without its name.
fn named(task: &Value) -> (String, Value) {
    let mut task = task.clone();
    let name = task.as_object_mut().and_then(|task| task.remove("name")).unwrap_or_default();
    (name.as_str().unwrap_or_default().into(), task)
}

fn between(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    collect(String::new(), old, new, &mut changes);
    changes
}

/// Descends into what both have; lists of plain values, and of different lengths, are told whole.
fn collect(path: String, old: &Value, new: &Value, changes: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(inner, &old[key], &new[key], changes);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().any(is_nested) => {
            for (i, (old, new)) in a.iter().zip(b).enumerate() {
                collect(format!("{path}[{i}]"), old, new, changes);
            }
        }
        _ => changes.push(FieldChange { path, old: old.clone(), new: new.clone() }),
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_is_otherwise_is_named_by_its_path_and_lists_of_plain_values_are_told_whole() {
        let old = json!({"a": {"b": 1, "same": [1]}, "list": ["x", "y"], "sets": [{"c": 1}, {"c": 2}], "gone": true});
        let new = json!({"a": {"b": 2, "same": [1]}, "list": ["x", "z"], "sets": [{"c": 1}, {"c": 3}], "longer": [{}]});
        let rows = [
            ("a.b", json!(1), json!(2)),
            ("gone", json!(true), Value::Null),
            ("list", json!(["x", "y"]), json!(["x", "z"])),
            ("longer", Value::Null, json!([{}])),
            ("sets[1].c", json!(2), json!(3)),
        ];
        let expected =
            rows.map(|(path, old, new)| FieldChange { path: path.into(), old, new }).to_vec();
        assert_eq!(between(&old, &new), expected);
        assert_eq!(between(&old, &old), []);
    }
}
