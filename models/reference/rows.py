"""The documents that the fusion learns from: encoder rows, computed once and kept, and padded batches of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hilbert import Rows


@dataclass
class Document:
    recording: int  # number of what it was cut from
    person: int  # documents of one person are no negatives of each other
    audio: Tensor  # [S, R]
    audio_middles: list[float]
    text: Tensor  # [S, R]
    text_middles: list[float]
    targets: dict  # by task, as `targets.py` says; a task may lack
    scores: Tensor  # [S, K] further scores of each audio segment, around 0; K may be 0


def cached(path: Path, build, *arguments):
    """What `build(*arguments)` returned when it was first asked for."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")  # others may be at the same
        torch.save(build(*arguments), partial)
        partial.rename(path)
    return torch.load(path, weights_only=True)


def collate(documents: list[Document], modality: str) -> Rows:
    """Padded to the longest; a document without rows is all mask."""
    rows = [getattr(d, modality) for d in documents]
    longest = max(1, *(len(r) for r in rows))
    middles = torch.zeros(len(rows), longest, dtype=torch.float64)
    mask = torch.zeros(len(rows), longest)
    padded = torch.zeros(len(rows), longest, rows[0].shape[1])
    for i, d in enumerate(documents):
        n = len(rows[i])
        padded[i, :n] = rows[i]
        middles[i, :n] = torch.tensor(getattr(d, f"{modality}_middles"), dtype=torch.float64)
        mask[i, :n] = 1
    return Rows(padded, middles, mask)
