"""How often conformal sets hold the true label and how many labels they have, by repeated group cross-validation.

A fold's calibration and thresholds are fitted on the other folds' held-out outputs for whole recordings, as the shipped
ones are, whatever the kind of document tested: what is measured on noise or telephone speech is what the sets of a
quiet room are worth there. As wherever one calibrates across folds, the models that gave those outputs learnt from the
fold that is tested; only its own outputs come from one that never met it.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

import conformal
from calibration import MODALITIES, probabilities
from collection import Collection
from cross_validation import cross_validated, cut_folds
from fit_calibration import fit
from hilbert import TaskConfig
from metrics import over_repeats
from variants import WHOLE


def set_coverage(collection: Collection, cuts: Sequence[int]) -> dict:
    """-> {kind: {modalities: {task: what `judged_sets` says}}}"""
    truth, fold_of = collection.truth(), cut_folds(collection, cuts)
    outputs = cross_validated(collection, WHOLE, cuts)
    report = {kind: {m: {} for m in MODALITIES} for kind in outputs}
    for task in (t.task for t in collection.targets if conformal.has_sets(t.task)):
        y = truth[task.name].classes
        for modality in MODALITIES:
            by_kind = {kind: of_kind[modality][task.name] for kind, of_kind in outputs.items()}
            for kind, held in cross_fitted_sets(task, by_kind, y, fold_of).items():
                report[kind][modality][task.name] = judged_sets(task, y, held)
    return report


def cross_fitted_sets(task: TaskConfig, outputs: dict[str, Tensor], truth: np.ndarray, fold_of: np.ndarray) -> dict:
    """{kind: [cuts, N, C]}, [N], [cuts, N] -> {kind: labels held [cuts, N, coverages, labels]}"""
    size = (*fold_of.shape, len(conformal.COVERAGES), len(task.labels))
    held = {kind: np.zeros(size, bool) for kind in outputs}
    for cut, folds in enumerate(fold_of):
        for fold in np.unique(folds):
            inside = folds == fold
            seen, y = outputs["whole"][cut, ~inside], truth[~inside]
            calibration, fitted = fit(task, seen, y), conformal.fit(task, seen, y, folds[~inside])
            for kind, output in outputs.items():
                p = probabilities(task, output[cut, inside].double(), calibration).numpy()
                held[kind][cut, inside] = conformal.sets(task, p, fitted)
    return held


def judged_sets(task: TaskConfig, truth: np.ndarray, held: np.ndarray) -> list[dict]:
    """[N], [cuts, N, coverages, labels] -> of each coverage: documents covered, also by label, and labels a set"""
    result = []
    for coverage, of_coverage in zip(conformal.COVERAGES, np.moveaxis(held, 2, 0)):
        by_label = {task.labels[c]: of_coverage[:, truth == c, c].mean() for c in np.unique(truth)}
        result.append(
            {
                "coverage": coverage,
                "covered": over_repeats(covered, truth, of_coverage),
                "covered_by_label": {label: round(float(share), 3) for label, share in by_label.items()},
                "labels": over_repeats(labels_held, truth, of_coverage),
            }
        )
    return result


def covered(truth: np.ndarray, held: np.ndarray) -> float:
    """The share of documents whose set holds the true label. [N], [N, labels]"""
    return float(held[np.arange(len(truth)), truth].mean())


def labels_held(_: np.ndarray, held: np.ndarray) -> float:
    """Labels of a set, on average. [N, labels]"""
    return float(held.sum(1).mean())
