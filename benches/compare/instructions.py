"""Counts the instructions of the shipped encoders; `instructions` builds what this needs and starts it.

    python instructions.py CORE ...

Cores: `avx2`, which is callgrind's processor (AVX2 and FMA, no AVX-512), and cortex-a53, -a72, -a76 and -a7, which are qemu's.
A count is that of a whole process with 2 n inferences less that of one with n, over n. Instructions are not time. Writes
`instructions.json` and the table in `benches/README.md`.
"""

import argparse
import json
import os
import re
import subprocess
from pathlib import Path

from report import write_between
from safetensors.numpy import load_file
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
# What may be fastest where: types that the int8 instructions of x86-64 and of ARM take.
FORMS = (
    "dynamic-matmul-u8s8-channel",
    "dynamic-matmul-u8u8",
    "qdq-matmul-u8s8-channel",
    "qdq-matmul-s8s8",
    "qoperator-matmul-u8s8-channel",
    "qoperator-matmul-s8s8",
)
COUNTED = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cores", nargs="*", default=list(CORES), help="which ones; all without any")
    parser.add_argument("--work", type=Path, required=True, help="inputs, forms and `seconds`, as `run` leaves them")
    parser.add_argument("--binaries", type=Path, required=True, help="the target folder of the workers")
    parser.add_argument("--library", type=Path, help="onnxruntime's shared library for aarch64")
    arguments = parser.parse_args()
    path = HERE / "instructions.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for core in arguments.cores:
        results[core] = count_core(core, arguments)
        path.write_text(json.dumps(results, indent=1) + "\n")
    write_between(ROOT / "benches/README.md", "instructions", table(results))


def count_core(core, arguments):
    """Per second of the sample recording, of each engine and form: its segments and rows of text, and each encoder alone."""
    engines = {
        "hilbert, shipped": ("hilbert", "shipped"),
        "hilbert, shipped, --engine f32": ("hilbert:f32", "shipped"),
        "tract, f32": ("tract", "f32"),
    }
    if core != "cortex-a7":  # onnxruntime is not published for it
        engines |= {f"onnxruntime, {form}": ("onnxruntime", form) for form in ("f32", *FORMS)}
    counted = {}
    for name, (engine, form) in engines.items():
        counts = {}
        for encoder in ("speech_encoder", "text_encoder"):
            inputs = arguments.work / f"{encoder}.safetensors"
            graph = arguments.work / f"forms/{encoder}/{form}.onnx"
            if form == "shipped":
                graph = ROOT / f"models/spoken-english/bundle/{encoder}.onnx"
            start = command(binaries(core, arguments.binaries), engine, graph, inputs)
            counts[encoder] = per_inference(core, start, arguments)
            counts[f"{encoder}_items"] = len(load_file(inputs)["mask"])
        seconds = float((arguments.work / "seconds").read_text())
        total = sum(counts[e] * counts[f"{e}_items"] for e in ("speech_encoder", "text_encoder"))
        counted[name] = counts | {"per_second": total / seconds}
        print(f"{core}: {name}: {counted[name]['per_second'] / 1e6:.1f} million a second", flush=True)
    return counted


def per_inference(core, start, arguments):
    once, twice = (count(core, start, n, arguments) for n in (COUNTED, 2 * COUNTED))
    return (twice - once) / COUNTED


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
    ended = subprocess.run(counter + start, input=f"run {inferences}\n", capture_output=True, text=True, env=environment)
    found = re.search(pattern, ended.stderr, re.MULTILINE)
    if ended.returncode != 0 or not found:
        raise RuntimeError(f"{core}: {' '.join(start)}: exit {ended.returncode}: {ended.stderr[-400:]}")
    return int(found[1])


def binaries(core, folder):
    triple = {"avx2": "", "cortex-a7": "armv7-unknown-linux-gnueabihf"}.get(core, "aarch64-unknown-linux-gnu")
    return folder / triple / "release"


def table(results):
    """Markdown: millions of instructions for one second of the recording, and as a multiple of ours; onnxruntime's int8 at its
    fewest."""
    lines = ["| | ours | tract f32 | times ours | onnxruntime int8 at its fewest | times ours |", "|---|---|---|---|---|---|"]
    for core, words in CORES.items():
        if core not in results:
            continue
        counts = {name: of["per_second"] for name, of in results[core].items()}
        ours, tract = counts["hilbert, shipped"], counts["tract, f32"]
        int8 = {name: n for name, n in counts.items() if name.startswith("onnxruntime,") and not name.endswith(" f32")}
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
