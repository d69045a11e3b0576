//! What is otherwise in the graphs of two bundles.

use std::collections::{BTreeMap, BTreeSet};

use hilbert_formats::Bundle;
use hilbert_runtime::selftest::Agreement;
use serde::Serialize;

use super::Change;
use super::fields::{FieldChange, json, of_graphs};
use crate::constants::{Constant, Kind, constants, decode};
use crate::error::{ErrorKind, Result};
use crate::onnx::GraphProto;

/// One graph that is otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphChange {
    /// Its name.
    pub name: String,
    /// Whether only one of the bundles has it.
    pub change: Change,
    /// Size of its file in the old bundle and in the new one; null where there is none.
    pub bytes: [Option<u64>; 2],
    /// What the manifests say otherwise of it, the names and hashes of files not counted.
    pub fields: Vec<FieldChange>,
    /// Weights that are otherwise, by name.
    pub tensors: Vec<TensorChange>,
    /// Operators that it has more or less often.
    pub operators: Vec<OperatorChange>,
    /// Whether operators that it has as often as before are named, connected or set otherwise.
    pub rewired: bool,
}

/// One weight that is otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorChange {
    /// Its name.
    pub name: String,
    /// How the old bundle stores it; null where it does not.
    pub old: Option<TensorForm>,
    /// How the new bundle stores it; null where it does not.
    pub new: Option<TensorForm>,
    /// How well the new numbers agree with the old ones, levels times scales; null where the shapes differ, and where one of
    /// the two has no scales that are known.
    pub agreement: Option<Agreement>,
}

/// How a weight is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorForm {
    /// `int8` or `f32`.
    pub stored: Kind,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// One operator that a graph has more or less often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperatorChange {
    /// Such as `MatMul`.
    pub operator: String,
    /// How often the old graph has it.
    pub old: usize,
    /// How often the new graph has it.
    pub new: usize,
}

/// The graphs that are otherwise, by name.
pub(super) fn changes(old: &Bundle, new: &Bundle) -> Result<Vec<GraphChange>> {
    let [of_old, of_new] = [old, new].map(|bundle| bundle.manifest().graphs.keys());
    let manifests = [old, new].map(|bundle| json(bundle.manifest()));
    let mut changes = Vec::new();
    for name in of_old.chain(of_new).collect::<BTreeSet<_>>() {
        let fields = of_graphs(&manifests[0], &manifests[1], name);
        let (a, b) = (file(old, name)?, file(new, name)?);
        let bytes = [&a, &b].map(|onnx| onnx.as_ref().map(|onnx| onnx.len() as u64));
        let change = |change, fields| GraphChange {
            name: name.clone(),
            change,
            bytes,
            fields,
            tensors: Vec::new(),
            operators: Vec::new(),
            rewired: false,
        };
        match (a, b) {
            (Some(a), Some(b)) if a != b => {
                let (a, b) = (decode(name, &a)?, decode(name, &b)?);
                let operators = operators(&a, &b);
                let rewired =
                    operators.is_empty() && (a.node != b.node || others(&a) != others(&b));
                let tensors = tensors(&a, &b);
                let change = change(Change::Changed, fields);
                changes.push(GraphChange { tensors, operators, rewired, ..change });
            }
            (Some(_), Some(_)) if fields.is_empty() => {}
            (Some(_), Some(_)) => changes.push(change(Change::Changed, fields)),
            (Some(_), None) => changes.push(change(Change::Removed, Vec::new())),
            (None, _) => changes.push(change(Change::Added, Vec::new())),
        }
    }
    Ok(changes)
}

/// The file of the graph `name`; `None` where the bundle has no such graph.
fn file(bundle: &Bundle, name: &str) -> Result<Option<Vec<u8>>> {
    let entry = bundle.manifest().graphs.get(name);
    let read =
        entry.map(|entry| bundle.read(&entry.file)).transpose().map_err(ErrorKind::reading)?;
    Ok(read.map(std::borrow::Cow::into_owned))
}

fn operators(old: &GraphProto, new: &GraphProto) -> Vec<OperatorChange> {
    let mut counts = BTreeMap::<&str, [usize; 2]>::new();
    for (i, graph) in [old, new].into_iter().enumerate() {
        for node in &graph.node {
            counts.entry(node.op_type()).or_default()[i] += 1;
        }
    }
    let changed = counts.into_iter().filter(|(_, [old, new])| old != new);
    changed
        .map(|(operator, [old, new])| OperatorChange { operator: operator.into(), old, new })
        .collect()
}

fn tensors(old: &GraphProto, new: &GraphProto) -> Vec<TensorChange> {
    let (old, new) = (weights(old), weights(new));
    let mut changes = Vec::new();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (a, b) = (old.get(name), new.get(name));
        let agreement = match (a, b) {
            (Some(a), Some(b)) if a.is_stored_as(b) => continue,
            (Some(a), Some(b)) if a.shape() == b.shape() => {
                let numbers = a.weights().zip(b.weights());
                numbers.map(|(right, found)| Agreement::between(&right, &found))
            }
            _ => None,
        };
        let [old, new] = [a, b]
            .map(|constant| constant.map(|c| TensorForm { stored: c.kind, shape: c.shape() }));
        changes.push(TensorChange { name: (*name).into(), old, new, agreement });
    }
    changes
}

fn weights(graph: &GraphProto) -> BTreeMap<&str, Constant<'_>> {
    let weights =
        constants(graph).into_iter().filter(|c| [Kind::Int8, Kind::F32].contains(&c.kind));
    weights.map(|constant| (constant.name(), constant)).collect()
}

/// Lengths, dimensions and the like, which stand for how operators are set.
fn others(graph: &GraphProto) -> Vec<&crate::onnx::TensorProto> {
    let names: BTreeSet<_> =
        constants(graph).iter().filter(|c| c.kind == Kind::Other).map(Constant::name).collect();
    graph.initializer.iter().filter(|constant| names.contains(constant.name())).collect()
}
