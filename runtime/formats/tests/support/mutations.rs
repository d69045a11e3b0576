//! A right document, changed in one place at a time as a schema tells what is wrong there.

use serde_json::{Number, Value, json};

/// The document with one change.
pub(crate) struct Mutation {
    /// Where.
    pub(crate) pointer: String,
    /// What was done.
    pub(crate) what: String,
    pub(crate) manifest: Value,
}

/// Every key dropped; a key too many in every object; for every value others of each type, those at and just beyond each bound
/// of its schema, lists one too short, one too long and with one element twice, and strings of many kinds.
pub(crate) fn mutations(schema: &Value, document: &Value) -> Vec<Mutation> {
    let mut all = Vec::new();
    let mut change = |pointer: &str, what: String, change: &dyn Fn(&mut Value)| {
        let mut manifest = document.clone();
        change(manifest.pointer_mut(pointer).unwrap());
        all.push(Mutation { pointer: pointer.to_owned(), what, manifest });
    };
    walk(schema, "", document, "", &mut |at, value, pointer| {
        let schema = resolved(schema, at).1;
        if let Some(object) = value.as_object() {
            for key in object.keys() {
                change(pointer, format!("without {key}"), &|value| {
                    value.as_object_mut().unwrap().remove(key);
                });
            }
            change(pointer, "and a key too many".to_owned(), &|value| value["surprise"] = json!(1));
        }
        for other in replacements(schema, value) {
            change(pointer, format!("= {other}"), &|value| *value = other.clone());
        }
    });
    all
}

/// Calls `visit` with the place in the schema of each value in `value`, the value, and its pointer.
pub(crate) fn walk(
    root: &Value,
    at: &str,
    value: &Value,
    pointer: &str,
    visit: &mut impl FnMut(&str, &Value, &str),
) {
    visit(at, value, pointer);
    let (at, schema) = resolved(root, at);
    let branches = schema["oneOf"].as_array().map_or(0, Vec::len);
    let fits = |i: &usize| {
        let keys = schema["oneOf"][i]["properties"].as_object().unwrap();
        value.as_object().unwrap().keys().all(|key| keys.contains_key(key))
    };
    let at = (0..branches).find(fits).map_or_else(|| at.clone(), |i| format!("{at}/oneOf/{i}"));
    let schema = root.pointer(&at).unwrap();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = match schema["properties"].get(key) {
                    Some(_) => format!("{at}/properties/{key}"),
                    None => format!("{at}/additionalProperties"),
                };
                walk(root, &at, value, &format!("{pointer}/{key}"), visit);
            }
        }
        Value::Array(list) if schema.get("items").is_some() => {
            for (i, value) in list.iter().enumerate() {
                walk(root, &format!("{at}/items"), value, &format!("{pointer}/{i}"), visit);
            }
        }
        _ => {}
    }
}

/// Places of all properties that the schema declares, without those of its conditions.
pub(crate) fn properties(schema: &Value) -> Vec<String> {
    let keys = |at: String| {
        let properties = schema.pointer(&at).unwrap()["properties"].as_object().unwrap();
        properties.keys().map(|key| format!("{at}/properties/{key}")).collect::<Vec<_>>()
    };
    objects(schema).into_iter().flat_map(keys).collect()
}

/// Places of all objects with properties, without those of conditions.
pub(crate) fn objects(schema: &Value) -> Vec<String> {
    fn collect(schema: &Value, at: &str, all: &mut Vec<String>) {
        if schema
            .get("properties")
            .is_some_and(|p| p.get("description").is_none_or(Value::is_object))
        {
            all.push(at.to_owned());
        }
        match schema {
            Value::Object(map) => {
                for (key, value) in map.iter().filter(|(key, _)| *key != "allOf") {
                    collect(value, &format!("{at}/{key}"), all);
                }
            }
            Value::Array(list) => {
                for (i, value) in list.iter().enumerate() {
                    collect(value, &format!("{at}/{i}"), all);
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(schema, "", &mut all);
    all
}

/// A place in the schema, and what stands there, behind `$ref`.
fn resolved<'a>(root: &'a Value, at: &str) -> (String, &'a Value) {
    let schema = root.pointer(at).unwrap();
    match schema["$ref"].as_str() {
        Some(reference) => resolved(root, reference.trim_start_matches('#')),
        None => (at.to_owned(), schema),
    }
}

fn replacements(schema: &Value, value: &Value) -> Vec<Value> {
    let mut all =
        vec![json!(null), json!(true), json!("x"), json!(-1), json!(1.5), json!([]), json!({})];
    for edge in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
        let Some(edge) = schema[edge].as_number() else { continue };
        if schema["type"] == "integer" {
            let edge = edge.as_i128().unwrap();
            let step = schema["multipleOf"].as_u64().map_or(1, i128::from);
            let near = [edge - step, edge - 1, edge, edge + 1, edge + step];
            all.extend(near.into_iter().filter_map(Number::from_i128).map(Value::Number));
        } else {
            let edge = edge.as_f64().unwrap();
            all.extend([edge.next_down(), edge, edge.next_up()].map(Value::from));
            // Beyond the next float of 32 bits too.
            all.extend([edge - edge.abs() * 1e-6, edge + edge.abs() * 1e-6].map(Value::from));
        }
    }
    if let Some(number) = value.as_u64() {
        all.push(Value::from(number as f64));
    }
    all.extend(schema["enum"].as_array().into_iter().flatten().cloned());
    if value.is_string() {
        let long = "a".repeat(300);
        let kinds = ["", " ", "A", "a.b", "a/b", ".a", "-a", "a\u{7}b", "\u{e9}", "manifest.json"];
        all.extend(kinds.map(Value::from));
        all.extend([33, 64, 65, 128, 129].map(|n| Value::from(&long[..n])));
        all.extend([
            Value::from(long.as_str()),
            json!("\u{e9}".repeat(64)),
            json!("\u{e9}".repeat(200)),
        ]);
        all.extend(["0", "F"].map(|digit| json!(digit.repeat(64))));
    }
    if let Some(list) = value.as_array().filter(|list| !list.is_empty()) {
        all.push(json!(list[1..]));
        all.push(json!([&list[1..], &list[..1], &list[..1]].concat()));
        let most = schema["maxItems"].as_u64().map_or(list.len(), |n| usize::try_from(n).unwrap());
        all.push(json!(list.iter().cycle().take(most + 1).collect::<Vec<_>>()));
    }
    all
}
