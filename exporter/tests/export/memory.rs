//! The figures of memory in the manifest hold on the machine that runs the tests, with whatever kernels it has.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use allocation_counter::measure;
use hilbert_exporter::memory::{Measured, in_place};
use hilbert_formats::Bundle;
use hilbert_formats::manifest::{Dtype, GraphEntry, HEAP_UNIT, HeapUse, LoadUse};
use hilbert_runtime::{Engine, Graph, Input, Model};
use tempfile::TempDir;

use crate::command::run;
use crate::tiny::Tiny;
use crate::trained::checkpoint;

/// A bundle that the command exports from the trained checkpoint.
fn trained(folder: &TempDir) -> Bundle {
    let target = folder.path().join("bundle");
    let output = run([checkpoint().as_os_str(), target.as_os_str()]);
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("\nheap of the graphs: ") && !stdout.contains("not measured"));
    Bundle::open(&target).unwrap()
}

fn loaded(name: &str, bundle: &Bundle, entry: &GraphEntry) -> (Graph, LoadUse) {
    let onnx = bundle.read_content(&entry.file).unwrap();
    let mut graph = None;
    let load = measure(|| {
        graph = Some(Graph::load_content(name, &onnx, entry, Engine::detect()).unwrap());
    });
    let resident = u64::try_from(load.bytes_current).unwrap();
    (graph.unwrap(), LoadUse { load_peak: load.bytes_max, resident })
}

/// Heap of loading, of what stays, and of the second run, on this thread.
fn heap(name: &str, bundles: [&Bundle; 2], entry: &GraphEntry) -> HeapUse {
    let [(graph, load), (_, in_place)] = bundles.map(|bundle| loaded(name, bundle, entry));
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    let floats: Vec<_> = entry.inputs.iter().map(|port| vec![0.5; len(&port.shape)]).collect();
    let tokens: Vec<_> = entry.inputs.iter().map(|port| vec![7; len(&port.shape)]).collect();
    let inputs: Vec<_> = (0..entry.inputs.len())
        .map(|i| match entry.inputs[i].dtype {
            Dtype::F32 => Input::F32(&floats[i]),
            Dtype::I64 => Input::I64(&tokens[i]),
        })
        .collect();
    let mut outputs: Vec<_> =
        entry.outputs.iter().map(|port| vec![0.0; len(&port.shape)]).collect();
    let mut outputs: Vec<_> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let first = measure(|| graph.run_into(&inputs, &mut outputs).unwrap());
    let again = measure(|| graph.run_into(&inputs, &mut outputs).unwrap());
    let scratch = u64::try_from(first.bytes_current).unwrap();
    HeapUse {
        load_peak: load.load_peak,
        resident: load.resident,
        in_place: Some(in_place),
        scratch,
        run_peak: again.bytes_max.max(first.bytes_max - scratch),
    }
}

#[test]
fn the_counter_counts_to_the_byte_and_a_copy_that_grows_beside_its_original() {
    let grow = || {
        let mut bytes = black_box(vec![0_u8; 1000]);
        bytes.reserve_exact(1000);
        black_box(&bytes);
    };
    let counted = measure(grow);
    // The allocator may have to copy: both count.
    assert_eq!((counted.bytes_max, counted.bytes_current), (3000, 0));
    // What another thread allocates meanwhile does not.
    let (start, stop) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            let bytes = black_box(vec![1_u8; 1 << 20]);
            stop.wait();
            drop(bytes);
        });
        let counted = measure(|| {
            start.wait();
            stop.wait();
            grow();
        });
        assert_eq!((counted.bytes_max, counted.bytes_current), (3000, 0));
    });
}

#[test]
fn loading_and_running_each_graph_stays_within_its_figures_which_are_not_far_above() {
    let folder = TempDir::new().unwrap();
    let bundle = trained(&folder);
    let (mut failed, mut stated_all, mut found_all) = (Vec::new(), 0, 0);
    let in_place = in_place(&bundle).unwrap();
    let heap_of_all = || -> Vec<HeapUse> {
        let graphs = bundle.manifest().graphs.iter();
        let of_one =
            |(name, entry): (&String, &GraphEntry)| heap(name, [&bundle, &in_place], entry);
        graphs.map(of_one).collect()
    };
    thread::scope(|scope| scope.spawn(heap_of_all).join()).unwrap();
    // The engine's own tables are there now.
    let found = thread::scope(|scope| scope.spawn(heap_of_all).join()).unwrap();
    for ((name, entry), found) in bundle.manifest().graphs.iter().zip(found) {
        let stated = entry.memory.unwrap().of_this_program();
        let pairs = [
            ("load_peak", found.load_peak, stated.load_peak),
            ("resident", found.resident, stated.resident),
            ("in_place.load_peak", found.load(true).load_peak, stated.load(true).load_peak),
            ("in_place.resident", found.load(true).resident, stated.load(true).resident),
            ("scratch", found.scratch, stated.scratch),
            ("run_peak", found.run_peak, stated.run_peak),
        ];
        for (figure, found, stated) in pairs {
            // Panels of other kernels are as wide as 64 rows.
            if found > stated || stated > found + found / 8 + (64 << 10) + HEAP_UNIT {
                failed.push(format!("{name} {figure}: {found}, stated {stated}"));
            }
        }
        (stated_all, found_all) = (stated_all + stated.resident, found_all + found.resident);
    }
    println!("all graphs loaded: {found_all} bytes, stated {stated_all}");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_model_loads_within_what_the_figures_add_up_to() {
    let folder = TempDir::new().unwrap();
    let bundle = trained(&folder);
    for bundle in [&in_place(&bundle).unwrap(), &bundle] {
        let (mut resident, mut peak) = (0, 0);
        for (_, entry, file) in bundle.manifest().graphs_by_size() {
            let heap = entry.memory.unwrap().of_this_program().load(bundle.is_in_place());
            let file = if bundle.is_in_place() { 0 } else { file };
            peak = peak.max(resident + heap.load_peak + file);
            resident += heap.resident;
        }
        let mut model = None;
        let loaded = measure(|| model = Some(Model::from_bundle(bundle).unwrap()));
        println!("loaded: {} bytes at most, the figures say {peak}", loaded.bytes_max);
        assert!(loaded.bytes_max <= peak, "{} bytes, expected at most {peak}", loaded.bytes_max);
        let live = u64::try_from(loaded.bytes_current).unwrap();
        assert!(live <= resident, "{live} bytes stay, expected at most {resident}");
    }
}

#[test]
fn measuring_a_bundle_again_gives_the_same_but_for_the_seeds_of_hash_maps() {
    const SEEDS: u64 = 4 << 10;
    let (tiny, folder) = (Tiny::aligned().written(), TempDir::new().unwrap());
    let target = folder.path().join("bundle");
    assert!(run([tiny.path(), &target]).status.success());
    let measured = || -> Measured {
        let output = run(["measure".as_ref(), "--json".as_ref(), target.as_os_str()]);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = measured();
    let bundle = Bundle::open(&target).unwrap();
    assert!(first.graphs.keys().eq(bundle.manifest().graphs.keys()));
    assert!(first.graphs.values().all(|heap| heap.resident > 0 && heap.run_peak > 0));
    for _ in 0..3 {
        for (name, again) in measured().graphs {
            let first = first.graphs[&name];
            assert_eq!((again.resident, again.run_peak), (first.resident, first.run_peak));
            let differs = again.load_peak.abs_diff(first.load_peak);
            assert!(differs <= SEEDS, "{name}: {again:?}, before {first:?}");
        }
    }
}
