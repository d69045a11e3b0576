//! What transformers are made of: rows that attend to each other, and what padding does to them.

use super::case::{Case, int, ints, kernels_of};
use crate::engine::Engine;
use crate::engine::kernel::KernelOp;

/// Attention of `q` to `k`, which are its values too, all `[12, 12]` in three heads, with the mask `m` of keys: `y`.
fn attend(case: Case, [q, k, v, m, y]: [&str; 5]) -> Case {
    let name = |part: &str| format!("{y}.{part}");
    let perm = |values: &[i64]| vec![ints("perm", values)];
    let [shifted, bias, q1, q2, k1, k2] = ["shifted", "bias", "q1", "q2", "k1", "k2"].map(name);
    let [v1, v2, s0, s1, s2, a0, a1] = ["v1", "v2", "s0", "s1", "s2", "a0", "a1"].map(name);
    case.node("Sub", &[m, "one"], &shifted)
        .node("Mul", &[&shifted, "large"], &bias)
        .node("Reshape", &[q, "split"], &q1)
        .node_with("Transpose", &[&q1], &q2, perm(&[1, 0, 2]))
        .node("Reshape", &[k, "split"], &k1)
        .node_with("Transpose", &[&k1], &k2, perm(&[1, 2, 0]))
        .node("MatMul", &[&q2, &k2], &s0)
        .node("Add", &[&s0, &bias], &s1)
        .node_with("Softmax", &[&s1], &s2, vec![int("axis", -1)])
        .node("Reshape", &[v, "split"], &v1)
        .node_with("Transpose", &[&v1], &v2, perm(&[1, 0, 2]))
        .node("MatMul", &[&s2, &v2], &a0)
        .node_with("Transpose", &[&a0], &a1, perm(&[1, 0, 2]))
        .node("Reshape", &[&a1, "joined"], y)
}

/// Rows `x`, their mask `m`, and the constants of [`attend`].
fn rows_and_mask() -> Case {
    Case::default()
        .input("x", &[12, 12])
        .input("m", &[1, 12])
        .floats("one", &[], &[1.0])
        .floats("large", &[], &[1e4])
        .integers("split", &[12, 3, 4])
        .integers("joined", &[12, 12])
}

/// `x` through a layer and attention under the mask `m`, to `y`; what reads `y` follows.
fn encoder() -> Case {
    let case = rows_and_mask().quantised("w", &[12, 12], 1).node("MatMul", &["x", "w"], "h");
    attend(case, ["h", "h", "h", "m", "y"])
}

fn skips_padding(case: &Case) -> bool {
    let model = case.model(Engine::detect(), &[]);
    model.nodes().iter().any(|node| node.op_as::<KernelOp>().is_some_and(|op| op.padding.is_some()))
}

#[test]
fn padding_is_left_out_where_the_mask_weighs_it_with_nothing_and_nowhere_else() {
    let column =
        encoder().integers("as_column", &[12, 1]).node("Reshape", &["m", "as_column"], "c");
    let masked = column.clone().node("Mul", &["y", "c"], "z").output("z", &[12, 12]);
    assert!(skips_padding(&masked));
    // Read as it is; weighed column by column, since there are as many columns as rows.
    assert!(!skips_padding(&encoder().output("y", &[12, 12])));
    let row = encoder().integers("as_row", &[1, 12]).node("Reshape", &["m", "as_row"], "r");
    assert!(!skips_padding(&row.node("Mul", &["y", "r"], "z").output("z", &[12, 12])));
    // Attended to under another mask.
    let other = attend(column.input("n", &[1, 12]), ["y", "y", "y", "n", "y2"]);
    let other = other.node("Mul", &["y2", "c"], "z").output("z", &[12, 12]);
    assert!(!skips_padding(&other));
}

/// Rows whose projections attend to each other under the mask `m`, and a feed-forward network of what comes of them, with residuals.
fn layer() -> Case {
    let case = rows_and_mask()
        .floats("g", &[12], &[1.0; 12])
        .floats("b", &[12], &[0.0; 12])
        .node_with("LayerNormalization", &["x", "g", "b"], "n", vec![int("axis", -1)]);
    let case = ["q", "k", "v"].into_iter().fold(case, |case, name| {
        let weights = format!("w{name}");
        case.quantised(&weights, &[12, 12], 1).node("MatMul", &["n", &weights], name)
    });
    attend(case, ["q", "k", "v", "m", "a"])
        .quantised("wo", &[12, 12], 1)
        .node("MatMul", &["a", "wo"], "o")
        .node("Add", &["x", "o"], "y")
        .quantised("w1", &[12, 30], 1)
        .node("MatMul", &["y", "w1"], "h")
        .gelu("h", "h2", false)
        .quantised("w2", &[30, 12], 1)
        .node("MatMul", &["h2", "w2"], "f")
        .node("Add", &["y", "f"], "z")
        .output("z", &[12, 12])
}

#[test]
fn projections_with_their_attention_and_two_layers_in_a_row_are_one_kernel_each() {
    let model = layer().model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&model), ["feed-forward", "linear", "self-attention"]);
    let parts: Vec<_> = crate::engine::operations::of(&model)
        .into_iter()
        .filter(|part| part.kernel != "tract")
        .map(|part| format!("{}: {}", part.operation, part.name))
        .collect();
    let expected = [
        "layer norm: n",
        "linear: q",
        "linear: k",
        "linear: v",
        "attention: a",
        "linear: y",
        "linear: h2",
        "linear: z",
    ];
    assert_eq!(parts, expected);
    // Each by itself, where the values between them are asked for: the same to the bit.
    let joined = layer().run(model).remove(0);
    let between = ["q", "a", "h2"];
    let apart = layer().model(Engine::detect(), &between);
    assert_eq!(
        kernels_of(&apart),
        ["attention", "linear", "linear", "linear", "linear"],
        "{apart}"
    );
    assert_eq!(layer().run(apart).remove(0), joined);
}
