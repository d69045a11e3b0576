"""Times the shipped encoders in this runtime, stock tract, onnxruntime and rten.

    benches/compare/run [--rounds N]      builds what this needs and starts it

First every engine runs every int8 form a few times; then its f32 form and its fastest int8 forms take turns with ours.
Writes `results.json`, the plot `results.svg` and the table in `benches/README.md`.
"""

import argparse
import json
import os
import tempfile
from datetime import date
from pathlib import Path

from safetensors.numpy import load_file

from forms import write_forms
from machine import describe
from report import plot, table, write_between
from timing import fastest, round_robin, signal_to_noise, summarise
from workers import Worker, WorkerError, command

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENCODERS = ("speech_encoder", "text_encoder")
OURS = "hilbert, shipped"
FINALISTS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, required=True, help="the folder of the workers")
    parser.add_argument("--work", type=Path, required=True, help="the folder of inputs, f32 graphs and int8 forms")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    results = {"date": date.today().isoformat(), "machine": describe(), "encoders": {}}
    for encoder in ENCODERS:
        print(encoder, flush=True)
        results["encoders"][encoder] = measure(encoder, arguments)
    results["load_average_after"] = os.getloadavg()[0]
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.svg").write_text(plot(results))
    write_between(ROOT / "benches/README.md", "compare", table(results))


def measure(encoder, arguments):
    inputs = arguments.work / f"{encoder}.safetensors"
    shipped = ROOT / f"models/spoken-english/bundle/{encoder}.onnx"
    exported = arguments.work / f"f32/{encoder}.onnx"
    folder = arguments.work / f"forms/{encoder}"
    failed = {f"onnxruntime's quantiser, {name}": why for name, why in write_forms(exported, inputs, folder).items()}
    forms = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    f32 = forms.pop("f32")
    floats = {
        "hilbert, shipped, --engine f32": ("hilbert:f32", shipped),
        "tract, f32": ("tract", f32),
        "onnxruntime, f32": ("onnxruntime", f32),
        "rten, f32": ("rten", f32),
    }
    int8 = {
        f"{engine}, {form}": (engine, path)
        for engine in ("tract", "onnxruntime", "rten")
        for form, path in {"shipped": shipped, **forms}.items()
    }

    def start(engine, graph):
        return Worker(command(arguments.binaries, engine, graph, inputs))

    trial = {}
    for name, (engine, graph) in int8.items():
        try:
            worker = start(engine, graph)
            trial[name] = [worker.run(1) for _ in range(4)][1:]
            worker.close()
            print(f"  {name}: {min(trial[name]) / 1e6:.2f} ms", flush=True)
        except WorkerError as error:
            failed[name] = str(error)
    chosen = {OURS: ("hilbert", shipped), **floats}
    for engine in ("tract", "onnxruntime", "rten"):
        own = {name: [min(times)] for name, times in trial.items() if name.startswith(engine + ",")}
        chosen |= {name: int8[name] for name in fastest(own, FINALISTS)}

    workers = {name: start(*of) for name, of in chosen.items()}
    outputs = {name: written(worker) for name, worker in workers.items()}
    # Whole passes: what a segment costs may depend on how long it is.
    passes = {"speech_encoder": 1, "text_encoder": 10}[encoder]
    times = round_robin(workers, arguments.rounds, repeats=2, runs=passes * len(load_file(inputs)["mask"]))
    summary = summarise(times, OURS)
    for name, worker in workers.items():
        summary[name] |= {
            "load_ns": worker.load_ns,
            "file_bytes": chosen[name][1].stat().st_size,
            "peak_bytes": worker.peak(),
            "signal_to_noise_db": signal_to_noise(outputs[name], outputs["onnxruntime, f32"]),
            "rounds_ns": times[name],
        }
        worker.close()
    return {"compared": summary, "trial_ns": trial, "failed": failed}


def written(worker):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.safetensors"
        worker.write(path)
        return load_file(path)


if __name__ == "__main__":
    main()
