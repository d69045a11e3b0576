//! Every path against a naive computation in double precision, over random shapes, edges and hostile values.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attention;
mod blocks;
mod convolution;
mod layer_norm;
mod linear;
mod log_mel;
mod panels;
mod statistics;
mod table;
mod values;
