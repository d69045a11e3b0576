//! Which tensors suffer from int8: each alone, then the fewest left out with which the gate is passed.

use std::path::Path;

use hilbert_formats::manifest::Weights;
use serde::{Deserialize, Serialize};

use super::evaluation::{Evaluation, bundle_of};
use super::gate::{Limits, TaskMeasures, misses};
use super::list::List;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::progress::Progress;
use crate::recipe::{Recipe, Rule};

/// Documents of the ranking, if the gate has as many.
pub const DOCUMENTS: usize = 200;

/// Recordings that the ranking's documents are cut from.
const RECORDINGS: usize = 20;

/// What storing one tensor as int8, and no other, does to the decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitivity {
    /// Name of the tensor.
    pub tensor: String,
    /// Decisions that differ from the f32 form's.
    pub different: usize,
    /// Mean difference of the probabilities, half the sum over labels, 0 to 1.
    pub shift: f64,
}

/// Ranks the tensors that `recipe` stores as int8, the most sensitive first, on `documents` documents.
///
/// # Errors
/// As [`Evaluation::new`].
pub fn rank(
    checkpoint: &Checkpoint,
    list: &List,
    documents: usize,
    recipe: &Recipe,
    cache: &Path,
    progress: Progress<'_>,
) -> Result<Vec<Sensitivity>> {
    let tensors = checkpoint.quantisable();
    let tensors: Vec<_> =
        tensors.iter().filter(|(name, shape)| recipe.is_int8(name, shape)).collect();
    let quiet = &crate::progress::silent;
    let few = list.thinned(RECORDINGS);
    let floats = bundle_of(checkpoint, &Recipe::uniform(Weights::F32))?;
    let evaluation = Evaluation::new(&floats, &few, documents, cache, quiet)?;
    let mut ranking = Vec::new();
    for (i, (name, _)) in tensors.iter().enumerate() {
        progress("ranking tensors", i, tensors.len());
        let (different, shift) =
            evaluation.shift(&bundle_of(checkpoint, &Recipe::int8_only(name))?)?;
        let shift = (shift * 1e6).round() / 1e6;
        ranking.push(Sensitivity { tensor: (*name).clone(), different, shift });
    }
    progress("ranking tensors", tensors.len(), tensors.len());
    let worse = |a: &Sensitivity, b: &Sensitivity| {
        b.different.cmp(&a.different).then(b.shift.total_cmp(&a.shift))
    };
    ranking.sort_by(worse);
    Ok(ranking)
}

/// A recipe that passes the gate, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The recipe that was given, with a rule for each tensor left out.
    pub recipe: Recipe,
    /// Measures of it.
    pub measures: Vec<TaskMeasures>,
}

/// Leaves out the fewest of the first tensors of `ranking` with which `evaluation` passes `limits`; all where none will do.
///
/// # Errors
/// As [`Evaluation::new`].
pub fn search(
    evaluation: &Evaluation<'_>,
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    ranking: &[Sensitivity],
    limits: &Limits,
) -> Result<Found> {
    fewest(ranking.len(), |count| {
        let mut recipe = recipe.clone();
        recipe.rules.extend(ranking[..count].iter().map(|s| Rule::float(&s.tensor)));
        let measures = evaluation.measure(&bundle_of(checkpoint, &recipe)?)?;
        let passed = misses(&measures, limits).is_empty();
        Ok((passed, Found { recipe, measures }))
    })
}

/// What `without` finds for the smallest number from 1 to `most` that passes, if more pass wherever fewer do; for `most` where
/// none passes.
///
/// The number is doubled until it passes, then bisected: a try may cost minutes.
fn fewest<T, E>(
    most: usize,
    mut without: impl FnMut(usize) -> std::result::Result<(bool, T), E>,
) -> std::result::Result<T, E> {
    let (mut fails, mut passes) = (0, 1.min(most));
    let (mut passed, mut found) = without(passes)?;
    while !passed && passes < most {
        fails = passes;
        passes = (2 * passes).min(most);
        (passed, found) = without(passes)?;
    }
    while passed && passes - fails > 1 {
        let middle = usize::midpoint(fails, passes);
        let (passed, other) = without(middle)?;
        if passed {
            (passes, found) = (middle, other);
        } else {
            fails = middle;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::fewest;

    #[test]
    fn the_fewest_that_pass_are_found_in_few_tries() {
        let mut wrong = Vec::new();
        for most in 0..40_usize {
            for needed in 1..=most + 1 {
                let mut tries = 0_u32;
                let found = fewest(most, |count| {
                    tries += 1;
                    Ok::<_, ()>((count >= needed, count))
                });
                let limit = 2 * needed.min(most.max(1)).ilog2() + 3;
                if found != Ok(needed.min(most)) || tries > limit {
                    wrong.push((most, needed, found, tries));
                }
            }
        }
        assert!(wrong.is_empty(), "most, needed, found, tries: {wrong:?}");
    }
}
