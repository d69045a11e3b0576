"""The frozen encoders by name: from samples and cues to rows. Any speech encoder may stand with any text encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from checkpoint import with_int8_weights
from data import Fold
from distill_speech import STUDENT_MEL
from document import audio_rows, text_rows
from ge2e import ge2e, speaker_rows
from segment import SegmentConfig
from students import speech_student, text_student, unscored_speech_student
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import Cue, TokenRow

SpeechRows = Callable[[np.ndarray], tuple[Tensor, list]]  # samples -> rows [S, R], spans in samples
TextRows = Callable[[list[Cue]], tuple[Tensor, list[TokenRow]]]  # cues -> rows [S, R], what each row holds


@dataclass(frozen=True)
class Backbones:
    speech: str = "student"
    text: str = "student"

    def __str__(self) -> str:
        return f"{self.speech}+{self.text}"

    @property
    def hears_sessions(self) -> bool:
        """Whether the speech encoder is distilled on scored sessions, so that a fold needs one of its own."""
        return self.speech == "student"


def speech_backbone(
    name: str, data: Path, cache: Path, seed: int, device: str, left_out: Fold | None = None
) -> SpeechRows:
    """`student` or `student-unscored`, with int8 weights as shipped, `whisper-tiny.en` or `ge2e`.

    Whisper's kin attend to real frames alone. `left_out`: what the student must not have heard.
    """
    if name == "ge2e":
        return partial(speaker_rows, ge2e())
    if name == "student":
        encoder = with_int8_weights(speech_student(data, cache, seed, device, left_out))
    elif name == "student-unscored":
        encoder = with_int8_weights(unscored_speech_student(data, cache, seed, device))
    elif name == "whisper-tiny.en":
        encoder = whisper_tiny()
    else:
        raise ValueError(f"speech backbone {name!r}, expected student, student-unscored, whisper-tiny.en or ge2e")
    encoder = encoder.to(device)
    return lambda samples: audio_rows(encoder, samples, SegmentConfig(), STUDENT_MEL)


def text_backbone(name: str, data: Path, cache: Path, seed: int, device: str) -> TextRows:
    """`student`, with the int8 weights that are shipped, `minilm-l6`, or `minilm-l3`: its first three layers."""
    if name == "student":
        encoder, vocabulary = text_student(data, cache, seed, device)
        encoder = with_int8_weights(encoder)
    elif name in ("minilm-l6", "minilm-l3"):
        encoder, vocabulary = minilm(), minilm_vocabulary()
        encoder.layers = encoder.layers[: int(name[-1])]
    else:
        raise ValueError(f"text backbone {name!r}, expected student, minilm-l6 or minilm-l3")
    encoder = encoder.to(device)
    return lambda cues: text_rows(encoder, cues, vocabulary)
