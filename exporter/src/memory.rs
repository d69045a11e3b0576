//! The heap that each graph takes, measured: `hilbert-export measure` counts, the export asks it and writes the manifest's
//! figures.
//!
//! Who counts owns the program's allocator, so this library does not: it runs the command, each time in a process of its own.
//! That also fixes which kernels the engine picks, so that the figures are those of the graphs and not of the machine.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::Command;

use hilbert_formats::Bundle;
use hilbert_formats::bundle::MANIFEST;
use hilbert_formats::manifest::{GraphMemory, HEAP_UNIT, HeapUse, LoadUse};
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, Result};

/// What `hilbert-export measure` found, to the byte. Its `Display` is the command's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Bits of a pointer in the program that measured.
    pub pointer_width: u32,
    /// Heap of each graph, by its name.
    pub graphs: BTreeMap<String, HeapUse>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("bytes, pointers of {} bits", self.pointer_width);
        write!(f, "{title:32} {:>10} {:>10}", "load peak", "resident")?;
        writeln!(
            f,
            " {:>10} {:>10} {:>10} {:>10}",
            "in place:", "resident", "scratch", "run peak"
        )?;
        for (name, heap) in &self.graphs {
            let HeapUse { load_peak, resident, scratch, run_peak, .. } = heap;
            let in_place = heap.load(true);
            write!(f, "  {name:30} {load_peak:>10} {resident:>10}")?;
            write!(f, " {:>10} {:>10}", in_place.load_peak, in_place.resident)?;
            writeln!(f, " {scratch:>10} {run_peak:>10}")?;
        }
        let sum = |figure: fn(&HeapUse) -> u64| -> u64 { self.graphs.values().map(figure).sum() };
        let (resident, scratch) = (sum(|heap| heap.resident), sum(|heap| heap.scratch));
        let in_place = sum(|heap| heap.load(true).resident);
        write!(f, "  {:30} {:>10} {resident:>10} {:>10} {in_place:>10}", "all graphs", "", "")?;
        writeln!(f, " {scratch:>10}")
    }
}

/// Sets of kernels that are measured, as `TRACT_CPU_ISA` edits what the processor has. Wider ones pad panels further, but not
/// beyond [`MARGIN`]; other architectures are measured as they are.
const PATHS: &[&str] = if cfg!(target_arch = "x86_64") {
    &[
        "-avx,-avx2,-fma,-f16c,-avx512f,-avx512vnni,-avx512fp16,-avxvnni,-amx-int8,-amx-bf16",
        "-avx512f,-avx512vnni,-avx512fp16,-avxvnni,-amx-int8,-amx-bf16",
    ]
} else {
    &[""]
};

/// The peak of loading is a multiple of so many bytes: the seeds of hash maps vary it, and coarse steps hide that.
const LOAD_UNIT: u64 = 64 << 10;

/// One part in so many is added to what was measured.
const MARGIN: u64 = 32;

/// The figures of every graph of the bundle in the folder `bundle`, for its manifest.
///
/// Each is the largest of what `meter`, the command `hilbert-export`, measures with each set of kernels, with a margin, rounded
/// up. What 64-bit pointers need bounds what 32-bit ones do. `None` on a machine that cannot measure: one of 32-bit pointers,
/// or an x86-64 one without AVX2.
///
/// # Errors
/// [`ErrorKind::Meter`] when the command fails.
pub fn figures(meter: &Path, bundle: &Path) -> Result<Option<BTreeMap<String, GraphMemory>>> {
    if !runs_every_path() {
        return Ok(None);
    }
    let mut most = BTreeMap::new();
    for path in PATHS {
        let measured = measured(meter, bundle, path)?;
        if measured.pointer_width != 64 {
            return Ok(None);
        }
        for (graph, found) in measured.graphs {
            let known = most.entry(graph).or_insert(found);
            *known = known.larger(found);
        }
    }
    let stated = |(graph, HeapUse { load_peak, resident, in_place, scratch, run_peak })| {
        let heap = HeapUse {
            load_peak: rounded(load_peak, LOAD_UNIT),
            resident: rounded(resident, HEAP_UNIT),
            in_place: in_place.map(|LoadUse { load_peak, resident }| LoadUse {
                load_peak: rounded(load_peak, LOAD_UNIT),
                resident: rounded(resident, HEAP_UNIT),
            }),
            scratch: if scratch == 0 { 0 } else { rounded(scratch, HEAP_UNIT) },
            run_peak: rounded(run_peak, HEAP_UNIT),
        };
        (graph, GraphMemory { bits_32: heap, bits_64: heap })
    };
    Ok(Some(most.into_iter().map(stated).collect()))
}

fn measured(meter: &Path, bundle: &Path, path: &str) -> Result<Measured> {
    let failed = |reason: String| ErrorKind::Meter { meter: meter.into(), reason };
    let mut command = Command::new(meter);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_knob(name)) {
        command.env_remove(name);
    }
    let output = command
        .args([OsStr::new("measure"), OsStr::new("--json"), bundle.as_os_str()])
        .env("TRACT_CPU_ISA", path)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", output.status, said.trim())).into());
    }
    Ok(serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?)
}

/// The bundle as if it were part of the program: its files stay in memory until the program ends.
///
/// # Errors
/// [`ErrorKind::Runtime`] for a file that cannot be read.
pub fn in_place(bundle: &Bundle) -> Result<Bundle> {
    let leaked = |bytes: Cow<'static, [u8]>| -> &'static [u8] { bytes.into_owned().leak() };
    let manifest = bundle.read_manifest().map_err(ErrorKind::reading)?;
    let mut files = vec![(MANIFEST, leaked(manifest))];
    for file in bundle.manifest().files.iter().filter(|file| bundle.has(&file.path)) {
        files.push((&file.path, leaked(bundle.read(&file.path).map_err(ErrorKind::reading)?)));
    }
    Ok(Bundle::from_program(&files).map_err(ErrorKind::reading)?)
}

/// Whether a variable of the environment would change what the engine does.
fn is_knob(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"TRACT_")
}

fn runs_every_path() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

fn rounded(bytes: u64, unit: u64) -> u64 {
    (bytes + bytes / MARGIN).max(1).next_multiple_of(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_up_and_never_0() {
        let rows = [
            (0, 1),
            (1, 1),
            (3971, 1),
            (3973, 2),
            (4096, 2),
            (HEAP_UNIT * MARGIN, 33),
            (HEAP_UNIT * MARGIN + 1, 34),
        ];
        for (bytes, units) in rows {
            assert_eq!(rounded(bytes, HEAP_UNIT), units * HEAP_UNIT, "{bytes}");
        }
    }

    #[test]
    fn a_meter_that_does_not_measure_is_named() {
        let error = figures(Path::new("no/such/meter"), Path::new(".")).unwrap_err();
        assert!(error.to_string().starts_with("no/such/meter: "), "{error}");
    }
}
