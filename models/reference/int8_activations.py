"""What int8 activations would do: a bundle whose encoders have them, calibrated, beside a bundle of floats.

    python int8_activations.py --bundle F32_BUNDLE --list LIST.jsonl --out FOLDER [--method minmax] [--recordings 16]

The input of every linear layer and convolution of the encoders is quantised to int8 with a scale that covers what is
met on the first recordings of the list, or most of it, and weights to int8 with a scale for each output channel
(onnxruntime's `quantize_static`). The folder is a bundle that the runtime runs: its time is that of `hilbert classify
--stats`, its decisions are those of `hilbert-export diff` beside F32_BUNDLE. What onnxruntime takes for a segment and a
row of text is printed. docs/decisions/0009-int8-activations.md has the outcome.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
import soundfile
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

import document_list
from document import cue_inputs, segment_inputs
from log_mel import LogMelConfig
from segment import SegmentConfig, segment
from word_pieces import load_vocabulary, token_rows

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile}
LEFT_OUT = ("certificate.json", "taps.safetensors")  # they are of other graphs


class Inputs(CalibrationDataReader):
    """One feed after the other."""

    def __init__(self, feeds: list[dict]):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def feeds(manifest: dict, bundle: Path, entries: list) -> dict[str, list[dict]]:
    """What the entries feed to each encoder: every segment, every row of text."""
    features = {k: v for k, v in manifest["features"].items() if k != "kind"}
    mel = LogMelConfig(sample_rate=manifest["audio"]["sample_rate"], **features)
    vocabulary, most = load_vocabulary(bundle / manifest["text"]["vocabulary"]), manifest["text"]["max_tokens"]
    found = {"speech_encoder": [], "text_encoder": []}
    for entry in entries:
        samples, _ = soundfile.read(entry.recording, dtype="float32")
        inputs = segment_inputs(samples, segment(samples, SegmentConfig(**manifest["segmentation"])), mel)
        found["speech_encoder"] += [{"log_mel": m[None].numpy(), "mask": k[None].numpy()} for m, k in zip(*inputs)]
        inputs = cue_inputs(token_rows(entry.cues, vocabulary, most), most)
        found["text_encoder"] += [{"tokens": t[None].numpy(), "mask": k[None].numpy()} for t, k in zip(*inputs)]
    return found


def linear(path: Path) -> list[str]:
    """Names of the nodes that multiply by a constant."""
    graph = onnx.load(path).graph
    constants = {t.name for t in graph.initializer}
    return [n.name for n in graph.node if n.op_type in ("MatMul", "Conv") and n.input[1] in constants]


def time_ms(path: Path, feed: dict) -> float:
    """Of one run on one thread, the median of 30."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    times = []
    for _ in range(30):
        start = perf_counter()
        session.run(None, feed)
        times.append(1e3 * (perf_counter() - start))
    return median(times)


def snr_db(path: Path, other: Path, feeds: list[dict]) -> float:
    """Of the rows of `path` beside those of `other`."""
    rows = []
    for one in (path, other):
        session = onnxruntime.InferenceSession(str(one), None, ["CPUExecutionProvider"])
        rows.append(np.concatenate([session.run(["row"], feed)[0] for feed in feeds]).astype(np.float64))
    return float(10 * np.log10((rows[1] ** 2).sum() / ((rows[0] - rows[1]) ** 2).sum()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, default="minmax")
    parser.add_argument("--recordings", type=int, default=16)
    arguments = parser.parse_args()
    manifest = json.loads((arguments.bundle / "manifest.json").read_text())
    _, entries = document_list.read(arguments.list)
    shutil.copytree(arguments.bundle, arguments.out, ignore=shutil.ignore_patterns(*LEFT_OUT))
    calibration = feeds(manifest, arguments.bundle, entries[: arguments.recordings])
    held_out = feeds(manifest, arguments.bundle, entries[-4:])
    for encoder, inputs in calibration.items():
        name = manifest["graphs"][encoder]["file"]
        before, after = arguments.bundle / name, arguments.out / name
        quantize_static(
            before,
            after,
            Inputs(inputs),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=linear(before),
            calibrate_method=METHODS[arguments.method],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": True, "CalibPercentile": 99.99},
        )
        feed = held_out[encoder]
        took = [time_ms(path, feed[0]) for path in (before, after)]
        print(f"{encoder}: calibrated on {len(inputs)} inputs; rows of {len(feed)} others: ", end="")
        print(f"{snr_db(after, before, feed):.1f} dB; onnxruntime: {took[0]:.2f} ms in f32, {took[1]:.2f} ms so")
    manifest["files"] = [file for file in manifest["files"] if file["path"] not in LEFT_OUT]
    for file in manifest["files"]:
        content = (arguments.out / file["path"]).read_bytes()
        file["bytes"], file["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    (arguments.out / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
