"""What training and cross-validation ask of a set of recordings, be it built in or a user's list."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import Fold
from hilbert import AlignmentHead, HilbertConfig, SpeechEncoder, TextEncoder
from rows import Document
from targets import Target
from train_fusion import Schedule


@dataclass
class Truth:
    """What is known of one task, recording by recording."""

    classes: np.ndarray  # as `Target.classes`: [N] or [N, L]
    scores: np.ndarray | None = None  # of an ordinal task [N], NaN where unknown

    def known(self) -> np.ndarray:
        """[N] whether a recording has a label"""
        return self.classes.reshape(len(self.classes), -1)[:, 0] >= 0


class Collection(ABC):
    """N recordings. Of a kind in `testing_kinds` each has one document, in their order."""

    name: str  # tells cached fits apart, beside schedule and kinds
    cache: Path
    seed: int
    device: str
    targets: list[Target]
    schedule: Schedule = Schedule()
    training_kinds: tuple[str, ...] = ("whole",)
    testing_kinds: tuple[str, ...] = ("whole",)

    encoders_by_fold: bool = False  # whether a fold's rows are those of encoders of its own

    @abstractmethod
    def documents(self, left_out: Fold | None = None) -> dict[str, list[Document]]:
        """By kind; rows are computed once, with a fold left out by encoders that never met it.

        What neither trains nor tests then may be left out.
        """

    @abstractmethod
    def having(self) -> dict[str, np.ndarray]:
        """Which recordings have each set of modalities. {modalities: [N]}"""

    @abstractmethod
    def truth(self) -> dict[str, Truth]:
        """By task."""

    @abstractmethod
    def folds(self, cut: int) -> np.ndarray:
        """The fold of each recording [N]; none of a group stands in two."""

    @abstractmethod
    def config(self) -> HilbertConfig: ...

    @abstractmethod
    def encoders(self) -> tuple[SpeechEncoder, TextEncoder, list[str]]:
        """That gave the rows, in float32, and the vocabulary."""

    def alignment(self) -> tuple[AlignmentHead, dict] | None:
        """The character head on the speech encoder's frames, and the checkpoint's `alignment`; None: no `integrity`."""
        return None

    @abstractmethod
    def facts(self) -> dict:
        """Of the checkpoint: name, licence, credits, the data's hash, and constants that are not the defaults."""
