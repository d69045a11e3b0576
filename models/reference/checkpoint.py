"""The checkpoint: `config.json`, `model.safetensors` (float16) and `vocab.txt`. The exporter reads it.

`docs/checkpoint-format.md` is normative.
"""

import copy
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hilbert import Hilbert, HilbertConfig
from log_mel import LogMelConfig
from segment import SegmentConfig
from word_pieces import load_vocabulary

SCHEMA = "hilbert.checkpoint/1"


def save(folder: Path, model: Hilbert, vocabulary: list[str], facts: dict):
    """`facts`: name, licence, credits, calibration, provenance; conformal, log_mel and segmentation may be left out."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = {
        "schema": SCHEMA,
        **facts,
        "log_mel": facts.get("log_mel", LogMelConfig(frames=model.config.speech.frames).to_dict()),
        "segmentation": facts.get("segmentation", SegmentConfig().to_dict()),
        "model": model.config.to_dict(),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> tuple[Hilbert, list[str], dict]:
    """-> model in float32 with the stored float16 values, vocabulary, config."""
    config = json.loads((folder / "config.json").read_text())
    if config["schema"] != SCHEMA:
        raise SystemExit(f"{folder}: schema {config['schema']}, expected {SCHEMA}; run train.py again")
    model = Hilbert(HilbertConfig.from_dict(config["model"]))
    state = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(state)
    return model.eval(), load_vocabulary(folder / "vocab.txt"), config


QUANTISED_FROM = 4096  # weights with fewer elements stay float


def round_trip_int8(weight: torch.Tensor) -> torch.Tensor:
    """Symmetric int8 with one scale for each output channel (dimension 0), and back. Values from -127 to 127."""
    flat = weight.flatten(1)
    scale = flat.abs().amax(1) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    levels = (flat / scale[:, None]).round().clamp(-127, 127)
    return (levels * scale[:, None]).view_as(weight)


def with_int8_weights(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose large weights and position encodings have the values of the int8 bundle's dequantised ones."""
    result = copy.deepcopy(module)
    for value in [*result.parameters(), *result.buffers()]:
        if value.dim() >= 2 and value.numel() >= QUANTISED_FROM:
            value.data.copy_(round_trip_int8(value.data))
    return result.eval()
