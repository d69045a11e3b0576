"""The objectives that train the fusion. Confirmed by the abstract of arXiv 2604.16247: audio and text are each
contrasted with the joint vector, a CKA loss keeps structure, a third term balances the information of the two
modalities. The formulas are inferred; docs/method.md has the reasons.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def contrastive(a: Tensor, b: Tensor, temperature: float, same: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of cosine similarities, in-batch negatives. [B, D], [B, D] -> scalar

    `same` [B, B] marks pairs of one person, which are no negatives.
    """
    similarity = functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T / temperature  # [B, B]
    if same is not None:
        others = same & ~torch.eye(len(a), dtype=torch.bool, device=a.device)
        similarity = similarity.masked_fill(others, -torch.inf)
    target = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(similarity, target) + functional.cross_entropy(similarity.T, target)) / 2


def hsic(k: Tensor, l: Tensor) -> Tensor:
    """Unbiased HSIC_1 of two Gram matrices (Song et al. 2012; Nguyen et al. 2021, eq. 3). [B, B] twice, B >= 4"""
    n = len(k)
    if n < 4:
        raise ValueError(f"the unbiased estimator needs 4 documents, found {n}")
    off = 1 - torch.eye(n, dtype=k.dtype, device=k.device)
    k, l = k * off, l * off
    trace = (k * l.T).sum()
    sums = k.sum() * l.sum() / ((n - 1) * (n - 2))
    cross = (k.sum(0) * l.sum(1)).sum() * 2 / (n - 2)
    return (trace + sums - cross) / (n * (n - 3))


def biased_hsic(k: Tensor, l: Tensor) -> Tensor:
    """tr(K H L H) / (B - 1)^2, H the centring matrix (Kornblith et al. 2019, section 3)."""
    n = len(k)
    centring = torch.eye(n, dtype=k.dtype, device=k.device) - 1 / n
    return torch.trace(k @ centring @ l @ centring) / (n - 1) ** 2


def cka(x: Tensor, y: Tensor, biased: bool = False) -> Tensor:
    """Linear centred kernel alignment of two sets of vectors of any widths. [B, D1], [B, D2] -> scalar"""
    x, y = x.float(), y.float()
    k, l = x @ x.T, y @ y.T
    estimate = biased_hsic if biased else hsic
    scale = (estimate(k, k).clamp(min=0) * estimate(l, l).clamp(min=0)).sqrt()
    return estimate(k, l) / scale.clamp(min=1e-8)


def structure(audio: Tensor, text: Tensor, joint: Tensor, biased: bool = False) -> Tensor:
    """The mean over both modalities of 1 - CKA with the joint vectors."""
    return 1 - (cka(audio, joint, biased) + cka(text, joint, biased)) / 2


def balance(audio_joint: Tensor, text_joint: Tensor, batch: int) -> Tensor:
    """The squared gap between the InfoNCE bounds on the two modalities' information with the joint, over log B.

    Both losses must be taken at the balance's own temperature: at 0.07 the bound saturates and the gap vanishes.
    """
    return ((audio_joint - text_joint) / math.log(batch)) ** 2


def router(gates: Tensor, logits: Tensor) -> Tensor:
    """Keeps experts in use: negative entropy of the batch's mean gates, plus the mean squared logsumexp. [B, K, E]"""
    mean = gates.mean(0)  # [K, E]
    importance = (mean * mean.clamp(min=1e-8).log()).sum(1).mean()
    return importance + logits.logsumexp(2).square().mean()


def ordinal(score: Tensor, target: Tensor, deviation: Tensor | float = 1.0) -> Tensor:
    """Squared error of a score in units of `deviation`. [B], [B] -> scalar"""
    return (((score - target) / deviation) ** 2).mean()


def class_weights(counts: Tensor) -> Tensor:
    """The root of the inverse frequency, 1 for even classes; shares below a twentieth count as that. [C] -> [C]"""
    share = counts.double() / counts.sum()
    return (1 / len(counts) / share.clamp(min=0.05)).float().sqrt()


def adjusted(logits: Tensor, counts: Tensor) -> Tensor:
    """Logits plus the log of the classes' shares in the training documents. [B, C], [C] -> [B, C]

    Trained on these, the logits themselves are right for classes that were equally frequent (Menon et al. 2021, arXiv
    2007.07314, equation 10 with temperature 1). A class that does not occur counts as one document.
    """
    counts = counts.clamp(min=1).double()
    return logits + (counts / counts.sum()).log().to(logits)


def classification(logits: Tensor, target: Tensor, counts: Tensor, imbalance: str) -> Tensor:
    """Cross entropy. [B, C] and classes [B] -> scalar

    `counts` [C] of the training documents meet their imbalance by `weights`, by `adjustment` of the logits, or, `none`,
    not at all.
    """
    if imbalance == "adjustment":
        return functional.cross_entropy(adjusted(logits, counts), target)
    return functional.cross_entropy(logits, target, class_weights(counts) if imbalance == "weights" else None)


def multi_label(logits: Tensor, target: Tensor, counts: Tensor, imbalance: str) -> Tensor:
    """Binary cross entropy, the mean over labels. [B, L] and 0 or 1 [B, L] -> scalar

    `counts` [L, 2] are the training documents without and with each label. A label is a class against the logit 0.
    """
    pairs = torch.stack([torch.zeros_like(logits), logits], 2)  # [B, L, 2]
    each = [classification(pairs[:, i], target[:, i].long(), counts[i], imbalance) for i in range(len(counts))]
    return torch.stack(each).mean()
