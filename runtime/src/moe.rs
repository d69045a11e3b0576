//! The mixture of experts: one gate a task over shared experts, one output layer a task (Ma et al. 2018,
//! "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts").

use std::sync::Arc;

use heapless::Vec as BoundedVec;
use hilbert_formats::manifest;

use crate::engine::{Graph, Input};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_EXPERTS, MAX_LABELS, MAX_TASKS};

/// Router, experts and heads; equal to `MixtureOfExperts` in `models/reference/hilbert.py`.
#[derive(Debug)]
pub struct MixtureOfExperts {
    router: Arc<Graph>,
    experts: BoundedVec<Arc<Graph>, MAX_EXPERTS>,
    heads: BoundedVec<Arc<Graph>, MAX_TASKS>,
    threshold: f32,
    /// Values of an expert's output.
    width: usize,
}

/// What the mixture says about one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOutput {
    /// Shares of the experts, which sum to 1; 0 for an expert that was not used.
    pub gates: BoundedVec<f32, MAX_EXPERTS>,
    /// Logits, or for an ordinal task its score.
    pub output: BoundedVec<f32, MAX_LABELS>,
}

impl MixtureOfExperts {
    /// The mixture of a bundle, whose graphs `graph` finds by their names.
    ///
    /// # Errors
    /// Whatever `graph` returns.
    pub fn new(
        constants: &manifest::Experts,
        tasks: &[manifest::Task],
        graph: impl Fn(&str) -> Result<Arc<Graph>>,
    ) -> Result<Self> {
        let mut experts = BoundedVec::new();
        for i in 0..constants.count {
            experts.push(graph(&format!("expert_{i}"))?).map_err(|_| full("experts"))?;
        }
        let mut heads = BoundedVec::new();
        for task in tasks {
            heads.push(graph(&format!("head_{}", task.name))?).map_err(|_| full("tasks"))?;
        }
        let router = graph("router")?;
        Ok(Self { router, experts, heads, threshold: constants.threshold, width: constants.width })
    }

    /// Every task's output for one document vector, in the order of the tasks. Experts that no task uses are not run.
    ///
    /// # Errors
    /// [`ErrorKind::GraphRun`] for a vector of another length.
    pub fn run(&self, document: &[f32]) -> Result<BoundedVec<TaskOutput, MAX_TASKS>> {
        let mut routed = [0.0; MAX_TASKS * MAX_EXPERTS];
        let routed = &mut routed[..self.heads.len() * self.experts.len()];
        self.router.run_into(&[Input::F32(document)], &mut [routed])?;
        routed
            .chunks_exact_mut(self.experts.len())
            .for_each(|gates| apply_threshold(gates, self.threshold));

        let mut outputs = vec![0.0; self.experts.len() * self.width];
        for (i, (expert, output)) in
            self.experts.iter().zip(outputs.chunks_exact_mut(self.width)).enumerate()
        {
            if routed.iter().skip(i).step_by(self.experts.len()).any(|gate| *gate > 0.0) {
                expert.run_into(&[Input::F32(document)], &mut [output])?;
            }
        }
        let mut mixed = vec![0.0; self.width];
        let mut results = BoundedVec::new();
        for (head, gates) in self.heads.iter().zip(routed.chunks_exact(self.experts.len())) {
            mixed.fill(0.0);
            for (gate, output) in gates.iter().zip(outputs.chunks_exact(self.width)) {
                mixed.iter_mut().zip(output).for_each(|(sum, value)| *sum += gate * value);
            }
            let mut output = BoundedVec::new();
            let outputs_of_head = head.outputs().first().map_or(0, |port| port.len());
            output.resize(outputs_of_head, 0.0).map_err(|_| full("head outputs"))?;
            head.run_into(&[Input::F32(&mixed)], &mut [&mut output])?;
            let gates = BoundedVec::from_slice(gates).map_err(|_| full("gates"))?;
            results.push(TaskOutput { gates, output }).map_err(|_| full("tasks"))?;
        }
        Ok(results)
    }
}

/// Gates under the threshold become 0, the rest are divided by their sum. The largest always stays.
fn apply_threshold(gates: &mut [f32], threshold: f32) {
    let largest = gates.iter().copied().fold(0.0, f32::max);
    gates.iter_mut().filter(|gate| **gate < threshold.min(largest)).for_each(|gate| *gate = 0.0);
    let sum: f32 = gates.iter().sum();
    gates.iter_mut().for_each(|gate| *gate /= sum);
}

fn full(what: &'static str) -> Error {
    Error::new(ErrorKind::Internal {
        what: "mixture of experts",
        reason: format!("found more {what} than a manifest may have"),
    })
}

#[cfg(test)]
mod tests {
    use super::apply_threshold;

    #[test]
    fn gates_under_the_threshold_are_zero_and_the_rest_sum_to_one() {
        let rows: [(f32, [f32; 4], [f32; 4]); 5] = [
            (0.0, [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]),
            (0.2, [0.125, 0.125, 0.25, 0.5], [0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0]),
            (0.25, [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
            (0.5, [0.25, 0.25, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0]),
            (0.9, [0.2, 0.2, 0.2, 0.4], [0.0, 0.0, 0.0, 1.0]),
        ];
        let failed: Vec<_> = rows
            .iter()
            .filter_map(|(threshold, gates, expected)| {
                let mut found = *gates;
                apply_threshold(&mut found, *threshold);
                let differs = found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-6);
                differs.then_some((threshold, gates, found))
            })
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
    }
}
