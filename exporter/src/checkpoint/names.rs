//! Names that a file's tensors have in place of the exporter's: `--map names.json`.

use std::fmt;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::read_json;
use crate::error::Result;
use crate::pattern::{captures, filled};

/// For tensors of the exporter their names in the file that holds them. Empty: they have the same.
///
/// A name may hold `*`, which stands for any characters; those of the file's name are what those of the exporter's stand for,
/// in the same order. Normative description: `docs/checkpoint-format.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Reads a JSON object from the exporter's names to the file's.
    ///
    /// # Errors
    /// [`Read`](crate::ErrorKind::Read), [`Json`](crate::ErrorKind::Json).
    pub fn open(path: &Path) -> Result<Self> {
        read_json(path, "a map of tensors' names")
    }

    /// These pairs of the exporter's name and the file's.
    #[must_use]
    pub fn new<S: Into<String>>(pairs: impl IntoIterator<Item = (S, S)>) -> Self {
        Self(pairs.into_iter().map(|(ours, theirs)| (ours.into(), theirs.into())).collect())
    }

    /// What the file calls the exporter's tensor `name`; `None` where no entry says.
    ///
    /// An entry without `*` goes before those with.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<String> {
        let exact = self.0.iter().find(|(ours, _)| ours == name);
        if let Some((_, theirs)) = exact {
            return Some(theirs.clone());
        }
        self.0.iter().find_map(|(ours, theirs)| Some(filled(theirs, &captures(ours, name)?)))
    }

    /// What keeps the entries from being names of these tensors, one line each.
    pub(super) fn problems<'a>(&self, tensors: impl Iterator<Item = &'a String>) -> Vec<String> {
        let mut used = vec![false; self.0.len()];
        let mut problems = Vec::new();
        for (ours, theirs) in &self.0 {
            let [expected, found] = [ours, theirs].map(|name| name.matches('*').count());
            if found != expected {
                problems.push(format!(
                    "map: found {found} `*` in {theirs:?}, expected {expected} as in {ours:?}"
                ));
            }
        }
        for name in tensors {
            let named: Vec<_> =
                (0..self.0.len()).filter(|i| captures(&self.0[*i].0, name).is_some()).collect();
            named.iter().for_each(|i| used[*i] = true);
            let exact = named.iter().filter(|i| self.0[**i].0 == **name).count();
            let found = if exact > 0 { exact } else { named.len() };
            if found > 1 {
                problems.push(format!("map: found {found} entries for {name:?}, expected one"));
            }
        }
        let idle = self.0.iter().zip(used).filter(|(_, used)| !used);
        problems.extend(idle.map(|((ours, _), _)| {
            format!("map: found an entry for {ours:?}, expected the name of a tensor that is read")
        }));
        problems
    }
}

impl<'de> Deserialize<'de> for Names {
    /// Keeps keys that stand twice, which no map would: they are a mistake to be told.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Names, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Names(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Names {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_star_of_the_files_name_is_what_that_of_the_exporters_stands_for() {
        let names = names(
            r#"{"speech.layers.*.expand.*": "blocks.*.fc1.*", "speech.layers.1.expand.bias": "odd", "text.*": "bert.*"}"#,
        );
        let rows = [
            ("speech.layers.0.expand.weight", Some("blocks.0.fc1.weight")),
            ("speech.layers.12.expand.bias", Some("blocks.12.fc1.bias")),
            ("speech.layers.1.expand.bias", Some("odd")),
            ("text.norm.bias", Some("bert.norm.bias")),
            ("fusion.null_text", None),
        ];
        let wrong: Vec<_> =
            rows.iter().filter(|(ours, theirs)| names.of(ours).as_deref() != *theirs).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn entries_that_name_nothing_or_too_much_are_listed() {
        let names = names(
            r#"{"a.*": "x.*", "*.bias": "y.*", "b.weight": "x", "b.weight": "y", "c": "z", "a.weight": "x.*"}"#,
        );
        let tensors = ["a.bias", "a.weight", "b.weight"].map(str::to_owned);
        let expected = [
            r#"map: found 1 `*` in "x.*", expected 0 as in "a.weight""#,
            r#"map: found 2 entries for "a.bias", expected one"#,
            r#"map: found 2 entries for "b.weight", expected one"#,
            r#"map: found an entry for "c", expected the name of a tensor that is read"#,
        ];
        assert_eq!(names.problems(tensors.iter()), expected);
    }

    #[test]
    fn what_is_no_object_of_strings_is_refused() {
        for json in ["[]", r#"{"a": 1}"#, r#""a""#, r#"{"a": null}"#] {
            assert!(serde_json::from_str::<Names>(json).is_err(), "{json}");
        }
    }
}
