"""The frozen encoders by name: their modules, what a checkpoint says of them, and from samples and cues to rows.

Any speech encoder may stand with any text encoder. Rows are those of the int8 weights that a bundle ships, a teacher's
too, so that what is measured on them is what ships. `ge2e`, which no bundle can hold, is as its authors trained it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from checkpoint import with_int8_weights
from data import Fold
from distill_speech import STUDENT as SPEECH_STUDENT
from distill_speech import STUDENT_MEL
from distill_text import STUDENT as TEXT_STUDENT
from document import audio_rows, text_rows
from ge2e import ge2e, speaker_rows
from hilbert import SpeechConfig, SpeechEncoder, TextConfig, TextEncoder
from segment import SegmentConfig
from students import speech_student, text_student, unscored_speech_student
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import Cue, TokenRow

SpeechRows = Callable[[np.ndarray], tuple[Tensor, list]]  # samples -> rows [S, R], spans in samples
TextRows = Callable[[list[Cue]], tuple[Tensor, list[TokenRow]]]  # cues -> rows [S, R], what each row holds

LIBRISPEECH = "LibriSpeech train-clean-100, speakers 19, 26, 27 (Panayotov et al. 2015), CC BY 4.0"
ORDERS = "Picovoice speech-to-intent-benchmark, Apache-2.0"
SYNTHETIC = "Synthetic speech: espeak-ng reads some of the simulated interviews aloud"
INTERVIEWS = "Simulated doctor-patient interviews (Fareez et al. 2022), CC BY 4.0"
WHISPER = "whisper-tiny.en (OpenAI), MIT"
MINILM = "all-MiniLM-L6-v2 (sentence-transformers), Apache-2.0"
GE2E = "the GE2E speaker encoder of resemblyzer (Resemble AI), Apache-2.0"


@dataclass(frozen=True)
class Backbone:
    """What a checkpoint says of an encoder."""

    config: SpeechConfig | TextConfig | None  # None: no bundle can hold it
    licence: str  # SPDX, of its weights
    origin: str  # to credit: whose weights they are, or were before distillation
    distilled_on: tuple[str, ...] = ()  # to credit, beside the scored sessions


SPEECH = {
    "student": Backbone(SPEECH_STUDENT, "CC-BY-4.0", WHISPER, (LIBRISPEECH, ORDERS, INTERVIEWS, SYNTHETIC)),
    "student-unscored": Backbone(SPEECH_STUDENT, "CC-BY-4.0", WHISPER, (LIBRISPEECH, ORDERS)),
    # of its 1,500 positions those that a segment can have
    "whisper-tiny.en": Backbone(SpeechConfig(frames=STUDENT_MEL.frames), "MIT", WHISPER),
    "ge2e": Backbone(None, "Apache-2.0", GE2E),
}
TEXT = {
    "student": Backbone(TEXT_STUDENT, "CC-BY-4.0", MINILM, (LIBRISPEECH, INTERVIEWS)),
    "minilm-l6": Backbone(TextConfig(), "Apache-2.0", MINILM),
    "minilm-l3": Backbone(TextConfig(layers=3), "Apache-2.0", MINILM),  # its first three layers
}


@dataclass(frozen=True)
class Backbones:
    speech: str = "student"
    text: str = "student"

    def __str__(self) -> str:
        return f"{self.speech}+{self.text}"

    @classmethod
    def named(cls, name: str) -> "Backbones":
        """From `SPEECH+TEXT`, as `str` writes it."""
        speech, _, text = name.partition("+")
        if speech not in SPEECH or text not in TEXT:
            every = f"SPEECH of {', '.join(SPEECH)}, TEXT of {', '.join(TEXT)}"
            raise SystemExit(f"backbones: found {name!r}, expected SPEECH+TEXT, {every}")
        return cls(speech, text)

    @property
    def hears_sessions(self) -> bool:
        """Whether the speech encoder is distilled on scored sessions, so that a fold needs one of its own."""
        return self.speech == "student"

    @property
    def parts(self) -> tuple[Backbone, Backbone]:
        """Of speech and of text."""
        return SPEECH[self.speech], TEXT[self.text]

    @property
    def distilled(self) -> bool:
        """Whether either is."""
        return any(part.distilled_on for part in self.parts)

    @property
    def credits(self) -> list[str]:
        """Of the data first."""
        data = [source for part in self.parts for source in part.distilled_on]
        return list(dict.fromkeys([*data, *(part.origin for part in self.parts)]))


def speech_encoder(
    name: str, data: Path, cache: Path, seed: int, device: str, left_out: Fold | None = None
) -> SpeechEncoder:
    """In float32, one that a bundle can hold. `left_out`: what the student must not have heard."""
    if name == "student":
        return speech_student(data, cache, seed, device, left_out)
    if name == "student-unscored":
        return unscored_speech_student(data, cache, seed, device)
    if name == "whisper-tiny.en":
        encoder = SpeechEncoder(SPEECH[name].config)
        encoder.load_state_dict(whisper_tiny().state_dict())
        return encoder.eval().requires_grad_(False)
    able = ", ".join(name for name, one in SPEECH.items() if one.config)
    raise SystemExit(f"speech backbone: found {name!r}, expected one that a bundle can hold: {able}")


def text_encoder(name: str, data: Path, cache: Path, seed: int, device: str) -> tuple[TextEncoder, list[str]]:
    """In float32, and its vocabulary."""
    if name == "student":
        return text_student(data, cache, seed, device)
    if name not in TEXT:
        raise SystemExit(f"text backbone: found {name!r}, expected one of {', '.join(TEXT)}")
    encoder = minilm()
    encoder.config = TEXT[name].config
    encoder.layers = encoder.layers[: encoder.config.layers]
    return encoder, minilm_vocabulary()


def speech_backbone(
    name: str, data: Path, cache: Path, seed: int, device: str, left_out: Fold | None = None
) -> SpeechRows:
    """Any of `SPEECH`; Whisper's kin attend to real frames alone. `left_out`: what the student must not have heard."""
    if name == "ge2e":
        return partial(speaker_rows, ge2e())
    encoder = with_int8_weights(speech_encoder(name, data, cache, seed, device, left_out)).to(device)
    return lambda samples: audio_rows(encoder, samples, SegmentConfig(), STUDENT_MEL)


def text_backbone(name: str, data: Path, cache: Path, seed: int, device: str) -> TextRows:
    """Any of `TEXT`."""
    encoder, vocabulary = text_encoder(name, data, cache, seed, device)
    encoder = with_int8_weights(encoder).to(device)
    return lambda cues: text_rows(encoder, cues, vocabulary)
