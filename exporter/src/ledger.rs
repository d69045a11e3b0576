//! The parity ledger: layer by layer, what the way from the reference to the runtime costs.
//!
//! One fixed document passes the whole chain of graphs four times: in the reference (the golden file's taps), in the float
//! graphs and in the bundle's own graphs as they are meant ([`crate::evaluate`]), and in the runtime. `docs/parity-ledger.md`
//! is normative.

mod chain;
mod file;
mod form;
mod page;
mod sample;

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs};

use hilbert_formats::manifest::Weights;
use hilbert_formats::taps::{Place, Rows};
use hilbert_runtime::selftest::{Agreement, ENGINE_DB};
use serde::Serialize;

use self::chain::{Chain, Step};
use self::form::Form;
use self::sample::Sample;
use crate::error::{ErrorKind, Result};
use crate::evaluate::Values;
use crate::package::Package;
use crate::verify::Golden;

/// Most elements of a layer that are compared.
const MOST: usize = 256;

/// Signal-to-noise ratio that weights of eight bits keep, dB: errors of a tenth of the signal.
pub const WEIGHTS_DB: f64 = 20.0;

/// Elements below which a layer's signal-to-noise ratio says little about rounded weights.
pub const FEW: usize = 8;

/// One comparison that the ledger makes of every layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The reference against the float graphs; only where a golden file has the layer.
    ReferenceToFloat,
    /// The float graphs against the bundle's own, errors of all layers before it included.
    FloatToBundle,
    /// The same of this layer alone: the bundle's own graph from the float graphs' values of all layers before it.
    Alone,
    /// The bundle's own graphs against the runtime, errors of all layers before it included.
    BundleToRuntime,
    /// The reference, or the float graphs where it has no such layer, against the runtime.
    EndToEnd,
}

/// The ledger of one bundle. It serialises to `ledger.json`; its `Display` is a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// Always `hilbert.ledger/1`.
    pub schema: &'static str,
    /// Name of the bundle.
    pub bundle: String,
    /// How its weights are stored.
    pub weights: Weights,
    /// The smallest signal-to-noise ratio that a hop should keep, dB.
    pub thresholds_db: BTreeMap<Hop, f64>,
    /// The first layer under a hop's threshold, where there is one.
    pub first_under: BTreeMap<Hop, String>,
    /// Every layer, in the order of the computation.
    pub layers: Vec<LayerParity>,
}

/// How well one layer is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerParity {
    /// Its graph.
    pub graph: String,
    /// The reference's module, such as `speech.layers.0`, or `GRAPH.OUTPUT`.
    pub name: String,
    /// Elements compared.
    pub values: usize,
    /// By hop; without [`Hop::ReferenceToFloat`] where nothing was compared.
    pub hops: BTreeMap<Hop, Agreement>,
}

/// What is measured of one package: once, for its taps and its ledger.
pub struct Measurement<'a> {
    package: &'a Package,
    own: Form<'a>,
    float: Form<'a>,
    sample: Sample,
    places: Vec<Place>,
    /// The float graphs' chain, and all its layers in full precision.
    steps: Vec<Step>,
    exact: BTreeMap<String, Values>,
}

impl Hop {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::ReferenceToFloat,
        Self::FloatToBundle,
        Self::Alone,
        Self::BundleToRuntime,
        Self::EndToEnd,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ReferenceToFloat => "reference to f32",
            Self::FloatToBundle => "f32 to bundle",
            Self::Alone => "layer alone",
            Self::BundleToRuntime => "bundle to runtime",
            Self::EndToEnd => "end to end",
        }
    }

    /// The smallest signal-to-noise ratio that it should keep, dB.
    #[must_use]
    pub fn threshold_db(self) -> f64 {
        match self {
            Self::ReferenceToFloat | Self::BundleToRuntime => ENGINE_DB,
            Self::FloatToBundle | Self::Alone | Self::EndToEnd => WEIGHTS_DB,
        }
    }
}

impl<'a> Measurement<'a> {
    /// Runs the chain of `float`, the same checkpoint's package of floats.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Runtime`]; [`crate::ErrorKind::Evaluate`], which only a fault of the exporter can cause.
    pub fn new(package: &'a Package, float: &'a Package) -> Result<Self> {
        let sample = Sample::new(package)?;
        let (own, float) = (Form::new(package), Form::new(float));
        let mut exact = BTreeMap::new();
        let run = |graph: &str, inputs: &[_]| {
            let layers = float.layers(graph);
            let wanted: Vec<_> = layers.iter().map(String::as_str).collect();
            let values = float.mean(graph, inputs, &Values::new(), &wanted)?;
            let rounded = values.iter().map(|(name, v)| (name.clone(), v.to_f32())).collect();
            exact.insert(graph.to_owned(), values);
            Ok(rounded)
        };
        let steps = Chain { manifest: package.manifest(), run, steps: Vec::new() }.run(&sample)?;
        let mut places = Vec::new();
        for step in &steps {
            for value in float.layers(&step.graph) {
                let shape = exact.get(&step.graph).and_then(|values| values.get(&value));
                let shape = shape.map(|tensor| tensor.shape.clone()).unwrap_or_default();
                let rows = rows(step, &value, &shape);
                let name = module(&step.graph, &value).unwrap_or_else(|| value.clone());
                places.push(Place { graph: step.graph.clone(), name, value, shape, rows });
            }
        }
        Ok(Self { package, own, float, sample, places, steps, exact })
    }

    /// The content of the bundle's `taps.safetensors`.
    ///
    /// # Errors
    /// As [`Measurement::new`].
    pub fn taps(&self) -> Result<Vec<u8>> {
        file::write(self)
    }

    /// The ledger; the reference takes part where `golden` has its taps.
    ///
    /// # Errors
    /// As [`Measurement::new`], and [`crate::ErrorKind::GoldenTensor`] for taps of another sample or checkpoint.
    pub fn ledger(&self, golden: Option<&Golden>) -> Result<Ledger> {
        let manifest = self.package.manifest();
        let own = |graph: &str, inputs: &[_]| {
            let places: Vec<_> = self.of_graph(graph).map(|place| place.value.as_str()).collect();
            let values = self.own.mean(graph, inputs, &Values::new(), &places)?;
            Ok(values.iter().map(|(name, v)| (name.clone(), v.to_f32())).collect())
        };
        let runtime = |graph: &str, inputs: &[_]| {
            self.own.run(graph, inputs, &self.of_graph(graph).collect::<Vec<_>>())
        };
        let own = Chain { manifest, run: own, steps: Vec::new() }.run(&self.sample)?;
        let runtime = Chain { manifest, run: runtime, steps: Vec::new() }.run(&self.sample)?;
        let mut layers = Vec::new();
        for place in &self.places {
            let at = |steps| elements(steps, place, MOST);
            let (float, own, runtime) = (at(&self.steps), at(&own), at(&runtime));
            let alone = self.alone(place)?;
            let reference = match golden {
                Some(golden) => reference(golden, place, float.len())?,
                None => None,
            };
            let right = reference.as_ref().unwrap_or(&float);
            let mut hops = BTreeMap::from([
                (Hop::FloatToBundle, Agreement::between(&float, &own)),
                (Hop::Alone, Agreement::between(&float, &alone)),
                (Hop::BundleToRuntime, Agreement::between(&own, &runtime)),
                (Hop::EndToEnd, Agreement::between(right, &runtime)),
            ]);
            hops.extend(reference.map(|r| (Hop::ReferenceToFloat, Agreement::between(&r, &float))));
            let (graph, name) = (place.graph.clone(), place.name.clone());
            layers.push(LayerParity { graph, name, values: float.len(), hops });
        }
        Ok(Ledger {
            schema: "hilbert.ledger/1",
            bundle: manifest.name.clone(),
            weights: manifest.weights,
            thresholds_db: Hop::ALL.into_iter().map(|hop| (hop, hop.threshold_db())).collect(),
            first_under: first_under(&layers),
            layers,
        })
    }

    fn of_graph(&self, graph: &str) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |place| place.graph == graph)
    }

    /// What the bundle's graph makes of this layer from the float graph's values of the layers before it.
    fn alone(&self, place: &Place) -> Result<Vec<f32>> {
        let before = self.of_graph(&place.graph).take_while(|other| *other != place);
        let exact = self.exact.get(&place.graph);
        let given = before
            .filter_map(|other| Some((other.value.clone(), exact?.get(&other.value)?.clone())))
            .collect();
        let step = self.steps.iter().find(|step| step.graph == place.graph);
        let inputs = step.map_or(&[][..], |step| &step.inputs);
        let values = self.own.mean(&place.graph, inputs, &given, &[&place.value])?;
        let all = values.get(&place.value).map(|tensor| tensor.to_f32()).unwrap_or_default();
        Ok(pick(&all, place, MOST))
    }
}

impl LayerParity {
    /// Whether it is under the hop's threshold. Rounded weights may turn the ratio of a handful of numbers either way: for
    /// them layers of fewer than [`FEW`] elements do not count.
    #[must_use]
    pub fn is_under(&self, hop: Hop) -> bool {
        let counts =
            self.values >= FEW || matches!(hop, Hop::ReferenceToFloat | Hop::BundleToRuntime);
        counts && self.hops.get(&hop).is_some_and(|found| found.snr_db < hop.threshold_db())
    }
}

impl Ledger {
    /// Writes `ledger.json` and `ledger.html` into `folder`, over those that are there.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ErrorKind::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        for (name, text) in [("ledger.json", self.to_json()), ("ledger.html", self.to_html())] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }

    /// The file `ledger.json`: indented JSON that ends in a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "serde_json fails on maps whose keys are no strings, and here all are"
        )]
        let json = serde_json::to_string_pretty(self).expect("a ledger has string keys only");
        json + "\n"
    }

    /// The file `ledger.html`: one page with a plot and the table, without anything from elsewhere.
    #[must_use]
    pub fn to_html(&self) -> String {
        page::html(self)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:32}", "signal to noise, dB")?;
        Hop::ALL.iter().try_for_each(|hop| write!(f, " {:>17}", hop.title()))?;
        writeln!(f)?;
        for layer in &self.layers {
            write!(f, "  {:32}", layer.name)?;
            for hop in Hop::ALL {
                match layer.hops.get(&hop) {
                    Some(agreement) => write!(f, " {:>17.1}", agreement.snr_db)?,
                    None => write!(f, " {:>17}", "-")?,
                }
            }
            writeln!(f)?;
        }
        for hop in Hop::ALL {
            let threshold = hop.threshold_db();
            match self.first_under.get(&hop) {
                Some(name) => {
                    writeln!(f, "  {}: first layer under {threshold} dB: {name}", hop.title())?;
                }
                None if self.layers.iter().any(|layer| layer.hops.contains_key(&hop)) => {
                    writeln!(f, "  {}: no layer under {threshold} dB", hop.title())?;
                }
                None => writeln!(f, "  {}: not compared", hop.title())?,
            }
        }
        Ok(())
    }
}

fn first_under(layers: &[LayerParity]) -> BTreeMap<Hop, String> {
    let first = |hop: Hop| {
        let first = layers.iter().find(|layer| layer.is_under(hop));
        first.map(|layer| (hop, layer.name.clone()))
    };
    Hop::ALL.into_iter().filter_map(first).collect()
}

/// The reference's elements of a layer; none where the golden file has none.
fn reference(golden: &Golden, place: &Place, expected: usize) -> Result<Option<Vec<f32>>> {
    let name = format!("taps/{}", place.name);
    if !golden.holds(&name) {
        return Ok(None);
    }
    let values = golden.floats(&name)?;
    if values.len() != expected {
        let found = format!("{} elements", values.len());
        return Err(golden.wrong(&name, found, expected.to_string()));
    }
    Ok(Some(values))
}

/// The elements of a layer that are compared, at most `most`.
fn elements(steps: &[Step], place: &Place, most: usize) -> Vec<f32> {
    let step = steps.iter().find(|step| step.graph == place.graph);
    let values = step.and_then(|step| step.values.get(&place.value));
    pick(values.map_or(&[][..], Vec::as_slice), place, most)
}

fn pick(values: &[f32], place: &Place, most: usize) -> Vec<f32> {
    place.positions(most).into_iter().filter_map(|at| values.get(at).copied()).collect()
}

/// Which rows of a value are real: along the last of three dimensions where channels come first, else along the first.
fn rows(step: &Step, value: &str, shape: &[usize]) -> Option<Rows> {
    let (real, all) = step.real?;
    let axis = match (value, shape) {
        ("numerator" | "maximum" | "sum", _) => 1,
        (_, [_, _, _]) => 2,
        (_, [1, ..]) => return None,
        _ => 0,
    };
    let len = shape.get(axis)?;
    Some(Rows { axis, real: (real * len).div_ceil(all.max(1)).clamp(1, *len) })
}

/// The reference's module whose value this output is, or `GRAPH.OUTPUT`; none for a value that is named after its module.
fn module(graph: &str, value: &str) -> Option<String> {
    if value.contains('.') {
        return None;
    }
    let (kind, of) = graph.split_once('_').unwrap_or((graph, ""));
    Some(match (kind, value) {
        ("speech" | "text", "row") => kind.into(),
        ("alignment", _) => kind.into(),
        ("project", "x") => format!("fusion.{graph}"),
        ("project", "score") => format!("fusion.{graph}.pool"),
        ("finish", "c") => format!("fusion.cross_{of}"),
        ("finish", "score") => format!("fusion.cross_{of}.pool"),
        ("join", _) => "fusion".into(),
        ("expert", _) => format!("moe.experts.{of}"),
        ("head", _) => format!("moe.heads.{of}"),
        _ => format!("{graph}.{value}"),
    })
}
