"""Stops training where documents that are not trained on fare best."""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

import devices
from rows import Document

PATIENCE = 8  # looks without improvement that end it


class EarlyStopping:
    """Keeps the state that had the least loss on documents that are not trained on."""

    def __init__(self, model: nn.Module, loss_of: Callable[[], Tensor]):
        self.model, self.loss_of = model, loss_of
        self.least, self.state, self.waited = math.inf, {}, 0

    @torch.no_grad()
    def goes_on(self) -> bool:
        """Looks once more; whether the last `PATIENCE` looks saw any improvement."""
        self.model.eval()
        loss = devices.agreed(self.loss_of().item())
        self.model.train()
        self.waited += 1
        if loss < self.least:
            self.least, self.state, self.waited = loss, copy.deepcopy(self.model.state_dict()), 0
        return self.waited < PATIENCE

    def restore(self):
        self.model.load_state_dict(self.state)


def without_some(documents: list[Document], share: float, generator: torch.Generator) -> tuple[list, list]:
    """-> most of the documents, and those of a share of the people with labels, of one at least"""
    people = sorted({d.person for d in documents if d.targets})
    count = max(1, round(share * len(people)))
    chosen = {people[i] for i in torch.randperm(len(people), generator=generator)[:count].tolist()}
    return [d for d in documents if d.person not in chosen], [d for d in documents if d.person in chosen]
