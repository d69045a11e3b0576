"""Counts the instructions of the shipped encoders.

    benches/compare/instructions [CORE ...]      builds what this needs and starts it

Cores: `avx2`, which is callgrind's processor (AVX2 and FMA, no AVX-512), and those of qemu. A count is that of a whole
process with 2 n inferences less that of one with n, over n. Instructions are not time. Writes `instructions.json` and
the table in `benches/README.md`.
"""

import argparse
import json
import os
import re
import subprocess
from pathlib import Path

from safetensors.numpy import load_file

from report import write_between
from workers import ONE_THREAD, command, shared_library

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORES = {
    "avx2": "x86-64 with AVX2, in callgrind",
    "cortex-a53": "Cortex-A53 (Raspberry Pi 3), in qemu",
    "cortex-a72": "Cortex-A72 (Raspberry Pi 4), in qemu",
    "cortex-a76": "Cortex-A76 (Raspberry Pi 5), in qemu",
    "cortex-a7": "Cortex-A7 (32 bits, Raspberry Pi 2), in qemu",
}
ENCODERS = ("speech_encoder", "text_encoder")
# What may have the fewest: types that the int8 instructions of x86-64 and of ARM take.
FORMS = {
    "x86-64": ("dynamic-matmul-u8s8-channel", "dynamic-matmul-u8u8"),
    "aarch64": ("dynamic-matmul-u8s8-channel", "qdq-matmul-s8s8"),
    "armv7": (),  # onnxruntime is not published for it
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cores", nargs="*", default=list(CORES), help="which ones; all without any")
    parser.add_argument("--work", type=Path, required=True, help="inputs, forms and `seconds`, as `run` leaves them")
    parser.add_argument("--binaries", type=Path, required=True, help="the folder of the workers for this machine")
    parser.add_argument("--arm-binaries", type=Path, required=True, help="the target folder of those for ARM")
    parser.add_argument("--library", type=Path, help="onnxruntime's shared library for aarch64")
    arguments = parser.parse_args()
    path = HERE / "instructions.json"
    for core in arguments.cores:
        counted = count_core(core, arguments)
        results = (json.loads(path.read_text()) if path.exists() else {}) | {core: counted}
        path.write_text(json.dumps(results, indent=1) + "\n")
        write_between(ROOT / "benches/README.md", "instructions", table(results))


def count_core(core, arguments):
    """By engine and form: of each encoder an inference, and of both a second of the recording with its transcript."""
    engines = {"hilbert, shipped": ("hilbert", "shipped"), "tract, f32": ("tract", "f32")}
    forms = FORMS[architecture(core)]
    engines |= {f"onnxruntime, {form}": ("onnxruntime", form) for form in forms}
    counted = {}
    for name, of in engines.items():
        counts = {encoder: per_inference(core, encoder, of, arguments) for encoder in ENCODERS}
        total = sum(counts[encoder] * items(encoder, arguments) for encoder in ENCODERS)
        counted[name] = counts | {"per_second": total / float((arguments.work / "seconds").read_text())}
        print(f"{core}: {name}: {counted[name]['per_second'] / 1e6:.1f} million a second", flush=True)
    return counted


def items(encoder, arguments):
    return len(load_file(arguments.work / f"{encoder}.safetensors")["mask"])


def per_inference(core, encoder, of, arguments):
    engine, form = of
    graph = arguments.work / f"forms/{encoder}/{form}.onnx"
    if form == "shipped":
        graph = ROOT / f"models/spoken-english/bundle/{encoder}.onnx"
    inputs = arguments.work / f"{encoder}.safetensors"
    start = command(binaries(core, arguments), engine, graph, inputs)
    # The other engines compute padding as they do speech: one item is as good as all.
    counted = items(encoder, arguments) if engine == "hilbert" else 1
    once, twice = (count(core, start, n, arguments) for n in (counted, 2 * counted))
    return (twice - once) / counted


def count(core, start, inferences, arguments):
    """Instructions of one process that runs so many inferences."""
    if core == "avx2":
        counter = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        library, pattern = shared_library(), r"Collected : (\d+)"
    else:
        plugin = arguments.work / "count_instructions.so"
        counter = [str(ROOT / f"target/cross/bin/run-{core}"), "-plugin", str(plugin)]
        library, pattern = arguments.library, r"^instructions: (\d+)"
    environment = os.environ | ONE_THREAD | {"ORT_DYLIB_PATH": str(library)}
    ended = subprocess.run(
        counter + start, input=f"run {inferences}\n", capture_output=True, text=True, env=environment
    )
    found = re.search(pattern, ended.stderr, re.MULTILINE)
    if ended.returncode != 0 or not found:
        raise RuntimeError(f"{core}: {' '.join(start)}: exit {ended.returncode}: {ended.stderr[-400:]}")
    return int(found[1])


def architecture(core):
    return {"avx2": "x86-64", "cortex-a7": "armv7"}.get(core, "aarch64")


def binaries(core, arguments):
    triples = {"aarch64": "aarch64-unknown-linux-gnu", "armv7": "armv7-unknown-linux-gnueabihf"}
    triple = triples.get(architecture(core))
    return arguments.arm_binaries / triple / "release" if triple else arguments.binaries


def table(results):
    """Markdown: millions of instructions a second of the recording, and multiples of ours."""
    lines = [
        "| | ours | tract f32 | times ours | onnxruntime int8 at its fewest | times ours |",
        "|---|---|---|---|---|---|",
    ]
    for core, words in CORES.items():
        if core not in results:
            continue
        counts = {name: of["per_second"] for name, of in results[core].items()}
        ours, tract = counts["hilbert, shipped"], counts["tract, f32"]
        int8 = {name: n for name, n in counts.items() if name.startswith("onnxruntime,")}
        cells = [words, f"{ours / 1e6:.0f}", f"{tract / 1e6:.0f}", f"{tract / ours:.2f}"]
        if int8:
            best = min(int8, key=int8.get)
            cells += [f"{int8[best] / 1e6:.0f} ({best.partition(', ')[2]})", f"{int8[best] / ours:.2f}"]
        else:
            cells += ["not published", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
