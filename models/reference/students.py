"""The two students. Neither hears or reads a scored speaker, so that cross-validation holds for them as they are."""

from pathlib import Path

import torch

from cache import TEACHER_MEL, cached_segments
from distill_speech import Batches, Distillation, feature_scales, student_from_teacher, train
from distill_text import STUDENT, distillation_texts, recogniser_texts, teacher_rows
from distill_text import student_from_teacher as text_from_teacher
from distill_text import train as train_text
from hilbert import SpeechEncoder, TextEncoder
from log_mel import log_mel
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import cut_vocabulary

SPEECH_EPOCHS, SPEECH_RATE = 14, 6e-4
TEXT_EPOCHS, TEXT_RATE = 3, 5e-4
BATCH = 16


def teacher_bf16() -> SpeechEncoder:
    """The teacher in bfloat16, twice as fast on a CPU; cosine to float32 frames is 0.9999."""
    model = whisper_tiny().bfloat16()
    model.positions = model.positions.bfloat16()
    return model


def speech_student(data: Path, cache: Path, seed: int, device: str) -> SpeechEncoder:
    """Distilled on book chapters and spoken orders."""
    torch.manual_seed(seed)
    segments = cached_segments(data, cache, teacher_bf16)
    chosen = segments["spans"][::60].tolist()[:16]
    mels = torch.stack([log_mel(segments["samples"][a:b].float() / 32768, TEACHER_MEL) for a, b in chosen])
    model = Distillation(student_from_teacher(whisper_tiny(), mels), feature_scales(segments)).to(device)
    train(model, Batches(segments, BATCH, seed), SPEECH_EPOCHS, SPEECH_RATE, cache / "speech.pt", device)
    return model.student.cpu().eval().requires_grad_(False)


def text_student(data: Path, cache: Path, seed: int, device: str) -> tuple[TextEncoder, list[str]]:
    """Distilled on texts of no scored speaker, over the vocabulary cut to those texts and the recogniser's."""
    full, texts = minilm_vocabulary(), distillation_texts(data)
    vocabulary = cut_vocabulary(full, texts + recogniser_texts(data), STUDENT.vocabulary)
    path = cache / "text.pt"
    student = TextEncoder(STUDENT)
    if not path.exists():
        torch.manual_seed(seed)
        teacher = minilm()
        student = text_from_teacher(teacher, full, vocabulary, texts)
        targets = teacher_rows(teacher, full, texts)
        train_text(student, vocabulary, texts, targets, TEXT_EPOCHS, TEXT_RATE, seed, device)
        torch.save(student.state_dict(), path)
    student.load_state_dict(torch.load(path, weights_only=True))
    return student.eval().requires_grad_(False), vocabulary
