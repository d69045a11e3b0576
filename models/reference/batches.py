"""Which examples stand in a batch: those of like length, by the seed and the batch's number alone."""

import numpy as np


def a_pass(count: int, size: int) -> int:
    """How many batches of at most `size` hold all of `count` examples once."""
    return -(-count // size)


def of_like_length(lengths: np.ndarray, size: int, spread: float, seed: int, step: int) -> np.ndarray:
    """The examples of batch `step`. Lengths are compared up to `spread`, drawn anew for each pass."""
    groups_in_pass = a_pass(len(lengths), size)
    epoch, place = divmod(step, groups_in_pass)
    rng = np.random.default_rng([seed, epoch])
    groups = np.array_split(np.argsort(lengths + rng.uniform(0, spread, len(lengths))), groups_in_pass)
    return groups[rng.permutation(groups_in_pass)[place]]
