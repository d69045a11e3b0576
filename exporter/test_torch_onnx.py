"""Encoders that PyTorch exported to ONNX are taken as they are, and compute what the reference's do.

    python -m pytest exporter/test_torch_onnx.py

Needs the command in `target/release`; without it all is skipped.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models/spoken-english"
EXPORT = ROOT / "target/release/hilbert-export"

sys.path.insert(0, str(ROOT / "models/reference"))
from checkpoint import load  # noqa: E402

pytestmark = pytest.mark.skipif(not EXPORT.exists(), reason=f"{EXPORT} is not built")


class Speech(torch.nn.Module):
    """The encoder with the two outputs that a bundle wants: the row, and frames that are zero beyond the segment."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, log_mel, mask):
        row, frames, kept = self.encoder.rows_and_frames(log_mel, mask)
        return row, (frames * kept[..., None])[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The shipped checkpoint with its encoders as ONNX files."""
    folder = tmp_path_factory.mktemp("torch")
    model, _, config = load(MODEL / "checkpoint")
    speech, text = config["model"]["speech"], config["model"]["text"]
    mel, mask = torch.randn(1, speech["n_mels"], speech["frames"]), torch.ones(1, speech["frames"])
    ids, real = torch.zeros(1, text["max_tokens"], dtype=torch.int64), torch.ones(1, text["max_tokens"])
    names = {"input_names": ["log_mel", "mask"], "output_names": ["row", "frames"]}
    options = {"opset_version": 17, "dynamo": False}
    torch.onnx.export(Speech(model.speech).eval(), (mel, mask), str(folder / "speech.onnx"), **names, **options)
    names = {"input_names": ["tokens", "mask"], "output_names": ["row"]}
    torch.onnx.export(model.text.eval(), (ids, real), str(folder / "text.onnx"), **names, **options)
    heads = load_file(MODEL / "checkpoint/model.safetensors")
    heads = {name: tensor for name, tensor in heads.items() if not name.startswith(("speech.", "text."))}
    save_file(heads, folder / "model.safetensors")
    shutil.copy(MODEL / "checkpoint/vocab.txt", folder)
    config["encoders"] = {name: {"onnx": f"{name}.onnx"} for name in ("speech", "text")}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def export(folder, *options):
    command = [EXPORT, folder, folder / "bundle", "--force", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_f32_form_agrees_with_the_reference_at_every_stage(folder):
    found = export(folder, "--weights", "f32", "--golden", MODEL / "golden.safetensors")
    assert found.returncode == 0, found.stderr
    assert "compared with the f32 golden set" in found.stdout


def test_the_int8_form_is_a_third_of_its_size_and_says_what_each_graph_loses(folder):
    assert export(folder, "--weights", "f32").returncode == 0
    size = (folder / "bundle/speech_encoder.onnx").stat().st_size
    found = export(folder, "--ledger", folder / "ledger")
    assert found.returncode == 0, found.stderr
    assert (folder / "bundle/speech_encoder.onnx").stat().st_size < size / 3
    layers = json.loads((folder / "ledger/ledger.json").read_text())["layers"]
    assert {"speech_encoder", "text_encoder"} <= {layer["graph"] for layer in layers}


def test_operators_that_no_bundle_may_hold_are_named_once(folder):
    class Counting(torch.nn.Module):
        def forward(self, tokens, mask):
            return torch.nonzero(tokens * mask.long()).float().sum().expand(1, 384) + mask.cumsum(1).sum()

    inputs = torch.ones(1, 64, dtype=torch.int64), torch.ones(1, 64)
    names = {"input_names": ["tokens", "mask"], "output_names": ["row"]}
    kept = (folder / "text.onnx").read_bytes()
    torch.onnx.export(Counting(), inputs, str(folder / "text.onnx"), **names, opset_version=17, dynamo=False)
    found = export(folder)
    (folder / "text.onnx").write_bytes(kept)
    assert found.returncode == 4
    assert found.stderr.count("NonZero in 1 nodes") == 1 and "CumSum" in found.stderr
