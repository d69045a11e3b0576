"""Fits cuts and slope, or a temperature, by maximum likelihood on predictions of held-out documents."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from calibration import probabilities
from hilbert import TaskConfig

SMALLEST_GAP = 1e-3  # between cuts


def fit(task: TaskConfig, outputs: Tensor, labels: np.ndarray) -> dict:
    """[N, C], classes [N], or 0 and 1 [N, L] -> calibration

    A weak prior keeps the slope finite where the classes separate.
    """
    target = torch.from_numpy(labels).long()
    ordinal = task.kind == "ordinal"
    if ordinal:
        share = np.cumsum(np.bincount(labels, minlength=len(task.labels)) / len(labels))[:-1]
        first = torch.quantile(outputs[:, 0].double(), torch.from_numpy(share))
        parameters = torch.cat([apart(first), torch.zeros(1, dtype=torch.float64)]).requires_grad_()
    else:
        parameters = torch.zeros(1, dtype=torch.float64, requires_grad=True)

    def calibration():
        if ordinal:
            return {"cuts": parameters[:-1].sort().values, "slope": parameters[-1].exp() * 3}
        return {"temperature": parameters[0].exp()}

    def likelihood(p: Tensor) -> Tensor:
        if task.kind == "multi_label":
            return -functional.binary_cross_entropy(p.clamp(1e-9, 1 - 1e-9), target.double())
        return p.clamp(min=1e-9).log()[torch.arange(len(target)), target].mean()

    optimiser = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        p = probabilities(task, outputs.double(), calibration())
        loss = -likelihood(p) + 0.01 * parameters[-1] ** 2
        loss.backward()
        return loss

    optimiser.step(closure)
    found = {k: v.detach() for k, v in calibration().items()}
    if ordinal:
        found["cuts"] = apart(found["cuts"])
    return {k: np.round(v.numpy(), 4).tolist() for k, v in found.items()}


def apart(cuts: Tensor) -> Tensor:
    """Ascending cuts, each at least the smallest gap above the one before: a class that hardly occurs has one too."""
    cuts = cuts.clone()
    for i in range(1, len(cuts)):
        cuts[i] = torch.maximum(cuts[i], cuts[i - 1] + SMALLEST_GAP)
    return cuts


def held_out_probabilities(
    task: TaskConfig, outputs: Tensor, labels: np.ndarray, fold_of: np.ndarray, tested: Tensor | None = None
) -> np.ndarray:
    """Outputs [N, C], labels [N] and folds [N] -> probabilities [N, labels], each fold calibrated on the others

    `tested`: what the model says of the same documents under other conditions [N, C], to be calibrated instead.
    """
    tested = outputs if tested is None else tested
    found = np.zeros((len(outputs), len(task.labels)))
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        calibration = fit(task, outputs[~inside], labels[~inside])
        found[inside] = probabilities(task, tested[inside].double(), calibration).numpy()
    return found
