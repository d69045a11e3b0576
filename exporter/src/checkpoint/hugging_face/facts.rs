//! What a JSON file must say of a model.

use serde_json::Value;

/// One value that must stand in a JSON file.
#[derive(Debug)]
pub(super) struct Fact {
    /// Keys from the outermost in, between dots.
    key: &'static str,
    expected: Value,
    may_be_absent: bool,
}

impl Fact {
    pub(super) fn new(key: &'static str, expected: impl Into<Value>) -> Self {
        Self { key, expected: expected.into(), may_be_absent: false }
    }

    /// The same; what does not stand there, or is null, is the expected value by default.
    pub(super) fn or_absent(self) -> Self {
        Self { may_be_absent: true, ..self }
    }

    fn holds(&self, found: &Value) -> bool {
        match (found.as_f64(), self.expected.as_f64()) {
            // An f32 written as JSON: no two facts lie so near.
            (Some(found), Some(expected)) => (found - expected).abs() <= 1e-6 * expected.abs(),
            _ if found.is_null() => self.may_be_absent,
            _ => *found == self.expected,
        }
    }
}

/// A line for each of the facts that does not hold in `file`, which states `stated`.
pub(super) fn disagreements(file: &str, stated: &Value, facts: &[Fact]) -> Vec<String> {
    let line = |fact: &Fact| {
        let pointer = format!("/{}", fact.key.replace('.', "/"));
        let found = stated.pointer(&pointer).unwrap_or(&Value::Null);
        let word = if found.is_null() { "none".into() } else { found.to_string() };
        let (key, expected) = (fact.key, &fact.expected);
        (!fact.holds(found)).then(|| format!("{file}: {key}: found {word}, expected {expected}"))
    };
    facts.iter().filter_map(line).collect()
}
