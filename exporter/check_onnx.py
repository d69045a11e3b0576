"""Checks a bundle's graphs without the runtime: onnx's checker, onnxruntime, a numpy oracle and the golden set.

    python check_onnx.py BUNDLE GOLDEN

Every graph passes onnx's full check and is run, on golden inputs where there are any and on random ones, in onnxruntime
with graph optimisation disabled and node by node in numpy. Both agree with each other and with the golden set of the
bundle's weights within 1e-4. Needs onnx, onnxruntime, numpy and safetensors.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from safetensors.numpy import load_file

TOLERANCE = 1e-4
PADDING = -1e9


# The oracle: each operation as its specification reads, in float64 from the stored weights on.


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x, axis):
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def layer_norm(x, scale, bias, axis, epsilon):
    assert axis == -1
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + bias


def dequantise(x, scale, axis):
    shape = [1] * x.ndim
    shape[axis] = -1
    return x.astype(np.float64) * scale.reshape(shape)


def conv(x, w, b, kernel_shape, pads, strides):
    assert x.shape[0] == 1 and kernel_shape == [w.shape[2]]
    padded = np.pad(x[0], ((0, 0), pads))  # [in, T + pads]
    count = (padded.shape[1] - w.shape[2]) // strides[0] + 1
    windows = np.stack([padded[:, t * strides[0] : t * strides[0] + w.shape[2]] for t in range(count)])
    return (np.einsum("tik,oik->ot", windows, w, optimize=True) + b[:, None])[None]


def slice_(x, starts, ends, axes, steps):
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def cast(x, to):
    assert to == onnx.TensorProto.FLOAT
    return x.astype(np.float64)


OPERATIONS = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Exp": np.exp,
    "Erf": np.vectorize(math.erf, otypes=[np.float64]),
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
    "MatMul": np.matmul,
    "Reshape": np.reshape,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Slice": slice_,
    "Concat": lambda *x, axis: np.concatenate(x, axis),
    "Gather": lambda x, i, axis: np.take(x, i, axis),
    "Cast": cast,
    "ReduceMean": lambda x, axes, keepdims: x.mean(tuple(axes), keepdims=bool(keepdims)),
    "ReduceMax": lambda x, axes, keepdims: x.max(tuple(axes), keepdims=bool(keepdims)),
    "ReduceSum": lambda x, axes, keepdims: x.sum(tuple(axes), keepdims=bool(keepdims)),
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "LayerNormalization": layer_norm,
    "DequantizeLinear": dequantise,
    "Conv": conv,
}


def widened(x):
    return x.astype(np.float64) if x.dtype == np.float32 else x


def evaluate(model, inputs):
    """The graph node by node -> outputs in order"""
    values = {t.name: widened(numpy_helper.to_array(t)) for t in model.graph.initializer}
    values |= {name: widened(x) for name, x in inputs.items()}
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = OPERATIONS[node.op_type](*(values[i] for i in node.input), **attributes)
    return [values[o.name] for o in model.graph.output]


class Bundle:
    def __init__(self, folder):
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.models, self.sessions = {}, {}
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        for name, entry in self.manifest["graphs"].items():
            path = folder / entry["file"]
            self.models[name] = onnx.load(path)
            onnx.checker.check_model(self.models[name], full_check=True)
            self.sessions[name] = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            for kind, found in (("inputs", self.models[name].graph.input), ("outputs", self.models[name].graph.output)):
                shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in found]
                stated = [(t["name"], t["shape"]) for t in entry[kind]]
                if list(zip([v.name for v in found], shapes)) != stated:
                    raise SystemExit(f"{path}: {kind} are not those of the manifest")
        self.agreement = dict.fromkeys(self.models, 0.0)  # largest difference of onnxruntime and the oracle
        self.parity = {}  # stage -> largest difference from the golden set, of either
        self.failures = []

    def run(self, name, *inputs, expected=None, stage=None):
        """Outputs of both evaluations as pairs; `expected` holds a golden tensor or None an output."""
        entry = self.manifest["graphs"][name]
        feed = {
            t["name"]: np.asarray(x, {"f32": np.float32, "i64": np.int64}[t["dtype"]]).reshape(t["shape"])
            for t, x in zip(entry["inputs"], inputs, strict=True)
        }
        ours = self.sessions[name].run(None, feed)
        oracle = evaluate(self.models[name], feed)
        for i, (a, b) in enumerate(zip(ours, oracle, strict=True)):
            self.agreement[name] = max(self.agreement[name], self.compare(f"{name} against the oracle", a, b))
            if expected is not None and expected[i] is not None:
                for result in (a, b):
                    golden = expected[i].reshape(-1)
                    found = self.compare(stage, result.reshape(-1)[: len(golden)], golden)
                    self.parity[stage] = max(self.parity.get(stage, 0.0), found)
        return ours

    def compare(self, what, found, expected):
        largest = float(np.abs(found.astype(np.float64) - expected).max())
        if not largest <= TOLERANCE:  # a NaN fails too
            self.failures.append(f"{what}: found a difference of {largest:.3g}, expected at most {TOLERANCE}")
        return largest


def positions(middles, fusion):
    half = fusion["width"] // 2
    steps = np.arange(half) / (half - 1)
    frequencies = 2 * math.pi / fusion["period_min_s"] * (fusion["period_min_s"] / fusion["period_max_s"]) ** steps
    angles = np.nan_to_num(np.asarray(middles, np.float64))[:, None] * frequencies
    table = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    return table * ~np.isnan(middles)[:, None]


def padded(rows, block):
    return np.pad(rows, ((0, block - len(rows)), (0, 0)))


def check_document(bundle, name, golden, weights):
    """One golden document, each graph fed golden inputs."""
    manifest = bundle.manifest
    fusion, block = manifest["fusion"], manifest["fusion"]["block"]
    inputs = {k.split("/", 2)[2]: v for k, v in golden.items() if k.startswith(f"inputs/{name}/")}
    stages = {k.split("/", 2)[2]: v for k, v in golden.items() if k.startswith(f"{weights}/{name}/")}
    middles = {}
    if "log_mel" in inputs:
        hop, frames = manifest["features"]["hop"], manifest["features"]["frames"]
        middles["audio"] = inputs["segments"].mean(1) / manifest["audio"]["sample_rate"]
        real = 0  # frames of the encoder so far
        for i, mel in enumerate(inputs["log_mel"]):
            start, end = inputs["segments"][i]
            mask = np.arange(frames) < -(-(end - start) // hop)
            expected = [stages["audio_rows"][i], None]  # frames, if there are any, are in no golden set
            _, *encoded = bundle.run("speech_encoder", mel, mask, expected=expected, stage="audio_rows")
            if "alignment" in bundle.models and "tokens" in inputs:
                first, real = real, real + -(-int(mask.sum()) // (frames // len(encoded[0])))
                log = stages["alignment_log_posteriors"][first:real]
                bundle.run("alignment", *encoded, expected=[log], stage="alignment_log_posteriors")
    if "tokens" in inputs:
        middles["text"] = inputs["cue_times"].mean(1)
        for i, tokens in enumerate(inputs["tokens"]):
            mask = inputs["token_mask"][i]
            bundle.run("text_encoder", tokens, mask, expected=[stages["text_rows"][i]], stage="text_rows")
    for modality, times in middles.items():
        x, score = stages[f"{modality}_x"], stages[f"{modality}_score"]
        for i, position in enumerate(positions(times, fusion)):
            row = stages[f"{modality}_rows"][i]
            expected = [x[i], score[i : i + 1]]
            bundle.run(f"project_{modality}", row, position, expected=expected, stage=f"{modality}_x")
    for modality, other in (("audio", "text"), ("text", "audio")):
        if modality not in middles:
            continue
        x = stages[f"{modality}_x"]
        if len(x) > block:
            raise SystemExit(f"{name}: {len(x)} rows, expected at most one block of {block}")
        attended = np.zeros((block, fusion["width"]))
        if other in middles:
            keys = stages[f"{other}_x"]
            bias = np.where(np.arange(block) < len(keys), 0, PADDING)
            queries = padded(x, block)
            numerator, _, total = bundle.run(f"cross_{modality}", queries, padded(keys, block), bias)
            attended = (numerator / total[:, :, None]).transpose(1, 0, 2).reshape(block, -1)
        expected = [stages[f"cross_{modality}"], stages[f"cross_{modality}_score"]]
        bundle.run(f"finish_{modality}", attended, padded(x, block), expected=expected, stage=f"cross_{modality}")
    pooled = [
        stages.get(f"{p}_pooled", np.zeros(fusion["width"])) for p in ("audio", "text", "cross_audio", "cross_text")
    ]
    presence = np.array([m in middles for m in ("audio", "text")])
    bundle.run("join", *pooled, presence, expected=[stages["document"]], stage="document")
    document = stages["document"]
    gates = bundle.run("router", document)[0]
    gates = gates * (gates >= manifest["experts"]["threshold"])
    gates = gates / gates.sum(1, keepdims=True)
    bundle.parity["gates"] = max(bundle.parity.get("gates", 0.0), bundle.compare("gates", gates, stages["gates"]))
    for i, expert in enumerate(stages["experts"]):
        bundle.run(f"expert_{i}", document, expected=[expert], stage="experts")
    mixed = stages["gates"] @ stages["experts"]
    for task, row in zip(manifest["tasks"], mixed):
        stage = f"head/{task['name']}"
        bundle.run(f"head_{task['name']}", row, expected=[stages[stage]], stage=stage)


def check_random(bundle, seed):
    """Every graph once on random inputs: masks of a random length, ids of the whole vocabulary."""
    random = np.random.default_rng(seed)
    for name, entry in bundle.manifest["graphs"].items():
        inputs = []
        for t in entry["inputs"]:
            if t["dtype"] == "i64":
                table = next(i for i in bundle.models[name].graph.initializer if i.name == "text.tokens.weight")
                inputs.append(random.integers(0, table.dims[0], t["shape"]))
            elif t["name"] == "mask":
                inputs.append(np.arange(t["shape"][1]) < random.integers(1, t["shape"][1] + 1))
            elif t["name"] == "bias":
                inputs.append(np.where(np.arange(t["shape"][0]) < random.integers(1, t["shape"][0] + 1), 0, PADDING))
            elif t["name"] == "presence":
                inputs.append(random.integers(0, 2, t["shape"]))
            else:
                inputs.append(random.standard_normal(t["shape"]))
        bundle.run(name, *inputs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("golden", type=Path)
    arguments = parser.parse_args()
    bundle = Bundle(arguments.bundle)
    golden = load_file(arguments.golden)
    weights = bundle.manifest["weights"]
    # The document `long` has no rows of encoders, and no graph merges rows.
    names = sorted({k.split("/")[1] for k in golden if k.startswith(f"{weights}/") and k.endswith("_rows")})
    if not names:
        raise SystemExit(
            f"{arguments.golden}: found no set {weights!r}, expected one; run models/reference/golden.py again"
        )
    for name in names:
        check_document(bundle, name, golden, weights)
    for seed in range(2):
        check_random(bundle, seed)
    print(f"{len(bundle.models)} graphs pass onnx's checker; {weights} set of {len(names)} documents")
    for name, difference in bundle.agreement.items():
        print(f"  {name:24} onnxruntime - oracle  {difference:.2e}")
    for stage, difference in bundle.parity.items():
        print(f"  {stage:24} either - golden       {difference:.2e}")
    for failure in dict.fromkeys(bundle.failures):
        print(failure, file=sys.stderr)
    return 1 if bundle.failures else 0


if __name__ == "__main__":
    sys.exit(main())
