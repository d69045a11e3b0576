"""How well a cue's text fits the audio under it: CTC scores of a character head on the speech encoder's frames."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from characters import ALPHABET, BLANK, CLASSES, readings
from data import RATE
from hilbert import AlignmentHead, SpeechConfig

MARGIN_S = 0.3  # of audio before and after a cue that may hold its first and last sounds
WORST_FIT = -20.0  # a character; fits are cut off here
SEGMENTS = 16  # that the head hears at a time
NAMES = ("fit", "characters", "ratio", "mismatch")


@dataclass
class Posteriors:
    """Of one recording: every segment's frames in order."""

    middle_s: np.ndarray  # [F] of each frame
    log: Tensor  # [F, C]

    def between(self, start_s: float, end_s: float) -> Tensor:
        inside = (self.middle_s >= start_s - MARGIN_S) & (self.middle_s <= end_s + MARGIN_S)
        return self.log[torch.from_numpy(inside)]


def posteriors(
    head: AlignmentHead, frames: list[Tensor], starts: list[int], config: SpeechConfig, hop: int
) -> Posteriors:
    """Of every segment its real frames [F, D] and where it starts, in samples.

    The head hears each segment by itself, zeros beyond its end, as the device runs it.
    """
    longest, log = config.frames // config.reduction, []
    with torch.inference_mode():
        for first in range(0, len(frames), SEGMENTS):
            some = [x.float() for x in frames[first : first + SEGMENTS]]
            padded = torch.stack([functional.pad(x, (0, 0, 0, longest - len(x))) for x in some])  # [B, longest, D]
            log += [found[: len(x)] for found, x in zip(head(padded), some)]  # [F, C]
    step = config.reduction * hop
    middles = [(start + (np.arange(len(x)) + 0.5) * step) / RATE for start, x in zip(starts, log)]
    return Posteriors(np.concatenate([np.zeros(0), *middles]), torch.cat([torch.zeros(0, CLASSES), *log]))


def log_likelihood(log: Tensor, text: list[int]) -> float:
    """log P(text | frames) over all CTC paths. [F, C]; minus infinity if the frames are too few for the text."""
    if not len(log):
        return -np.inf if text else 0.0
    frames, characters = torch.tensor([len(log)]), torch.tensor([len(text)])
    return -functional.ctc_loss(log[:, None], torch.tensor([text]), frames, characters, BLANK, "sum").item()


def heard(log: Tensor) -> list[int]:
    """The best path's characters: repeats merged, blanks dropped."""
    best = log.argmax(1)
    kept = torch.ones(len(best), dtype=torch.bool)
    kept[1:] = best[1:] != best[:-1]
    return best[kept & (best != BLANK)].tolist()


def features(log: Tensor, text: str) -> np.ndarray | None:
    """`NAMES` for one cue and the frames under it, [F, C]; None where nothing in the text can be spoken.

    fit: log P(text) of its best reading minus log P of the best path, per character; characters: log of their number;
    ratio: log of the number over that of the characters heard, and mismatch its absolute value.
    """
    spoken = readings(text)
    if not spoken:
        return None
    best_path = log.max(1).values.sum().item() if len(log) else 0.0
    fits = [(log_likelihood(log, one) - best_path) / len(one) for one in spoken]
    chosen = int(np.argmax(fits))
    ratio = np.log((len(spoken[chosen]) + 1) / (len(heard(log)) + 1))
    return np.array([max(fits[chosen], WORST_FIT), np.log(len(spoken[chosen])), ratio, abs(ratio)])


def settings() -> dict:
    """What a checkpoint says of the features, beside the head's width."""
    return {"alphabet": ALPHABET, "margin_s": MARGIN_S, "worst_fit": WORST_FIT, "features": list(NAMES)}
