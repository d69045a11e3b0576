//! An inspection for a person to read.

use std::fmt::{self, Display, Formatter};

use hilbert_formats::escape::Escaped;
use hilbert_formats::manifest::{
    Calibration, ConformalFit, Dtype, Features, Provenance, Task, TaskKind, TensorEntry, Weights,
};

use super::{Amount, FoundWeights, InspectedGraph, Inspection, Stored};
use crate::certificate::{Certificate, Status};

impl Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let manifest = &self.manifest;
        let (count, bytes) = (manifest.files.len(), self.bytes);
        writeln!(f, "{} {}", manifest.name, manifest.bundle_version)?;
        line(f, "manifest", &self.manifest_sha256)?;
        let signature =
            if self.signed { "not verified: verify --trusted-key does" } else { "none" };
        line(f, "signature", signature)?;
        line(f, "files", format!("{count} of {bytes} bytes, all as the manifest says"))?;
        line(f, "licence", Escaped(&manifest.licence))?;
        self.weights.write(f, self.certificate.as_ref())?;
        match &self.certificate {
            Some(certificate) => line(f, "gate", gate(certificate))?,
            None => line(f, "gate", "no certificate")?,
        }
        provenance(f, &manifest.provenance)?;
        self.stages(f)?;
        manifest.tasks.iter().try_for_each(|t| task(f, t))?;
        self.graphs(f)
    }
}

impl Inspection {
    /// A line for each stage from the front end to the experts.
    fn stages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let manifest = &self.manifest;
        let Features::LogMel { hop, n_mels, frames, .. } = manifest.features;
        let (cut, rate) = (&manifest.segmentation, manifest.audio.sample_rate);
        let (least, most, pieces) = (cut.min_s, cut.max_s, self.pieces);
        let tokens = manifest.text.max_tokens();
        let front_end = format!(
            "{rate} Hz, segments of {least} to {most} s, log-mel {n_mels} x {frames} every {hop} samples; \
             WordPiece of {pieces} pieces, rows of {tokens} tokens"
        );
        line(f, "front end", front_end)?;
        let fusion = &manifest.fusion;
        let (width, heads, block, n_max) = (fusion.width, fusion.heads, fusion.block, fusion.n_max);
        if let Some(rows) = manifest.row_widths() {
            let (audio, text) = (rows.audio, rows.text);
            let fused = format!(
                "rows of {audio} (audio) and {text} (text) to {width}, {heads} heads, blocks of {block}, at most {n_max} rows"
            );
            line(f, "fusion", fused)?;
        }
        let experts = &manifest.experts;
        let skipped = match experts.threshold {
            threshold if threshold > 0.0 => format!("run from a gate of {threshold} on"),
            _ => "all run".into(),
        };
        line(f, "experts", format!("{} of width {}, {skipped}", experts.count, experts.width))?;
        match &manifest.alignment {
            None => line(f, "alignment", "none"),
            Some(alignment) => {
                let labels = list(&alignment.integrity.labels, ", ");
                let (frames, width) = (alignment.frames, alignment.width);
                line(f, "alignment", format!("{frames} frames of {width}; integrity: {labels}"))
            }
        }
    }

    /// A table of the graphs, two lines each, and of their sum.
    fn graphs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:20} {:>12} {:>9} {:>19} {:>17} {:>19}",
            "graph", "bytes", "operators", "int8: tensors bytes", "scales", "f32: tensors bytes"
        )?;
        let (mut bytes, mut operators) = (0, 0);
        for graph in &self.graphs {
            let InspectedGraph { name, file, inputs, outputs, stored, .. } = graph;
            let count = graph.operators.values().sum();
            row(f, name, graph.bytes, count, stored)?;
            writeln!(f, "  {file}: {} -> {}", ports(inputs), ports(outputs))?;
            bytes += graph.bytes;
            operators += count;
        }
        row(f, "all graphs", bytes, operators, &self.weights.stored)
    }
}

impl FoundWeights {
    /// Whether weights are stored as the manifest says, and what is calculated with.
    fn write(&self, f: &mut Formatter<'_>, certificate: Option<&Certificate>) -> fmt::Result {
        let (int8, floats) = (self.stored.int8.tensors, self.large_floats.len());
        let found = match (self.labelled, int8, floats) {
            (Weights::Int8, 0, _) => "labelled int8, found NONE that is".into(),
            (Weights::Int8, _, 0) => format!("int8, as labelled: all {int8} that are large enough"),
            (Weights::Int8, ..) => {
                format!("int8 but for {floats} of {} that are large enough", int8 + floats)
            }
            (Weights::F32, 0, _) => "f32, as labelled".into(),
            (Weights::F32, ..) => format!("labelled f32, found {int8} of INT8"),
        };
        line(f, "weights", found)?;
        if self.labelled == Weights::Int8 && int8 > 0 {
            for name in &self.large_floats {
                let listed = certificate.is_some_and(|c| c.float_tensors.contains(name));
                let listed = if listed { "as" } else { "NOT as" };
                line(
                    f,
                    "",
                    format!("{} is a float, {listed} the certificate says", Escaped(name)),
                )?;
            }
        }
        match self.integer_operators {
            0 => line(f, "activations", "f32: no operator calculates with integers"),
            count => line(f, "activations", format!("int8 at {count} operators")),
        }
    }
}

/// One line of what the bundle is: a word, and what there is to say of it.
fn line(f: &mut Formatter<'_>, word: &str, says: impl Display) -> fmt::Result {
    writeln!(f, "  {word:12} {says}")
}

fn gate(certificate: &Certificate) -> String {
    let Some(gate) = &certificate.gate else { return "not evaluated".into() };
    let status = if certificate.status == Status::Passed { "passed" } else { "MISSED" };
    let (documents, recordings) = (gate.documents, gate.recordings);
    let floats = certificate.float_tensors.len();
    format!(
        "{status} on {documents} documents of {recordings} recordings, {floats} tensors left out as floats"
    )
}

fn provenance(f: &mut Formatter<'_>, provenance: &Provenance) -> fmt::Result {
    let Provenance { checkpoint_sha256, data_sha256, device, seed, versions, .. } = provenance;
    line(f, "checkpoint", checkpoint_sha256)?;
    line(f, "data", data_sha256)?;
    let versions: Vec<_> = versions.iter().map(|(name, v)| format!("{name} {v}")).collect();
    let with = list(&versions, ", ");
    line(f, "trained", format!("on {}, seed {seed}, with {with}", Escaped(device)))?;
    line(f, "exporter", Escaped(&provenance.exporter))?;
    for (i, credit) in provenance.credits.iter().enumerate() {
        line(f, if i == 0 { "credits" } else { "" }, Escaped(credit))?;
    }
    Ok(())
}

fn task(f: &mut Formatter<'_>, task: &Task) -> fmt::Result {
    let (kind, between) = match task.kind {
        TaskKind::Ordinal => ("ordinal", " < "),
        TaskKind::Binary => ("binary", ", "),
        TaskKind::MultiClass => ("multi-class", ", "),
        TaskKind::MultiLabel => ("multi-label", ", "),
    };
    writeln!(f, "task {}: {kind}: {}", task.name, list(&task.labels, between))?;
    let sets = &task.calibration;
    let fits = task.conformal.as_ref();
    let rows = [
        ("audio", &sets.audio, fits.map(|c| &c.audio)),
        ("text", &sets.text, fits.map(|c| &c.text)),
        ("audio, text", &sets.audio_text, fits.map(|c| &c.audio_text)),
    ];
    for (modalities, calibration, fit) in rows {
        let calibration = match calibration {
            Calibration::Cuts { cuts, slope } => {
                let cuts: Vec<_> = cuts.iter().map(f32::to_string).collect();
                format!("cuts at {}, slope {slope}", cuts.join(", "))
            }
            Calibration::Temperature { temperature } => format!("temperature {temperature}"),
        };
        line(f, modalities, calibration + &fit.map_or("; no sets".into(), coverages))?;
    }
    Ok(())
}

fn coverages(fit: &ConformalFit) -> String {
    let percent = |coverage: f64| format!("{} %", (coverage * 1e4).round() / 1e2);
    let sets: Vec<_> = fit.sets.iter().map(|set| percent(set.coverage)).collect();
    format!("; sets of {} from {} documents", sets.join(", "), fit.documents)
}

fn row(
    f: &mut Formatter<'_>,
    name: &str,
    bytes: u64,
    operators: usize,
    stored: &Stored,
) -> fmt::Result {
    let amount = |amount: Amount| format!("{} {:>10}", amount.tensors, amount.bytes);
    let [int8, scales, float] = [stored.int8, stored.scales, stored.f32].map(amount);
    writeln!(f, "{name:20} {bytes:>12} {operators:>9} {int8:>19} {scales:>17} {float:>19}")
}

fn ports(ports: &[TensorEntry]) -> String {
    let port = |port: &TensorEntry| {
        let dtype = if port.dtype == Dtype::I64 { " i64" } else { "" };
        format!("{}{dtype} {:?}", Escaped(&port.name), port.shape)
    };
    ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

fn list(all: &[String], between: &str) -> String {
    all.iter().map(|one| Escaped(one).to_string()).collect::<Vec<_>>().join(between)
}
