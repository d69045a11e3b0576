"""Streaming fusion: at most `n_max` rows of a modality are kept for cross-attention, however many come in.

Up to `n_max` every row is kept and the fusion is exact. Beyond it the two most similar neighbours merge, as in token
merging (Bolya et al. 2022, arXiv 2210.09461): the row that comes out is their mean by size, and the log of its size is
added to the logits of attention and of pooling. The device does the same, in the same precision
(`runtime/src/fusion/rows.rs`).

Dimension letters: B documents, S rows that came in, N rows that are kept, D width.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

UNTIMED = (math.nan, math.nan)


class RowStore:
    """Projected rows of one modality in order of arrival, at most `n_max` of them."""

    def __init__(self, n_max: int):
        self.n_max = n_max
        self.x: list[Tensor] = []  # each [D]
        self.sizes: list[int] = []  # how many rows each one stands for
        self.times: list[tuple[float, float]] = []  # start and end in seconds, NaN where unknown
        self.logits: list[float] = []  # log of the summed exp(pooling score) of the rows that each one stands for
        self.cosines: list[float] = []  # of each row and the next

    def push(self, x: Tensor, score: float, times: tuple[float, float] = UNTIMED):
        """Adds x, [D], with its pooling score, and merges two neighbours if there are now too many."""
        if self.x:
            self.cosines.append(cosine(self.x[-1], x))
        self.x.append(x)
        self.sizes.append(1)
        self.times.append(times)
        self.logits.append(score)
        if len(self.x) > self.n_max:
            self.merge_most_similar()

    def merge_most_similar(self):
        i = self.cosines.index(max(self.cosines))  # of equal ones the earlier
        x, size, times, logit = (values.pop(i + 1) for values in (self.x, self.sizes, self.times, self.logits))
        share = size / (self.sizes[i] + size)
        self.x[i] = (self.x[i].double() * (1 - share) + x.double() * share).to(x.dtype)
        self.sizes[i] += size
        self.times[i] = spanning(self.times[i], times)
        self.logits[i] = float(np.logaddexp(self.logits[i], logit))
        del self.cosines[i]
        for j in range(max(i - 1, 0), min(i + 1, len(self.cosines))):
            self.cosines[j] = cosine(self.x[j], self.x[j + 1])


def cosine(a: Tensor, b: Tensor) -> float:
    """Of two rows, [D], in float64; 0 where one of them is zero."""
    a, b = a.double(), b.double()
    norms = ((a @ a) * (b @ b)).sqrt().item()
    return (a @ b).item() / norms if norms > 0 else 0.0


def spanning(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """From the start of the first to the end of the second, whichever order they come in; unknown if one is."""
    return UNTIMED if math.isnan(a[0] + b[0]) else (min(a[0], b[0]), max(a[1], b[1]))


@dataclass
class Kept:
    """What cross-attention sees of one modality of a batch of documents."""

    x: Tensor  # [B, N, D]
    mask: Tensor  # [B, N] 1 at real rows
    log_size: Tensor  # [B, N] log of how many rows each one stands for


def kept(x: Tensor, score: Tensor, mask: Tensor, n_max: float) -> Kept:
    """Of each document at most `n_max` rows. [B, S, D], [B, S], [B, S] -> N is S where nothing can merge"""
    if x.shape[1] <= n_max:
        return Kept(x, mask, torch.zeros_like(mask))
    rows, sizes = zip(*(merged(d[m > 0], s[m > 0], n_max) for d, s, m in zip(x, score, mask)))
    sizes = pad_sequence(sizes, batch_first=True).to(x.device)  # [B, N], 0 where there is no row
    log_size = sizes.clamp(min=1).double().log().to(mask)
    return Kept(pad_sequence(rows, batch_first=True), (sizes > 0).to(mask), log_size)


def merged(x: Tensor, score: Tensor, n_max: int) -> tuple[Tensor, Tensor]:
    """All rows of one document, one after the other. [S, D], [S] -> [N, D], sizes [N]"""
    if len(x) <= n_max:
        return x, torch.ones(len(x), dtype=torch.int64)
    store = RowStore(n_max)
    for row, s in zip(x, score.tolist()):
        store.push(row, s)
    return torch.stack(store.x), torch.tensor(store.sizes)
