//! The worker around this runtime. The graph is one of a bundle's; the option is an engine, as of `hilbert classify --engine`.

use std::path::Path;

use hilbert_compare::{Encoder, Item, Result, Values, serve};
use hilbert_formats::Bundle;
use hilbert_runtime::{Engine, Graph, Input};

struct Hilbert(Graph);

fn main() -> Result<()> {
    serve(load)
}

/// Loads one graph as the runtime does: the manifest parsed, the file's size and hash checked.
fn load(path: &Path, engine: Option<&str>) -> Result<Hilbert> {
    let folder = path.parent().ok_or("found no folder, expected a graph of a bundle")?;
    let name = path.file_stem().and_then(|name| name.to_str()).ok_or("found no name of a graph")?;
    let bundle = Bundle::open(folder)?;
    let entry = bundle.manifest().graphs.get(name).ok_or("found no such graph in the manifest")?;
    let engine = engine.map_or(Ok(Engine::detect()), str::parse)?;
    Ok(Hilbert(Graph::load(name, &bundle.read(&entry.file)?, entry, engine)?))
}

impl Encoder for Hilbert {
    fn run(&mut self, item: &Item) -> Result<Vec<Vec<f32>>> {
        let input = |name| match item.get(name)?.1 {
            Values::F32(values) => Ok(Input::F32(values)),
            Values::I64(values) => Ok(Input::I64(values)),
        };
        let inputs: Result<Vec<Input<'_>>> =
            self.0.inputs().iter().map(|port| input(port.name())).collect();
        Ok(self.0.run(&inputs?)?)
    }
}
