//! Weights that lie in panels.

use super::case::{Case, int, ints, kernels_of};
use crate::engine::Engine;

fn product(stored: (&[usize], &[i64]), shape: &[usize], axis: usize) -> Case {
    Case::default().input("x", &[20, 24]).in_panels("w", stored, shape, axis).node(
        "MatMul",
        &["x", "w"],
        "y",
    )
}

#[test]
fn weights_in_panels_are_those_of_the_transposed_and_reshaped_constant() {
    let stored = [2, 6, 16, 4];
    let matrix = product((&stored, &[1, 3, 0, 2]), &[24, 32], 1).output("y", &[20, 32]);
    assert_eq!(matrix.kernels(), ["linear"]);
    let transposed = Case::default()
        .input("x", &[20, 24])
        .in_panels("w", (&stored, &[0, 2, 1, 3]), &[32, 24], 0)
        .node_with("Gemm", &["x", "w"], "y", vec![int("transB", 1)])
        .output("y", &[20, 32]);
    assert_eq!(transposed.kernels(), ["linear"]);
    let convolution = Case::default()
        .input("x", &[1, 8, 30])
        .in_panels("w", (&[2, 3, 2, 16, 4], &[0, 3, 2, 4, 1]), &[32, 8, 3], 0)
        .node_with(
            "Conv",
            &["x", "w"],
            "y",
            vec![ints("kernel_shape", &[3]), ints("strides", &[2])],
        )
        .output("y", &[1, 32, 14]);
    assert_eq!(kernels_of(&convolution.model(Engine::detect(), &[])), ["convolution"]);
    // Windows do not all reach 127, so that their levels round.
    assert!(convolution.noise() < 1e-3, "{}", convolution.noise());
}

#[test]
fn panels_in_another_order_stay_with_tract() {
    let swapped = product((&[6, 2, 16, 4], &[0, 3, 1, 2]), &[24, 32], 1).output("y", &[20, 32]);
    assert_eq!(swapped.kernels(), [""; 0]);
    let of_inputs = product((&[2, 6, 16, 4], &[1, 3, 0, 2]), &[24, 32], 0).output("y", &[20, 32]);
    assert_eq!(of_inputs.kernels(), [""; 0]);
}
