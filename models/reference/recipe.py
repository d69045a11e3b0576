"""The exporter's recipe: which weights a bundle stores as int8. `docs/recipe-format.md` is normative."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch

SCHEMA = "hilbert.recipe/1"
QUANTISED_FROM = 4096  # weights with fewer elements stay float


@dataclass
class Recipe:
    """What holds where no rule does, and the rules in order: a pattern of tensors' names, and how those are stored."""

    weights: str = "int8"
    rules: list[tuple[str, str]] = field(default_factory=list)

    def is_int8(self, name: str, tensor: torch.Tensor) -> bool:
        stored = self.weights
        for pattern, weights in self.rules:
            # `*` is any characters, also none; all else is itself
            if re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name):
                stored = weights
        return stored == "int8" and can_be_int8(tensor)

    def floats(self, module: torch.nn.Module) -> list[str]:
        """Names of what could be int8 and is not, in alphabetical order."""
        return sorted(n for n, t in weights_of(module) if can_be_int8(t) and not self.is_int8(n, t))


def read(path: Path) -> Recipe:
    stored = json.loads(path.read_text())
    if stored["schema"] != SCHEMA:
        raise SystemExit(f"{path}: schema {stored['schema']}, expected {SCHEMA}")
    return Recipe(stored["weights"], [(rule["tensors"], rule["weights"]) for rule in stored["rules"]])


def can_be_int8(tensor: torch.Tensor) -> bool:
    return tensor.dim() >= 2 and tensor.numel() >= QUANTISED_FROM


def weights_of(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and computed tables by their names in the checkpoint."""
    return [*module.named_parameters(), *module.named_buffers()]
