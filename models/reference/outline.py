"""What the fusion's documents are made of, before an encoder meets them: utterances, gaps, cues, conditions."""

from dataclasses import dataclass, replace

import numpy as np

from augment import by_telephone, with_noise
from data import RATE, Session, join, places
from word_pieces import Cue

CROPS = 2  # of each session, beside the whole
CUE_S = (2.0, 6.0)  # length of the cues that a transcriber would make
CONDITIONS = {"whole": {}, "noise_10_db": {"noise_db": 10.0}, "telephone": {"telephone": True}}  # of whole sessions
SPOILED_DB = (5.0, 30.0)  # signal-to-noise ratio of what trains


@dataclass
class Outline:
    session: int  # index in `data.sessions`
    utterances: range
    cues: list[Cue]
    gap_db: float | None = None  # level of the noise in the gaps; None: exact silence
    gain_db: float = 0.0
    noise_db: float | None = None  # signal-to-noise ratio of white noise over everything; None: no noise
    telephone: bool = False  # nothing above 4 kHz

    def audio(self, session: Session, utterances: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """-> samples, where each utterance lies in them. The noise depends on the outline alone."""
        rng = np.random.default_rng([self.session, self.utterances.start, self.utterances.stop])
        chosen = [utterances[i] for i in self.utterances]
        samples, spans = join(chosen, session.gap_s, self.gap_db, rng)
        if self.noise_db is not None:
            samples = with_noise(samples, self.noise_db, False, rng)
        if self.telephone:
            samples = by_telephone(samples)
        samples = samples * 10 ** (self.gain_db / 20)
        return np.clip(samples, -1, 1).astype(np.float32), spans


def session_cues(session: Session) -> list[Cue]:
    return [Cue(c["text"], c["start_s"], c["end_s"]) for c in session.transcript]


def recut(cues: list[Cue], rng) -> list[Cue]:
    """Cues of `CUE_S` seconds, the words of each long cue spread evenly over its time."""
    result = []
    for cue in cues:
        words = cue.text.split()
        if not words:
            continue
        step = (cue.end_s - cue.start_s) / len(words)
        at = 0
        while at < len(words):
            count = max(1, round(rng.uniform(*CUE_S) / max(step, 1e-3)))
            start = cue.start_s + at * step
            piece = words[at : at + count]
            result.append(Cue(" ".join(piece), start, start + len(piece) * step))
            at += count
    return result


def crop(cues: list[Cue], start_s: float, end_s: float) -> list[Cue]:
    """The cues whose middle lies in the crop, in its time."""
    inside = [c for c in cues if start_s <= (c.start_s + c.end_s) / 2 < end_s]
    return [Cue(c.text, max(c.start_s - start_s, 0.0), c.end_s - start_s) for c in inside]


def whole(every: list[Session], condition: str) -> list[Outline]:
    """Each session as the data's README defines it, in one of `CONDITIONS`."""
    return [Outline(i, range(len(s.utterances)), session_cues(s), **CONDITIONS[condition]) for i, s in enumerate(every)]


def noisy(every: list[Session]) -> list[Outline]:
    """Gaps of noise at -50 dBFS and cues of 2 to 6 s, as a transcriber would leave them."""
    rng = np.random.default_rng(1)
    return [
        Outline(i, range(len(s.utterances)), recut(session_cues(s), rng), gap_db=-50.0) for i, s in enumerate(every)
    ]


def cropped(every: list[Session], seed: int) -> list[Outline]:
    """Runs of 8 to 20 utterances, at another level, with silent or noisy gaps, the cues as they are or re-cut."""
    rng = np.random.default_rng(seed)
    result = []
    for index, session in enumerate(every):
        spans = places([u["samples"] for u in session.utterances], session.gap_s)
        for _ in range(CROPS):
            cues = session_cues(session)
            cues = recut(cues, rng) if rng.random() < 0.5 else cues
            count = int(rng.integers(8, len(spans) + 1))
            first = int(rng.integers(0, len(spans) - count + 1))
            gap_db = None if rng.random() < 0.5 else rng.uniform(-60, -40)
            end_s = spans[first + count - 1][1] / RATE + session.gap_s
            inside = crop(cues, spans[first][0] / RATE, end_s)
            chosen = range(first, first + count)
            result.append(Outline(index, chosen, inside, gap_db, rng.uniform(-9, 3)))
    return result


def spoiled(every: list[Session], seed: int) -> list[Outline]:
    """One more run of utterances of each session, through noise or by telephone."""
    rng = np.random.default_rng([seed, 1])
    return [
        replace(one, noise_db=rng.uniform(*SPOILED_DB)) if rng.random() < 0.5 else replace(one, telephone=True)
        for one in cropped(every, seed + 1)[::CROPS]
    ]


TRAINING_KINDS = ("whole", "noisy", "cropped", "spoiled")
TESTING_KINDS = ("noisy", *CONDITIONS)


def outlines(every: list[Session], seed: int) -> dict[str, list[Outline]]:
    """By kind. `whole` and `noisy` train and test, `cropped` and `spoiled` train, the other conditions test."""
    return {
        "noisy": noisy(every),
        "cropped": cropped(every, seed),
        "spoiled": spoiled(every, seed),
        **{c: whole(every, c) for c in CONDITIONS},
    }
