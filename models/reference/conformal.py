"""Split-conformal sets: labels of which a document's true one is, with a stated probability, the coverage.

A label's nonconformity is the probability of the labels that enter a set before it: the likeliest label enters first,
then the next likeliest, in an ordinal task the likelier neighbour of those that are in, so that a set is a range. This
is the adaptive score of Romano et al. 2020 (arXiv 2006.02544) and its ordinal form (Lu et al. 2022, arXiv 2207.02238),
not randomised and without the label's own probability: the likeliest label has 0 and is in every set. With two labels
the other one has 1 - P(it). A set holds the labels up to a threshold: the ceil((n + 1) coverage)-th smallest
nonconformity of the true labels of n held-out documents (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv
2107.07511).

One split would leave too few of 104 documents on either side, so all of them serve twice: each is scored by the fusion
and by the calibration of the folds that it is not in, and the scores are pooled (Vovk 2015, cross-conformal). What
ships is fitted on all. No bound as sharp as that of one split is proven for this (CV+ of Barber et al. 2021, its
nearest kin, may miss about twice as often as stated); `evaluate.py` measures what sets cover. Coverage is over
documents like those, all labels together: a rare label may be held less often, a common one more.

Multi-label tasks have no sets: their documents have any number of true labels, and to hold all of them or to miss few
are promises of another kind.
"""

import math

import numpy as np
from torch import Tensor

from fit_calibration import held_out_probabilities
from hilbert import TaskConfig

COVERAGES = (0.8, 0.9)


def has_sets(task: TaskConfig) -> bool:
    return task.kind != "multi_label"


def fit(task: TaskConfig, outputs: Tensor, labels: np.ndarray, fold_of: np.ndarray) -> dict:
    """Held-out outputs [N, C], labels [N] and folds [N] -> how many documents, and the threshold of each coverage"""
    p = held_out_probabilities(task, outputs, labels, fold_of)
    scores = nonconformity(task, p)[np.arange(len(labels)), labels]  # [N]
    return {
        "documents": len(labels),
        "sets": [{"coverage": coverage, "threshold": threshold(scores, coverage)} for coverage in COVERAGES],
    }


def sets(task: TaskConfig, probabilities: np.ndarray, fitted: dict) -> np.ndarray:
    """Which labels are in the set of each coverage. [N, labels] -> [N, coverages, labels]"""
    thresholds = np.array([one["threshold"] for one in fitted["sets"]])
    return nonconformity(task, probabilities)[:, None] <= thresholds[:, None]


def nonconformity(task: TaskConfig, probabilities: np.ndarray) -> np.ndarray:
    """The probability of the labels that enter before each. [N, labels] -> [N, labels], from 0 to 1"""
    result = np.zeros(probabilities.shape)
    for row, p in zip(result, probabilities):
        order = entering(task, p)
        row[order[1:]] = p[order].cumsum()[:-1].clip(max=1)
    return result


def entering(task: TaskConfig, p: np.ndarray) -> list[int]:
    """Labels in the order in which they enter a set, of equals the first. [labels]"""
    if task.kind != "ordinal":
        return np.argsort(-p, kind="stable").tolist()
    low = high = int(p.argmax())
    order = [low]
    while len(order) < len(p):
        if high + 1 == len(p) or (low > 0 and p[low - 1] >= p[high + 1]):
            low -= 1
            order.append(low)
        else:
            high += 1
            order.append(high)
    return order


def threshold(scores: np.ndarray, coverage: float) -> float:
    """[n] -> rounded up to four decimals; 1, which lets every label in, where n is too small for the coverage"""
    rank = math.ceil(round((len(scores) + 1) * coverage, 9))
    if rank > len(scores):
        return 1.0
    return math.ceil(np.sort(scores)[rank - 1] * 1e4) / 1e4
