"""The two students, and what each is distilled on.

The speech student hears the scored sessions too, their audio without their scores: for a test on a fold, a student of
its own that met no session in it. The text student reads no scored speaker, so that it serves every fold as it is.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import devices
from corpus import scored, synthetic, unscored
from data import Fold, sessions
from distill_speech import STUDENT as SPEECH
from distill_speech import Batches, Distillation, distil, examples
from distill_text import STUDENT as TEXT
from distill_text import distillation_texts, recogniser_texts, teacher_rows
from distill_text import student_from_teacher as text_from_teacher
from distill_text import train as train_text
from hilbert import SpeechEncoder, TextEncoder
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import cut_vocabulary

SPEECH_PASSES, SPEECH_RATE = 2, 3e-4
UNSCORED_PASSES = 10  # where no scored session is heard, which leaves half of the segments
TEXT_EPOCHS, TEXT_RATE = 3, 5e-4


def distilled(
    start: list[np.ndarray], corpus: list[np.ndarray], passes: int, path: Path, seed: int, device: str
) -> SpeechEncoder:
    """Started on the segments of `start`, distilled on those of `corpus`, kept in `path`."""
    student = SpeechEncoder(SPEECH)
    if not devices.agreed(path.exists()):
        torch.manual_seed(seed)
        teacher = whisper_tiny()
        model = Distillation(teacher, SPEECH, examples(start)).to(device)
        distil(model, teacher.to(device), Batches(corpus, seed), passes, SPEECH_RATE, path.with_suffix(".pt"))
        kept(model.student, path)
    student.load_state_dict(load_file(path))
    return student.eval().requires_grad_(False)


def speech_student(data: Path, cache: Path, seed: int, device: str, left_out: Fold | None = None) -> SpeechEncoder:
    """Distilled on book chapters, spoken orders, synthetic speech and the scored sessions outside the fold left out."""
    path = cache / ("speech.safetensors" if left_out is None else f"speech-{left_out}.safetensors")
    heard, others = [], []
    if not devices.agreed(path.exists()):
        every = sessions(data)
        chosen = range(len(every)) if left_out is None else np.flatnonzero(~left_out.holds(every))
        heard, others = scored(data, chosen), unscored(data) + synthetic(data)
    return distilled(heard, heard + others, SPEECH_PASSES, path, seed, device)


def unscored_speech_student(data: Path, cache: Path, seed: int, device: str) -> SpeechEncoder:
    """Distilled on book chapters and spoken orders alone: what a student is worth on speech unlike all it has heard."""
    path = cache / "speech-unscored.safetensors"
    corpus = [] if devices.agreed(path.exists()) else unscored(data)
    return distilled(corpus, corpus, UNSCORED_PASSES, path, seed, device)


def text_student(data: Path, cache: Path, seed: int, device: str) -> tuple[TextEncoder, list[str]]:
    """Distilled on texts of no scored speaker, over the vocabulary cut to those texts and the recogniser's.

    It takes minutes: of several processes each does all of it, and the first one's is kept.
    """
    full, texts = minilm_vocabulary(), distillation_texts(data)
    vocabulary = cut_vocabulary(full, texts + recogniser_texts(data), TEXT.vocabulary)
    path = cache / "text.safetensors"
    student = TextEncoder(TEXT)
    if not devices.agreed(path.exists()):
        torch.manual_seed(seed)
        teacher = minilm()
        model = text_from_teacher(teacher, full, vocabulary, texts)
        targets = teacher_rows(teacher, full, texts)
        train_text(model.to(device), vocabulary, texts, targets, TEXT_EPOCHS, TEXT_RATE, seed, device)
        kept(model, path)
    student.load_state_dict(load_file(path))
    return student.eval().requires_grad_(False), vocabulary


def kept(model: torch.nn.Module, path: Path):
    """Writes it for every process to read."""
    if not devices.rank():
        save_file({k: v.cpu() for k, v in model.state_dict().items()}, path)
    devices.wait()
