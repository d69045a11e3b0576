"""Transcripts that belong to their recording, belong in part, or do not: cues are swapped for those of strict donors.

A donor is another speaker's cue of the same age group and the same first digit of the recruitment group, within
`WORDS` words of the same length, sharing at most half of its words: otherwise length and prompts give the answer away
(the data's README, "Traps").
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from characters import spelled
from data import Session
from word_pieces import Cue

LABELS = ["intact", "partly_swapped", "all_swapped"]
SHARE = 1 / 3  # of the cues of a partly swapped transcript
WORDS = 5
SHARED = 0.5
ADULT = 16  # years; the data's two age groups


@dataclass
class Transcript:
    session: int  # index in `data.sessions`
    cues: list[Cue]
    swapped: list[bool]
    label: int  # of LABELS


def like(a: Session, b: Session) -> bool:
    """Whether two speakers are alike enough to lend each other cues."""
    return a.speaker != b.speaker and (a.age < ADULT) == (b.age < ADULT) and a.group[0] == b.group[0]


@cache
def words(text: str) -> tuple[int, frozenset[str]]:
    """How many a text has as it is written, and the different ones as they are spoken."""
    return len(text.split()), frozenset(spelled(text).split())


def may_stand_for(text: str, other: str) -> bool:
    """Whether a donor's text is of the length of `text` and says something else."""
    (mine, ours), (theirs, others) = words(text), words(other)
    return abs(mine - theirs) <= WORDS and len(ours & others) <= SHARED * len(ours)


def donors(every: list[Session], cues: list[list[Cue]]) -> list[list[list[str]]]:
    """Of each session and cue the texts that could stand in for it; `cues` are every session's."""
    result = []
    for session, own in zip(every, cues):
        texts = [cue.text for other, theirs in zip(every, cues) if like(session, other) for cue in theirs]
        result.append([[text for text in texts if may_stand_for(cue.text, text)] for cue in own])
    return result


def transcripts(cues: list[list[Cue]], donors: list[list[list[str]]], seed: int) -> list[Transcript]:
    """Of each session one of each label, as far as its cues have donors; a partly swapped one needs two cues."""
    rng, result = np.random.default_rng(seed), []
    for session, (own, found) in enumerate(zip(cues, donors)):
        with_donors = [i for i, texts in enumerate(found) if texts]
        wanted = {0: 0, 1: max(1, round(SHARE * len(own))) if len(own) > 1 else 0, 2: len(own)}
        for label, count in wanted.items():
            if not own or len(with_donors) < count or (label and not count):
                continue
            chosen = set(rng.choice(with_donors, count, replace=False).tolist()) if count else set()
            swapped = [i in chosen for i in range(len(own))]
            mixed = [
                replace(cue, text=found[i][rng.integers(len(found[i]))]) if swapped[i] else cue
                for i, cue in enumerate(own)
            ]
            result.append(Transcript(session, mixed, swapped, label))
    return result
