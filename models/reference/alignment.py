"""How well a cue's text fits the audio around it: CTC paths of a character head on the speech encoder's frames."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from characters import ALPHABET, BLANK, CLASSES, readings
from data import RATE
from hilbert import AlignmentHead, SpeechConfig
from word_pieces import Cue

MARGIN_S = 2.5  # of audio before and after a cue that may hold its words: transcripts err about times
WORST_FIT = -20.0  # a character; fits are cut off here
SEGMENTS = 16  # that the head hears at a time


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
            log += [found[: len(x)] for found, x in zip(head(padded).cpu(), some)]  # [F, C]
    step = config.reduction * hop
    middles = [(start + (np.arange(len(x)) + 0.5) * step) / RATE for start, x in zip(starts, log)]
    return Posteriors(np.concatenate([np.zeros(0), *middles]), torch.cat([torch.zeros(0, CLASSES), *log]))


def fits(windows: list[np.ndarray], texts: list[list[int]]) -> np.ndarray:
    """How well each text, one character at least, fits its window [F, C], wherever in it it is said. -> [Q]

    Of the CTC path (Graves et al. 2006) that reads the text and fits best, the log-probability a character; of each
    frame that of the most probable class is taken away, so that 0 is the best there is. What is said before and
    after the text costs nothing: the first and the last blank fit whatever is heard. Minus infinity if the frames
    are too few.
    """
    counts, frames = np.array([len(t) for t in texts]), np.array([len(w) for w in windows])
    queries, states = np.arange(len(texts)), 2 * counts.max() + 1  # blanks around the characters
    anything = windows[0].shape[1]  # one class more: whatever is heard
    relative = np.zeros((frames.max(), len(texts), anything + 1))  # [F, Q, C + 1]
    of_state = np.full((len(texts), states), BLANK)  # [Q, S]
    leap = np.full((len(texts), states), -np.inf)  # [Q, S] 0 where the blank before a character may be left out
    for q, (window, text) in enumerate(zip(windows, map(np.array, texts))):
        window = window.astype(np.float64)
        relative[: len(window), q, :anything] = window - window.max(1, keepdims=True)
        of_state[q, 1 : 2 * len(text) : 2] = text
        of_state[q, [0, 2 * len(text)]] = anything
        leap[q, 3 : 2 * len(text) : 2][text[1:] != text[:-1]] = 0
    best = np.full((len(texts), states), -np.inf)
    best[:, 0] = 0
    for f, now in enumerate(relative):
        came = best.copy()
        np.maximum(came[:, 1:], best[:, :-1], out=came[:, 1:])
        np.maximum(came[:, 2:], best[:, :-2] + leap[:, 2:], out=came[:, 2:])
        heard = frames > f
        best[heard] = (came + np.take_along_axis(now, of_state, 1))[heard]
    return np.maximum(best[queries, 2 * counts], best[queries, 2 * counts - 1]) / counts


def cue_fits(posteriors: Posteriors, cues: list[Cue]) -> np.ndarray:
    """Of each cue the fit of its better reading, not under `WORST_FIT`; NaN if untimed or nothing can be spoken. [Q]"""
    timed = [(q, cue) for q, cue in enumerate(cues) if cue.start_s is not None]
    said = [(q, cue, reading) for q, cue in timed for reading in readings(cue.text)]
    result = np.full(len(cues), np.nan)
    if said:
        windows = [posteriors.between(cue.start_s, cue.end_s).numpy() for _, cue, _ in said]
        found = fits(windows, [reading for _, _, reading in said])
        np.fmax.at(result, [q for q, _, _ in said], np.maximum(found, WORST_FIT))
    return result


def settings() -> dict:
    """What a checkpoint says of the fits, beside the head's width."""
    return {"alphabet": ALPHABET, "margin_s": MARGIN_S, "worst_fit": WORST_FIT}
