//! The mixture of experts: what no gate opens is kept, and the threshold is part of the model.

use hilbert_exporter::progress::silent;
use hilbert_exporter::{Options, Recipe, export};
use hilbert_formats::manifest::Weights;
use hilbert_runtime::{Input, Model};
use serde_json::json;
use tempfile::TempDir;

use crate::tiny::Tiny;

const THRESHOLD: f32 = 0.3;

/// Of three experts the second is never used: its router's weights are those of the first, the other way round and large.
fn checkpoint() -> Tiny {
    let mut tiny = Tiny::with(|config| config["model"]["experts"]["threshold"] = json!(THRESHOLD));
    let (shape, router) = tiny.tensors.get_mut("moe.router.weight").unwrap();
    let width = shape[1];
    for task in router.chunks_exact_mut(3 * width) {
        let (first, others) = task.split_at_mut(width);
        let (second, third) = others.split_at_mut(width);
        first.iter_mut().for_each(|weight| *weight = 2.0);
        second.iter_mut().for_each(|weight| *weight = -2.0);
        third.copy_from_slice(first);
    }
    tiny
}

#[test]
fn an_expert_that_no_gate_opens_is_in_the_bundle_and_computes_what_it_did() {
    let folder = TempDir::new().unwrap();
    let mut options = Options::default();
    options.recipe = Recipe::uniform(Weights::F32);
    let tiny = checkpoint();
    export(tiny.written().path(), &folder.path().join("bundle"), &options, &silent).unwrap();
    let model = Model::open(folder.path().join("bundle")).unwrap();
    let experts = &model.manifest().experts;
    assert_eq!((experts.count, experts.threshold), (3, THRESHOLD));

    let document = [0.05; 192];
    for task in model.experts().run(&document).unwrap() {
        assert_eq!(task.gates.as_slice(), [0.5, 0.0, 0.5]);
    }
    for index in 0..experts.count {
        let mut found = vec![0.0; experts.width];
        let graph = model.graph(&format!("expert_{index}")).unwrap();
        graph.run_into(&[Input::F32(&document)], &mut [&mut found]).unwrap();
        let expected = naive_expert(&tiny, index, &document);
        let largest = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
        let largest = largest.fold(0.0, f64::max);
        assert!(largest < 1e-5, "expert {index}: {largest:e}");
    }
}

/// contract(gelu(expand(document))), in double precision.
fn naive_expert(tiny: &Tiny, index: usize, document: &[f32]) -> Vec<f64> {
    let linear = |part: &str, x: &[f64]| -> Vec<f64> {
        let of = |kind: &str| &tiny.tensors[&format!("moe.experts.{index}.{part}.{kind}")].1;
        let rows = of("weight").chunks_exact(x.len()).zip(of("bias"));
        rows.map(|(row, bias)| {
            f64::from(*bias) + row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
        })
        .collect()
    };
    let document: Vec<f64> = document.iter().map(|x| f64::from(*x)).collect();
    let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    let active: Vec<f64> = linear("expand", &document).into_iter().map(gelu).collect();
    linear("contract", &active)
}
