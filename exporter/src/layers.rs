//! The layers that several graphs share, each the class or function of its name in `models/reference/hilbert.py`.
//!
//! Graphs hold one input, so the batch dimension is left out: N rows, D width, H heads.

use crate::error::Result;
use crate::graph::{GraphBuilder, Value, float, int};

/// Epsilon of Whisper's and the fusion's layer norm.
pub const EPSILON: f32 = 1e-5;

/// Epsilon of BERT's layer norm.
pub const BERT_EPSILON: f32 = 1e-12;

/// What tells one transformer layer from another.
#[derive(Debug, Clone, Copy)]
pub struct LayerForm {
    /// Attention heads.
    pub heads: usize,
    /// Whisper normalises before each half, BERT after.
    pub pre_norm: bool,
    /// Of the layer norms.
    pub epsilon: f32,
}

impl GraphBuilder<'_> {
    /// `x W + b` with the tensors `NAME.weight` and `NAME.bias`. `[N, in]` -> `[N, out]`
    ///
    /// # Errors
    /// A tensor that is not there: a fault of the exporter, as everywhere below.
    pub fn linear(&mut self, name: &str, x: &Value) -> Result<Value> {
        let product = self.linear_without_bias(name, x)?;
        let bias = self.weight(&format!("{name}.bias"))?;
        Ok(self.binary("Add", &product, &bias))
    }

    /// `x W` with the tensor `NAME.weight`. `[N, in]` -> `[N, out]`
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn linear_without_bias(&mut self, name: &str, x: &Value) -> Result<Value> {
        let matrix = self.matrix(&format!("{name}.weight"))?;
        Ok(self.matmul(x, &matrix))
    }

    /// Layer norm over the last dimension with the tensors `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn layer_norm(&mut self, name: &str, x: &Value, epsilon: f32) -> Result<Value> {
        let scale = self.weight(&format!("{name}.weight"))?;
        let bias = self.weight(&format!("{name}.bias"))?;
        let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
        Ok(self.node("LayerNormalization", &[x, &scale, &bias], attributes, x.shape().to_vec()))
    }

    /// `x / 2 (1 + erf(x / sqrt 2))`: opset 17 has no `Gelu`. tract recognises these five operations as one.
    pub fn gelu(&mut self, x: &Value) -> Value {
        // The reciprocal of the rounded root is the constant that tract looks for.
        let [root, one, half] = [2.0_f32.sqrt().recip(), 1.0, 0.5].map(|v| self.scalar(v));
        let scaled = self.binary("Mul", x, &root);
        let erf = self.unary("Erf", &scaled);
        let sum = self.binary("Add", &erf, &one);
        let halved = self.binary("Mul", x, &half);
        self.binary("Mul", &halved, &sum)
    }

    /// Softmax over the last dimension.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![int("axis", -1)], x.shape().to_vec())
    }

    /// 1 where a key counts, 0 where not -> 0 and -1e4, to be added to attention scores.
    pub fn additive(&mut self, mask: &Value) -> Value {
        let [one, large] = [1.0, 1e4].map(|v| self.scalar(v));
        let shifted = self.binary("Sub", mask, &one);
        self.binary("Mul", &shifted, &large)
    }

    /// Rows cut into heads: `[N, D]` -> `[H, N, D / H]`.
    pub fn split_heads(&mut self, x: &Value, heads: usize) -> Value {
        let [rows, width] = matrix_shape(x);
        let split = self.reshape(x, &[rows, heads, width / heads]);
        self.transpose(&split, &[1, 0, 2])
    }

    /// Scaled scores of projected queries `[Q, D]` and keys `[N, D]` plus an additive `[N]` -> `[H, Q, N]`.
    pub fn scores(&mut self, query: &Value, key: &Value, bias: &Value, heads: usize) -> Value {
        let [rows, width] = matrix_shape(key);
        #[expect(clippy::cast_precision_loss, reason = "a head's width is a small whole number")]
        let scale = self.scalar(((width / heads) as f32).sqrt().recip());
        let query = self.binary("Mul", query, &scale);
        let query = self.split_heads(&query, heads);
        let key = self.reshape(key, &[rows, heads, width / heads]);
        let key = self.transpose(&key, &[1, 2, 0]);
        let product = self.matmul(&query, &key);
        self.binary("Add", &product, bias)
    }

    /// Multi-head self-attention, decomposed. `[N, D]`, additive `[N]` -> `[N, D]`
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn attention(
        &mut self,
        name: &str,
        x: &Value,
        bias: &Value,
        heads: usize,
    ) -> Result<Value> {
        let query = self.linear(&format!("{name}.query"), x)?;
        let key = self.linear(&format!("{name}.key"), x)?;
        let value = self.linear(&format!("{name}.value"), x)?;
        let scores = self.scores(&query, &key, bias, heads);
        let weights = self.softmax(&scores);
        let value = self.split_heads(&value, heads);
        let attended = self.matmul(&weights, &value);
        let attended = self.transpose(&attended, &[1, 0, 2]);
        let attended = self.reshape(&attended, x.shape());
        self.linear(&format!("{name}.output"), &attended)
    }

    /// One transformer layer. `[N, D]`, additive `[N]` -> `[N, D]`
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn layer(&mut self, name: &str, x: &Value, bias: &Value, form: LayerForm) -> Result<Value> {
        let (attention, attention_norm) =
            (format!("{name}.attention"), format!("{name}.attention_norm"));
        let ffn_norm = format!("{name}.ffn_norm");
        if form.pre_norm {
            let normed = self.layer_norm(&attention_norm, x, form.epsilon)?;
            let attended = self.attention(&attention, &normed, bias, form.heads)?;
            let x = self.binary("Add", x, &attended);
            let normed = self.layer_norm(&ffn_norm, &x, form.epsilon)?;
            let y = self.feed_forward(name, &normed)?;
            return Ok(self.binary("Add", &x, &y));
        }
        let attended = self.attention(&attention, x, bias, form.heads)?;
        let sum = self.binary("Add", x, &attended);
        let x = self.layer_norm(&attention_norm, &sum, form.epsilon)?;
        let y = self.feed_forward(name, &x)?;
        let sum = self.binary("Add", &x, &y);
        self.layer_norm(&ffn_norm, &sum, form.epsilon)
    }

    /// `contract(gelu(expand(x)))`: the second half of a transformer layer, and an expert.
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn feed_forward(&mut self, name: &str, x: &Value) -> Result<Value> {
        let expanded = self.linear(&format!("{name}.expand"), x)?;
        let active = self.gelu(&expanded);
        self.linear(&format!("{name}.contract"), &active)
    }

    /// Weights whose product with rows is their masked mean: mask / max(sum, 1). `[1, N]` -> `[1, N]`
    pub fn mean_weights(&mut self, mask: &Value) -> Value {
        let one = self.scalar(1.0);
        let count = self.reduce_sum(mask, 1, true);
        let count = self.binary("Max", &count, &one);
        self.binary("Div", mask, &count)
    }

    /// Score of self-attentive pooling, w tanh(U x). `[N, D]` -> `[N, 1]`
    ///
    /// # Errors
    /// As [`GraphBuilder::linear`].
    pub fn pooling_score(&mut self, name: &str, x: &Value) -> Result<Value> {
        let hidden = self.linear_without_bias(&format!("{name}.pool.hidden"), x)?;
        let active = self.unary("Tanh", &hidden);
        self.linear_without_bias(&format!("{name}.pool.score"), &active)
    }
}

/// Lengths of a value's last two dimensions; 1 where it has fewer.
fn matrix_shape(x: &Value) -> [usize; 2] {
    match x.shape() {
        [.., rows, columns] => [*rows, *columns],
        [columns] => [1, *columns],
        [] => [1, 1],
    }
}
