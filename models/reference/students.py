"""The two students. Neither hears or reads a scored speaker, so that cross-validation holds for them as they are."""

from pathlib import Path

import torch

from cache import TEACHER_MEL, scored_segments, select, unscored_segments
from data import parts, sessions
from distill_speech import Batches, Distillation, feature_scales, student_from_teacher, train
from distill_text import STUDENT, distillation_texts, recogniser_texts, teacher_rows
from distill_text import student_from_teacher as text_from_teacher
from distill_text import train as train_text
from hilbert import SpeechEncoder, TextEncoder
from log_mel import log_mel
from teachers import minilm, minilm_vocabulary, whisper_tiny
from word_pieces import cut_vocabulary

BASE_EPOCHS, BASE_RATE = 14, 6e-4
TUNED_EPOCHS, TUNED_RATE = 6, 2e-4
TEXT_EPOCHS, TEXT_RATE = 3, 5e-4
BATCH = 16


def teacher_bf16() -> SpeechEncoder:
    """The teacher in bfloat16, twice as fast on a CPU; cosine to float32 frames is 0.9999."""
    model = whisper_tiny().bfloat16()
    model.positions = model.positions.bfloat16()
    return model


def base_speech(segments: dict, cache: Path, seed: int, device: str) -> Distillation:
    """Distilled on `segments` of book chapters and spoken orders: no scored speaker."""
    torch.manual_seed(seed)
    chosen = segments["spans"][::60].tolist()[:16]
    mels = torch.stack([log_mel(segments["samples"][a:b].float() / 32768, TEACHER_MEL) for a, b in chosen])
    model = Distillation(student_from_teacher(whisper_tiny(), mels), feature_scales(segments)).to(device)
    train(model, Batches([segments], BATCH, seed), BASE_EPOCHS, BASE_RATE, cache / "speech-base.pt", device)
    return model


def training_parts(left_out: int | None) -> str:
    """What files of a student are named by."""
    return "all" if left_out is None else f"without-{left_out}"


def speech_student(data: Path, cache: Path, seed: int, device: str, left_out: int | None = None) -> SpeechEncoder:
    """The base, tuned on the scored sessions without part `left_out` (`data.parts`) and on a third of the rest.

    The teacher's frames are its targets as before, and beside them the experts' scores of each segment.
    """
    unscored = unscored_segments(data, cache, teacher_bf16)
    model = base_speech(unscored, cache, seed, device)
    scored = scored_segments(data, cache, teacher_bf16)
    if left_out is not None:
        part = torch.from_numpy(parts(sessions(data)))[scored["recording"]]
        scored = select(scored, torch.nonzero(part != left_out)[:, 0])
    third = select(unscored, torch.arange(0, len(unscored["spans"]), 3))
    torch.manual_seed(seed)
    batches = Batches([scored, third], BATCH, seed + 1)
    train(model, batches, TUNED_EPOCHS, TUNED_RATE, cache / f"speech-{training_parts(left_out)}.pt", device)
    return model.student.cpu().eval().requires_grad_(False)


def prepare(data: Path, cache: Path, seed: int, device: str):
    """What several students share, so that work on them can be spread over processes."""
    base_speech(unscored_segments(data, cache, teacher_bf16), cache, seed, device)
    scored_segments(data, cache, teacher_bf16)
    text_student(data, cache, seed, device)


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
