"""What predictions are judged by, and how sure one can be of it. N documents, C classes."""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

DRAWS = 1000
BINS = 10  # of the expected calibration error


def f1(truth: np.ndarray, decided: np.ndarray, c: int) -> float:
    """[N], [N] -> of class c, which must occur"""
    return float(2 * ((truth == c) & (decided == c)).sum() / ((truth == c).sum() + (decided == c).sum()))


def macro_f1(truth: np.ndarray, decided: np.ndarray) -> float:
    """[N], [N] -> the mean over the classes that occur; 0 for one that is never decided rightly"""
    return float(np.mean([f1(truth, decided, c) for c in np.unique(truth)]))


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive scores higher than a negative, ties by half. [N], [N]"""
    rank, n = rankdata(score), positive.sum()
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def macro_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """[N], [N, C] -> mean over classes of one against the rest; a class that is absent or alone is skipped

    NaN if all are.
    """
    return label_auc(truth[:, None] == np.arange(probabilities.shape[1]), probabilities)


def label_auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """[N, L] of 0 and 1, [N, L] -> mean over labels; one that all or none have is skipped; NaN if all are"""
    present = [c for c in range(truth.shape[1]) if 0 < truth[:, c].sum() < len(truth)]
    return float(np.mean([auc(truth[:, c] > 0, probabilities[:, c]) for c in present])) if present else float("nan")


def label_f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """[N, L] of 0 and 1, [N, L] -> mean over the labels that occur of the F1 of what is likelier than not"""
    decided, present = probabilities > 0.5, np.flatnonzero(truth.sum(0))
    each = [2 * (truth[:, c] & decided[:, c]).sum() / (truth[:, c].sum() + decided[:, c].sum()) for c in present]
    return float(np.mean(each)) if each else float("nan")


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error of the decided class over ten bins of equal width (Guo et al. 2017). [N], [N, C]"""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def label_calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean over labels of the error of having it or not. [N, L] of 0 and 1, [N, L]"""
    both = np.stack([1 - probabilities, probabilities], 2)  # [N, L, 2]
    return float(np.mean([calibration_error(truth[:, c], both[:, c]) for c in range(truth.shape[1])]))


def correlation(truth: np.ndarray, score: np.ndarray) -> float:
    return float(np.corrcoef(truth, score)[0, 1])


def bootstrap(statistic: Callable[..., float], *arrays: np.ndarray) -> np.ndarray:
    """`statistic` over documents drawn with replacement, the first dimension of every array. -> [DRAWS]"""
    rng, n = np.random.default_rng(0), len(arrays[0])
    return np.array([statistic(*(a[chosen] for a in arrays)) for chosen in rng.integers(0, n, (DRAWS, n))])


def middle_of(values: np.ndarray) -> list[float]:
    """Between which 95 % of the values lie that are numbers."""
    return np.round(np.nanpercentile(values, [2.5, 97.5]), 3).tolist()


def interval(statistic: Callable[..., float], *arrays: np.ndarray) -> list[float]:
    """95 % bootstrap interval over the documents."""
    return middle_of(bootstrap(statistic, *arrays))


def over_repeats(statistic: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, found: np.ndarray) -> dict:
    """`statistic` of each repeat of found [repeats, N, ...]: mean, each, and the mean's interval over documents."""
    each = [statistic(truth, f) for f in found]

    def mean(t, f):
        return float(np.mean([statistic(t, f[:, r]) for r in range(f.shape[1])]))

    return {
        "mean": round(float(np.mean(each)), 3),
        "repeats": np.round(each, 3).tolist(),
        "interval": interval(mean, truth, np.moveaxis(found, 1, 0)),
    }


def paired_difference(
    statistic: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, first: np.ndarray, second: np.ndarray
) -> dict:
    """Mean over repeats of `statistic` of the first minus that of the second, both drawn alike in the bootstrap.

    `p` is the share of draws, doubled, on the other side of zero.
    """

    def difference(t, a, b):
        return float(np.mean([statistic(t, a[:, r]) - statistic(t, b[:, r]) for r in range(a.shape[1])]))

    a, b = np.moveaxis(first, 1, 0), np.moveaxis(second, 1, 0)
    values = bootstrap(difference, truth, a, b)
    return {
        "mean": round(difference(truth, a, b), 3),
        "interval": middle_of(values),
        "p": round(float(min(1.0, 2 * min((values <= 0).mean(), (values >= 0).mean()))), 3),
    }
