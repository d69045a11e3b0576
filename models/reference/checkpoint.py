"""The checkpoint: `config.json`, `model.safetensors` (float16) and `vocab.txt`. The exporter reads it.

`docs/checkpoint-format.md` is normative. Its encoders and vocabulary may stand in another checkpoint, which it then
names.
"""

import copy
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hilbert import AlignmentConfig, Hilbert, HilbertConfig
from log_mel import LogMelConfig
from recipe import Recipe, weights_of
from segment import SegmentConfig
from word_pieces import load_vocabulary

SCHEMA = "hilbert.checkpoint/1"


ENCODERS = ("speech.", "text.")  # how the names of their tensors begin


def save(folder: Path, model: Hilbert, vocabulary: list[str], facts: dict, encoders: Path | None = None):
    """`facts`: name, licence, credits, calibration, provenance; conformal, alignment, log_mel and segmentation
    may be left out.

    `encoders`: the checkpoint that the model's encoders are from; they are named, not written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
    if encoders is None:
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    else:
        place = os.path.relpath(home_of_encoders(encoders), folder)
        facts = {**facts, "encoders": {"checkpoint": place, "sha256": encoders_sha256(encoders)}}
        tensors = {k: v for k, v in tensors.items() if not k.startswith(ENCODERS)}
    save_file(tensors, folder / "model.safetensors")
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
    alignment = config.get("alignment")
    model = Hilbert(
        HilbertConfig.from_dict(config["model"]),
        AlignmentConfig(alignment["hidden"], 1 + len(alignment["alphabet"])) if alignment else None,
    )
    state, home = load_file(folder / "model.safetensors"), home_of_encoders(folder)
    if home != folder:
        found, expected = encoders_sha256(home), config["encoders"]["sha256"]
        if found != expected:
            raise SystemExit(f"{home}: encoders of SHA-256 {found}, {folder} expects {expected}")
        state |= {k: v for k, v in load_file(home / "model.safetensors").items() if k.startswith(ENCODERS)}
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model.eval(), load_vocabulary(home / "vocab.txt"), config


def home_of_encoders(folder: Path) -> Path:
    """The checkpoint that holds the encoders of the one in `folder`."""
    config = json.loads((folder / "config.json").read_text())
    if "encoders" not in config:
        return folder
    if "checkpoint" not in config["encoders"]:
        found = ", ".join(config["encoders"])
        raise SystemExit(f"{folder}: encoders: found {found}, expected checkpoint: only the exporter reads others")
    return folder / config["encoders"]["checkpoint"]


def encoders_sha256(folder: Path) -> str:
    """Over name and stored bytes of each tensor of a checkpoint's encoders by ascending name, then `vocab.txt`."""
    folder = home_of_encoders(folder)
    result = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        if name.startswith(ENCODERS):
            result.update(name.encode())
            result.update(tensor.view(torch.uint8).numpy().tobytes())
    result.update((folder / "vocab.txt").read_bytes())
    return result.hexdigest()


def round_trip_int8(weight: torch.Tensor) -> torch.Tensor:
    """Symmetric int8 with one scale for each output channel (dimension 0), and back. Values from -127 to 127."""
    flat = weight.flatten(1)
    scale = flat.abs().amax(1) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    levels = (flat / scale[:, None]).round().clamp(-127, 127)
    return (levels * scale[:, None]).view_as(weight)


def with_int8_weights(module: torch.nn.Module, recipe: Recipe | None = None) -> torch.nn.Module:
    """A copy whose weights and position encodings have the values of the bundle's dequantised ones.

    Without a recipe all that are large enough are int8.
    """
    result, recipe = copy.deepcopy(module), recipe or Recipe()
    for name, value in weights_of(result):
        if recipe.is_int8(name, value):
            value.data.copy_(round_trip_int8(value.data))
    return result.eval()
