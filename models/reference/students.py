"""The two students. Neither hears or reads a scored speaker, so that cross-validation holds for them as they are."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from corpus import unscored
from distill_speech import STUDENT as SPEECH
from distill_speech import Batches, Distillation, distil, examples
from distill_text import STUDENT as TEXT
from distill_text import distillation_texts, recogniser_texts, teacher_rows
from distill_text import student_from_teacher as text_from_teacher
from distill_text import train as train_text
from hilbert import SpeechEncoder, TextEncoder
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import cut_vocabulary

SPEECH_PASSES, SPEECH_RATE = 10, 3e-4
TEXT_EPOCHS, TEXT_RATE = 3, 5e-4


def speech_student(data: Path, cache: Path, seed: int, device: str) -> SpeechEncoder:
    """Distilled on book chapters and spoken orders."""
    path = cache / "speech.safetensors"
    student = SpeechEncoder(SPEECH)
    if not path.exists():
        torch.manual_seed(seed)
        corpus, teacher = unscored(data), whisper_tiny()
        model = Distillation(teacher, SPEECH, examples(corpus)).to(device)
        distil(model, teacher.to(device), Batches(corpus, seed), SPEECH_PASSES, SPEECH_RATE, cache / "speech.pt")
        save_file({k: v.cpu() for k, v in model.student.state_dict().items()}, path)
    student.load_state_dict(load_file(path))
    return student.eval().requires_grad_(False)


def text_student(data: Path, cache: Path, seed: int, device: str) -> tuple[TextEncoder, list[str]]:
    """Distilled on texts of no scored speaker, over the vocabulary cut to those texts and the recogniser's."""
    full, texts = minilm_vocabulary(), distillation_texts(data)
    vocabulary = cut_vocabulary(full, texts + recogniser_texts(data), TEXT.vocabulary)
    path = cache / "text.safetensors"
    student = TextEncoder(TEXT)
    if not path.exists():
        torch.manual_seed(seed)
        teacher = minilm()
        model = text_from_teacher(teacher, full, vocabulary, texts)
        targets = teacher_rows(teacher, full, texts)
        train_text(model, vocabulary, texts, targets, TEXT_EPOCHS, TEXT_RATE, seed, device)
        save_file({k: v.cpu() for k, v in model.state_dict().items()}, path)
    student.load_state_dict(load_file(path))
    return student.eval().requires_grad_(False), vocabulary
