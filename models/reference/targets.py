"""What a task is trained towards: how labels become numbers, what errors cost, how rare labels are met.

A document's target is a score for an ordinal task, the class's number for a binary or multi-class one, a list of 0 and
1 for a multi-label one; documents may lack it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import losses
from hilbert import TaskConfig
from rows import Document

KINDS = ("binary", "multi_class", "ordinal", "multi_label")
IMBALANCE = ("weights", "adjustment", "none")
UNKNOWN = -1  # in place of a class


@dataclass(frozen=True)
class Scale:
    """In which scores are learnt: (score - centre) / unit."""

    centre: float
    unit: float
    start: float = 0.0  # of the head's bias


@dataclass(frozen=True)
class Target:
    task: TaskConfig
    cuts: tuple[float, ...] = ()  # of an ordinal task's scores: class k begins at the k-th; none: classes are scores
    imbalance: str = "weights"  # of IMBALANCE
    weight: float = 1.0  # of its loss
    scale: Scale | None = None  # None: the training documents' mean and deviation

    @property
    def name(self) -> str:
        return self.task.name

    def classes(self, values: list) -> np.ndarray:
        """Targets or None -> classes [N], of a multi-label task 0 and 1 [N, L]; UNKNOWN for None"""
        if self.task.kind == "multi_label":
            nothing = [UNKNOWN] * len(self.task.labels)
            return np.array([nothing if v is None else v for v in values])
        if self.task.kind == "ordinal":
            cuts = self.cuts or [k + 0.5 for k in range(len(self.task.labels) - 1)]
            return np.array([UNKNOWN if v is None else int(np.digitize(v, cuts)) for v in values])
        return np.array([UNKNOWN if v is None else v for v in values])


class Goal:
    """A target with what the training documents say of it."""

    def __init__(self, target: Target, documents: list[Document]):
        self.target, task = target, target.task
        values = [d.targets[target.name] for d in documents if target.name in d.targets]
        if not values:
            raise ValueError(f"task {target.name}: no training document has a label")
        if task.kind == "ordinal":
            self.scale = target.scale or Scale(float(np.mean(values)), max(float(np.std(values)), 1e-6))
        elif task.kind == "multi_label":
            positive = torch.tensor(values).sum(0)  # [L]
            self.counts = torch.stack([len(values) - positive, positive], 1)
        else:
            self.counts = torch.bincount(torch.tensor(values), minlength=len(task.labels))

    def loss(self, output: Tensor, documents: list[Document]) -> Tensor:
        """[B, C] -> scalar, over the documents that have a label; 0 if none has"""
        known = [i for i, d in enumerate(documents) if self.target.name in d.targets]
        if not known:
            return 0 * output.sum()
        output = output[known]
        values = torch.tensor([documents[i].targets[self.target.name] for i in known], device=output.device)
        if self.target.task.kind == "ordinal":
            return losses.ordinal(output[:, 0], (values - self.scale.centre) / self.scale.unit)
        of_kind = losses.multi_label if self.target.task.kind == "multi_label" else losses.classification
        return of_kind(output, values, self.counts.to(output.device), self.target.imbalance)
