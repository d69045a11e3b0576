//! The recipe: which tensors a bundle stores as int8 and which as float. Normative description: `docs/recipe-format.md`.

use std::collections::BTreeMap;
use std::path::Path;

use hilbert_formats::manifest::Weights;
use serde::{Deserialize, Serialize};

use crate::checkpoint::read;
use crate::error::{ErrorKind, Result};
use crate::pattern::captures;
use crate::quantize::is_quantised;

/// The schema this exporter reads and writes.
pub const SCHEMA: &str = "hilbert.recipe/1";

/// How each tensor of a checkpoint is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Always [`SCHEMA`].
    schema: String,
    /// What holds where no rule does.
    pub weights: Weights,
    /// Exceptions; of several that name a tensor the last one holds.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A tensor's name in the checkpoint, or a pattern: `*` stands for any characters, also for none.
    pub tensors: String,
    /// How these tensors are stored.
    pub weights: Weights,
}

impl Recipe {
    /// All tensors alike.
    #[must_use]
    pub fn uniform(weights: Weights) -> Self {
        Self { schema: SCHEMA.into(), weights, rules: Vec::new() }
    }

    /// Int8 but for the tensors of these names.
    #[must_use]
    pub fn int8_without(names: impl IntoIterator<Item = String>) -> Self {
        let rules = names.into_iter().map(|name| Rule::float(&name)).collect();
        Self { rules, ..Self::uniform(Weights::Int8) }
    }

    /// Float but for the tensor of this name.
    #[must_use]
    pub fn int8_only(name: &str) -> Self {
        let rule = Rule { tensors: name.into(), weights: Weights::Int8 };
        Self { rules: vec![rule], ..Self::uniform(Weights::F32) }
    }

    /// Reads a recipe's file.
    ///
    /// # Errors
    /// [`ErrorKind::Read`]; [`ErrorKind::Json`]; [`ErrorKind::Schema`].
    pub fn open(path: &Path) -> Result<Self> {
        let recipe: Self = serde_json::from_slice(&read(path)?)
            .map_err(|source| ErrorKind::Json { path: path.into(), what: "a recipe", source })?;
        if recipe.schema != SCHEMA {
            let (found, command) = (recipe.schema, "hilbert-export");
            return Err(
                ErrorKind::Schema { path: path.into(), found, expected: SCHEMA, command }.into()
            );
        }
        Ok(recipe)
    }

    /// The file's content: JSON that ends with a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let rule = |r: &Rule| format!("    {}", serde_json::json!(r));
        let rules: Vec<_> = self.rules.iter().map(rule).collect();
        let rules =
            if rules.is_empty() { "[]".into() } else { format!("[\n{}\n  ]", rules.join(",\n")) };
        let weights = serde_json::json!(self.weights);
        format!(
            "{{\n  \"schema\": \"{SCHEMA}\",\n  \"weights\": {weights},\n  \"rules\": {rules}\n}}\n"
        )
    }

    /// Whether the tensor of this name and shape is stored as int8: what is too small for it never is.
    #[must_use]
    pub fn is_int8(&self, name: &str, shape: &[usize]) -> bool {
        let rule = self.rules.iter().rev().find(|rule| rule.names(name));
        let weights = rule.map_or(self.weights, |rule| rule.weights);
        weights == Weights::Int8 && is_quantised(shape)
    }

    /// Whether one of these tensors is stored as int8.
    #[must_use]
    pub fn any_int8(&self, tensors: &BTreeMap<String, Vec<usize>>) -> bool {
        tensors.iter().any(|(name, shape)| self.is_int8(name, shape))
    }

    /// Which of these tensors are stored as floats; none where all are, for then nothing was left out.
    #[must_use]
    pub fn floats(&self, tensors: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
        let float = tensors.iter().filter(|(name, shape)| !self.is_int8(name, shape));
        let float: Vec<_> = float.map(|(name, _)| name.clone()).collect();
        if float.len() == tensors.len() { Vec::new() } else { float }
    }

    /// What keeps the recipe from being one for these tensors, all large enough for int8: a line for each rule that names
    /// none of them.
    #[must_use]
    pub fn problems(&self, tensors: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
        let idle = self.rules.iter().filter(|rule| !tensors.keys().any(|name| rule.names(name)));
        idle.map(|rule| {
            let found = &rule.tensors;
            format!("recipe: found a rule for {found:?}, expected one that names a tensor large enough for int8")
        })
        .collect()
    }
}

impl Rule {
    /// These tensors as floats.
    #[must_use]
    pub fn float(tensors: &str) -> Self {
        Self { tensors: tensors.into(), weights: Weights::F32 }
    }

    fn names(&self, tensor: &str) -> bool {
        captures(&self.tensors, tensor).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_names_a_tensor_holds_and_small_tensors_stay_float() {
        let json = r#"{"schema": "hilbert.recipe/1", "weights": "int8", "rules": [
            {"tensors": "speech.*", "weights": "f32"}, {"tensors": "speech.layers.1.*", "weights": "int8"}]}"#;
        let recipe: Recipe = serde_json::from_str(json).unwrap();
        let rows = [
            ("speech.layers.0.expand.weight", vec![64, 64], false),
            ("speech.layers.1.expand.weight", vec![64, 64], true),
            ("speech.layers.1.expand.weight", vec![8, 8], false),
            ("speech.layers.1.expand.bias", vec![4096], false),
            ("text.tokens.weight", vec![64, 64], true),
        ];
        let wrong: Vec<_> =
            rows.iter().filter(|(n, shape, is)| recipe.is_int8(n, shape) != *is).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn a_recipe_is_read_as_it_was_written() {
        let recipes = [
            Recipe::uniform(Weights::F32),
            Recipe::int8_only("a.weight"),
            Recipe::int8_without(["a.weight".into(), "b.*".into()]),
        ];
        for recipe in recipes {
            assert_eq!(serde_json::from_str::<Recipe>(&recipe.to_json()).unwrap(), recipe);
        }
    }

    #[test]
    fn rules_that_change_nothing_are_listed() {
        let tensors = BTreeMap::from([("a.weight".to_owned(), vec![64, 64])]);
        let recipe = Recipe::int8_without(["a.*".into(), "a.bias".into(), "b.weight".into()]);
        let found = recipe.problems(&tensors);
        let expected = ["a.bias", "b.weight"].map(|n| {
            format!("recipe: found a rule for {n:?}, expected one that names a tensor large enough for int8")
        });
        assert_eq!(found, expected);
    }
}
