//! An encoder that is an ONNX graph already, of 32-bit floats: checked, quantised by the recipe, packed.
//!
//! What a graph may hold is normative in `docs/checkpoint-format.md`.

mod check;
pub(crate) mod constants;
mod interface;
mod quantised;

use std::collections::BTreeMap;

use prost::Message;

pub use self::check::OPERATORS;
pub use self::interface::Interface;
use self::quantised::{Role, roles};
use crate::checkpoint::Config;
use crate::graph::Graph;
use crate::onnx::{GraphProto, ModelProto};
use crate::recipe::Recipe;

/// A checked encoder.
#[derive(Debug, Clone)]
pub struct OnnxEncoder {
    interface: Interface,
    graph: GraphProto,
    /// What each constant that is large enough for int8 does, by its name.
    roles: BTreeMap<String, Role>,
}

impl OnnxEncoder {
    /// Reads an ONNX file that should have this interface.
    ///
    /// # Errors
    /// Everything that keeps it from being one, a line each: found and expected.
    pub fn parse(bytes: &[u8], interface: Interface) -> Result<Self, Vec<String>> {
        let model = ModelProto::decode(bytes)
            .map_err(|error| vec![format!("found no ONNX file ({error}), expected one")])?;
        let mut problems = check::model(&model);
        let Some(mut graph) = model.graph else {
            problems.push("found no graph, expected one".into());
            return Err(problems);
        };
        problems.extend(constants::gathered(&mut graph));
        problems.extend(check::graph(&mut graph, &interface));
        if !problems.is_empty() {
            return Err(problems);
        }
        graph.name = Some(interface.name.into());
        let roles = roles(&graph);
        Ok(Self { interface, graph, roles })
    }

    /// Shapes of the constants that may be stored as int8, by name.
    #[must_use]
    pub fn quantisable(&self) -> BTreeMap<String, Vec<usize>> {
        let constants = self.graph.initializer.iter();
        let large = constants.filter(|constant| self.roles.contains_key(constant.name()));
        large.map(|constant| (constant.name().into(), constants::shape(constant))).collect()
    }

    /// The graph of a checkpoint's bundle, its constants stored as `recipe` says.
    #[must_use]
    pub fn graph(&self, config: &Config, recipe: &Recipe) -> Graph {
        let graph = quantised::quantised(&self.graph, &self.roles, recipe);
        let Interface { name, inputs, outputs, .. } = self.interface.clone();
        Graph::new(name.into(), inputs, outputs, graph, config)
    }
}
