//! Graphs lowered to kernels against the same graphs in stock tract.
//!
//! Inputs are whole numbers of which each row's largest is 127: rounding to levels changes nothing, and both forms agree as
//! floats do.

mod case;
mod encoder;
mod panels;

use tract_onnx::pb::tensor_proto::DataType;

use self::case::{Case, constant, int, ints, kernels_of};
use crate::engine::Engine;

/// `y0 = x w`
fn product() -> Case {
    Case::default().input("x", &[20, 24]).quantised("w", &[24, 18], 1).node(
        "MatMul",
        &["x", "w"],
        "y0",
    )
}

#[test]
fn a_layer_takes_in_its_bias_its_gelu_and_its_residual() {
    let bias: Vec<f32> = (0..18).map(|i| i as f32 / 10.0).collect();
    let with_bias = || product().floats("b", &[18], &bias).node("Add", &["b", "y0"], "y1");
    let rows: [(Case, &[&str]); 5] = [
        (product().output("y0", &[20, 18]), &["linear"]),
        (with_bias().output("y1", &[20, 18]), &["linear"]),
        (with_bias().gelu("y1", "y2", false).output("y2", &[20, 18]), &["linear"]),
        (with_bias().gelu("y1", "y2", true).output("y2", &[20, 18]), &["linear"]),
        (
            with_bias()
                .gelu("y1", "y2", true)
                .input("r", &[20, 18])
                .node("Add", &["r", "y2"], "y3")
                .output("y3", &[20, 18]),
            &["linear"],
        ),
    ];
    for (case, expected) in rows {
        assert_eq!(case.kernels(), expected);
    }
}

#[test]
fn values_that_are_asked_for_end_a_layer() {
    let case = || product().floats("b", &[18], &[1.0; 18]).node("Add", &["y0", "b"], "y1");
    // The product is an output too, then a tap, then taken twice.
    let twice = case().output("y1", &[20, 18]).output("y0", &[20, 18]);
    assert_eq!(twice.kernels(), ["linear"]);
    let model = case().output("y1", &[20, 18]).model(Engine::detect(), &["y0"]);
    assert!(model.nodes().iter().any(|node| node.op.name() == "Add"), "{model}");
    let shared = case().node("Mul", &["y0", "y1"], "z").output("z", &[20, 18]);
    assert_eq!(shared.kernels(), ["linear"]);
}

#[test]
fn gemm_is_a_layer_in_either_order_of_its_weights() {
    let case = |shape: &[usize], axis, attributes| {
        Case::default()
            .input("x", &[20, 24])
            .quantised("w", shape, axis)
            .floats("b", &[18], &[0.5; 18])
            .node_with("Gemm", &["x", "w", "b"], "y", attributes)
            .output("y", &[20, 18])
    };
    assert_eq!(case(&[24, 18], 1, Vec::new()).kernels(), ["linear"]);
    assert_eq!(case(&[18, 24], 0, vec![int("transB", 1)]).kernels(), ["linear"]);
}

#[test]
fn what_no_kernel_computes_stays_with_tract() {
    // Scales of inputs in place of outputs; a zero point; a weight that is no constant.
    let of_inputs = Case::default()
        .input("x", &[20, 24])
        .quantised("w", &[24, 18], 0)
        .node("MatMul", &["x", "w"], "y")
        .output("y", &[20, 18]);
    assert_eq!(of_inputs.kernels(), [""; 0]);
    let mut shifted = product().output("y0", &[20, 18]);
    shifted.graph.initializer.push(constant("zero", DataType::Int8, &[18], vec![3; 18]));
    shifted.graph.node[0].input.push("zero".to_owned());
    assert_eq!(shifted.kernels(), [""; 0]);
    let of_two = Case::default()
        .input("x", &[20, 24])
        .input("w", &[24, 18])
        .node("MatMul", &["x", "w"], "y")
        .output("y", &[20, 18]);
    assert_eq!(of_two.kernels(), [""; 0]);
}

#[test]
fn a_weight_that_two_layers_share_is_packed_for_each() {
    let case = product()
        .input("z", &[20, 24])
        .node("MatMul", &["z", "w"], "y1")
        .node("Sub", &["y0", "y1"], "y")
        .output("y", &[20, 18]);
    assert_eq!(case.kernels(), ["linear", "linear"]);
}

#[test]
fn convolutions_in_a_row_hand_on_frames_and_end_in_rows() {
    let conv = |case: Case, x: &str, w: &str, y: &str, stride| {
        let attributes =
            vec![ints("kernel_shape", &[3]), ints("pads", &[1, 1]), ints("strides", &[stride])];
        case.node_with("Conv", &[x, w, "b"], y, attributes)
    };
    let one = Case::default().input("x", &[1, 20, 30]).floats("b", &[24], &[0.25; 24]).quantised(
        "w1",
        &[24, 20, 3],
        0,
    );
    let one = conv(one, "x", "w1", "y1", 1);
    let alone = one.clone().output("y1", &[1, 24, 30]).model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&alone), ["convolution"]);
    // Windows of whole numbers do not all reach 127: products agree to a level's rounding, and shapes to the number.
    let two = conv(one.quantised("w2", &[24, 24, 3], 0), "y1", "w2", "y2", 2)
        .integers("rows", &[24, 15])
        .node("Reshape", &["y2", "rows"], "y3")
        .node_with("Transpose", &["y3"], "y4", vec![ints("perm", &[1, 0])])
        .output("y4", &[15, 24]);
    let lowered = two.model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&lowered), ["convolutions"]);
    assert_eq!(lowered.nodes().len(), 2, "{lowered}");
    assert!(two.noise() < 1e-3, "{}", two.noise());
}

#[test]
fn attention_and_layer_norm_become_one_operation_each() {
    let (rows, heads, head) = (12, 3, 4);
    let (n, h, d) = (rows as i64, heads as i64, head as i64);
    let perm = |values: &[i64]| vec![ints("perm", values)];
    let case = Case::default()
        .input("q", &[rows, heads * head])
        .input("k", &[rows, heads * head])
        .input("v", &[rows, heads * head])
        .floats("scale", &[], &[0.001])
        .floats("bias", &[1, rows], &[0.0, 0.0, -1e4, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, -1e4, 0.0])
        .integers("split", &[n, h, d])
        .integers("joined", &[n, h * d])
        .node("Mul", &["q", "scale"], "q0")
        .node("Reshape", &["q0", "split"], "q1")
        .node_with("Transpose", &["q1"], "q2", perm(&[1, 0, 2]))
        .node("Reshape", &["k", "split"], "k1")
        .node_with("Transpose", &["k1"], "k2", perm(&[1, 2, 0]))
        .node("MatMul", &["q2", "k2"], "s0")
        .node("Add", &["s0", "bias"], "s1")
        .node_with("Softmax", &["s1"], "s2", vec![int("axis", -1)])
        .node("Reshape", &["v", "split"], "v1")
        .node_with("Transpose", &["v1"], "v2", perm(&[1, 0, 2]))
        .node("MatMul", &["s2", "v2"], "a0")
        .node_with("Transpose", &["a0"], "a1", perm(&[1, 0, 2]))
        .node("Reshape", &["a1", "joined"], "a2")
        .floats("g", &[heads * head], &[0.5; 12])
        .floats("b", &[heads * head], &[0.125; 12])
        .node_with("LayerNormalization", &["a2", "g", "b"], "y", vec![int("axis", -1)])
        .quantised("w", &[heads * head, 2], 1)
        .node("MatMul", &["y", "w"], "z")
        .output("y", &[rows, heads * head])
        .output("z", &[rows, 2]);
    let lowered = case.model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&lowered), ["attention", "layer norm", "linear"]);
    let found = case.run(lowered).remove(0);
    let expected = case.run(case.model(Engine::Float, &[])).remove(0);
    found
        .close_enough(&expected, tract_core::internal::Approximation::Custom(1e-3, 1e-3, 0.0))
        .unwrap();
}

#[test]
fn a_graph_of_floats_is_left_to_tract() {
    let case = Case::default().input("x", &[20, 24]).floats("w", &[24, 18], &[0.5; 24 * 18]).node(
        "MatMul",
        &["x", "w"],
        "y0",
    );
    assert_eq!(case.clone().output("y0", &[20, 18]).kernels(), [""; 0]);
    // Beside int8 weights, floats that were left so on purpose are a kernel's too.
    let mixed = case
        .quantised("v", &[18, 8], 1)
        .node("MatMul", &["y0", "v"], "y1")
        .output("y1", &[20, 8])
        .model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&mixed), ["linear", "linear"]);
}

#[test]
fn a_table_stays_int8_until_the_graph_runs() {
    let case = Case::default()
        .input("x", &[80, 64])
        .quantised("t", &[80, 64], 0)
        .node("Add", &["x", "t"], "y")
        .output("y", &[80, 64]);
    assert_eq!(case.kernels(), ["table"]);
}

#[test]
fn a_table_that_is_added_to_a_kernels_rows_adds_itself() {
    // Rows of a batch of one too, as PyTorch writes them.
    for shape in [&[80, 24][..], &[1, 80, 24]] {
        let sum = [&shape[..shape.len() - 1], &[64]].concat();
        let case = Case::default()
            .input("x", shape)
            .quantised("w", &[24, 64], 1)
            .node("MatMul", &["x", "w"], "h")
            .quantised("t", &[80, 64], 0)
            .node("Add", &["t", "h"], "y")
            .floats("ones", &[1, 80], &[1.0; 80])
            .floats("count", &[], &[80.0])
            .node("Div", &["ones", "count"], "weights")
            .node("MatMul", &["weights", "y"], "mean")
            .output("mean", &[&sum[..sum.len() - 2], &[1, 64]].concat())
            .output("y", &sum);
        assert_eq!(case.kernels(), ["linear", "mean", "table"]);
        let model = case.model(Engine::detect(), &[]);
        assert!(model.nodes().iter().all(|node| node.op.name() != "Add"), "{model}");
    }
}

#[test]
fn rows_of_an_int8_table_are_looked_up_by_one_kernel() {
    let case = |numbers: &str| {
        let to = |data_type: DataType| vec![int("to", data_type as i64)];
        let mut case = Case::default()
            .input("x", &[20])
            .node_with("Cast", &["x"], "n", to(DataType::Int64))
            .node_with("Neg", &["n"], "m", Vec::new())
            .floats("t.scale", &[128, 1], &(0..128_u8).map(f32::from).collect::<Vec<_>>())
            .node_with("Gather", &["t", "n"], "levels", vec![int("axis", 0)])
            .node_with("Gather", &["t.scale", numbers], "scales", vec![int("axis", 0)])
            .node_with("Cast", &["levels"], "floats", to(DataType::Float))
            .node("Mul", &["floats", "scales"], "y")
            .output("y", &[20, 24]);
        let levels = (0..128 * 24_u32).map(|i| (i * 37 % 251).to_le_bytes()[0]).collect();
        case.graph.initializer.push(constant("t", DataType::Int8, &[128, 24], levels));
        case
    };
    assert_eq!(case("n").kernels(), ["look-up"]);
    // The scales of other rows.
    assert_eq!(case("m").kernels(), [""; 0]);
}

/// `y0 = n w` and `y1 = n v` of the norm `n` of `x`.
fn siblings() -> Case {
    Case::default()
        .input("x", &[20, 24])
        .floats("g", &[24], &[0.5; 24])
        .floats("b", &[24], &[0.125; 24])
        .node_with("LayerNormalization", &["x", "g", "b"], "n", vec![int("axis", -1)])
        .quantised("w", &[24, 18], 1)
        .quantised("v", &[24, 7], 1)
        .node("MatMul", &["n", "w"], "y0")
        .node("MatMul", &["n", "v"], "y1")
        .output("y0", &[20, 18])
        .output("y1", &[20, 7])
}

#[test]
fn layers_of_the_same_rows_are_one_kernel_with_the_norm_that_only_they_take() {
    let case = siblings();
    let model = case.model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&model), ["linear"]);
    let parts: Vec<_> = crate::engine::operations::of(&model)
        .into_iter()
        .map(|part| format!("{}: {}", part.operation, part.name))
        .collect();
    assert_eq!(parts, ["layer norm: n", "linear: y0", "linear: y1"]);
    // Each layer by itself, which the other's values being asked for does not change: the same to the bit.
    let joined = case.run(model);
    for (name, shape, joined) in [("y0", [20, 18], &joined[0]), ("y1", [20, 7], &joined[1])] {
        let mut alone = siblings();
        alone.graph.output.clear();
        let alone = alone.output(name, &shape);
        assert_eq!(&alone.run(alone.model(Engine::detect(), &[]))[0], joined, "{name}");
    }
    let tapped = siblings().output("n", &[20, 24]).model(Engine::detect(), &[]);
    assert_eq!(kernels_of(&tapped), ["layer norm", "linear"]);
    let other = siblings().node("Neg", &["n"], "z").output("z", &[20, 24]);
    assert_eq!(kernels_of(&other.model(Engine::detect(), &[])), ["layer norm", "linear"]);
}

#[test]
fn means_and_deviations_and_rows_times_a_column_are_kernels() {
    let case = |ending: fn(Case) -> Case| {
        let case = Case::default()
            .input("x", &[20, 24])
            .input("m", &[1, 20])
            .quantised("w", &[24, 18], 1)
            .node("MatMul", &["x", "w"], "h")
            .floats("count", &[1, 1], &[900.0])
            .node("Div", &["m", "count"], "mean_of")
            .node("MatMul", &["mean_of", "h"], "mean")
            .node("Sub", &["h", "mean"], "from_mean")
            .node("Mul", &["from_mean", "from_mean"], "square")
            .node("MatMul", &["mean_of", "square"], "variance")
            .floats("floor", &[], &[1e-3])
            .node("Max", &["variance", "floor"], "bounded")
            .node("Sqrt", &["bounded"], "deviation");
        ending(case)
            .integers("as_column", &[20, 1])
            .node("Reshape", &["m", "as_column"], "column")
            .node("Mul", &["h", "column"], "scaled")
            .output("scaled", &[20, 18])
    };
    let alone = |case: Case| case.output("mean", &[1, 18]);
    let joined = |case: Case| {
        let axis = vec![int("axis", 1)];
        case.node_with("Concat", &["mean", "deviation"], "row", axis).output("row", &[1, 36])
    };
    let expected = ["linear", "scaled rows", "statistics pooling"];
    assert_eq!(case(joined).kernels(), expected);
    assert_eq!(case(alone).kernels(), ["linear", "mean", "scaled rows"]);
    // The other way round, and with a part that is asked for, they stay as they are.
    let turned = |case: Case| {
        let axis = vec![int("axis", 1)];
        case.node_with("Concat", &["deviation", "mean"], "row", axis).output("row", &[1, 36])
    };
    let apart = ["linear", "mean", "scaled rows"];
    assert_eq!(case(turned).kernels(), apart);
    assert_eq!(case(joined).output("square", &[20, 18]).kernels(), apart);
}
