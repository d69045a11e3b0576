"""The fusion's training documents: encoder rows of every session, whole and cropped, computed once per student."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import RATE, Session, at_risk, join, level, places, segment_scores, sessions, utterance_audio
from distill_speech import STUDENT_MEL
from document import audio_rows, middle, text_rows
from hilbert import Rows, SpeechEncoder, TextEncoder
from segment import SegmentConfig
from word_pieces import Cue

CROPS = 2  # of each session, beside the whole
CUE_S = (2.0, 6.0)  # length of the cues that a transcriber would make


@dataclass
class Document:
    session: int  # index in `sessions`
    audio: Tensor  # [S, R]
    audio_middles: list[float]
    scores: Tensor  # [S, 4] experts' scores of each segment, minus 8
    text: Tensor  # [S, R]
    text_middles: list[float]
    total: float  # mean expert score of the utterances in it
    fluency: float


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


def encode(
    speech: SpeechEncoder, text: TextEncoder, vocabulary: list[str], index, session, chosen, samples, spans, cues
):
    """One document of the `chosen` utterances, whose audio is `samples` and whose places in it are `spans`."""
    audio, segments = audio_rows(speech, samples, SegmentConfig(), STUDENT_MEL)
    rows, packed = text_rows(text, cues, vocabulary)
    kept = Session(**{**vars(session), "utterances": [session.utterances[i] for i in chosen]})
    means = {name: np.mean([np.mean(u["scores"][name]) for u in kept.utterances]) for name in ("total", "fluency")}
    return Document(
        index,
        audio,
        [(a + b) / 2 / RATE for a, b in segments],
        torch.from_numpy(segment_scores(kept, spans, segments)),
        rows,
        [middle(r.start_s, r.end_s) for r in packed],
        float(means["total"]),
        float(means["fluency"]),
    )


def whole_documents(data: Path, speech, text, vocabulary, noisy: bool) -> list[Document]:
    """Each session as the data's README defines it; `noisy`: gaps of noise at -50 dBFS and cues of 2 to 6 s."""
    rng = np.random.default_rng(1)
    result = []
    for index, session in enumerate(sessions(data)):
        samples, spans = join(utterance_audio(data, session), session.gap_s, -50.0 if noisy else None, rng)
        cues = session_cues(session)
        cues = recut(cues, rng) if noisy else cues
        every = range(len(session.utterances))
        result.append(encode(speech, text, vocabulary, index, session, every, samples, spans, cues))
    return result


def cropped_documents(data: Path, speech, text, vocabulary, seed: int) -> list[Document]:
    """Runs of 8 to 20 utterances, at another level, with silent or noisy gaps, the cues as they are or re-cut."""
    rng = np.random.default_rng(seed)
    result = []
    for index, session in enumerate(sessions(data)):
        utterances = utterance_audio(data, session)
        spans = places([len(u) for u in utterances], session.gap_s)
        for _ in range(CROPS):
            cues = session_cues(session)
            cues = recut(cues, rng) if rng.random() < 0.5 else cues
            count = int(rng.integers(8, len(utterances) + 1))
            first = int(rng.integers(0, len(utterances) - count + 1))
            chosen = range(first, first + count)
            gap = None if rng.random() < 0.5 else rng.uniform(-60, -40)
            gain = 10 ** (rng.uniform(-9, 3) / 20)
            samples, inside = join([utterances[i] for i in chosen], session.gap_s, gap, rng)
            samples = np.clip(samples * gain, -1, 1).astype(np.float32)
            start = spans[first][0] / RATE
            cut = crop(cues, start, start + len(samples) / RATE)
            result.append(encode(speech, text, vocabulary, index, session, chosen, samples, inside, cut))
    return result


def cached_documents(path: Path, build) -> list[Document]:
    if path.exists():
        return [Document(**d) for d in torch.load(path, weights_only=True)]
    documents = build()
    partial = path.with_suffix(".partial")
    torch.save([vars(d) for d in documents], partial)
    partial.rename(path)
    return documents


def collate(documents: list[Document], modality: str) -> Rows:
    """Padded to the longest; a document without rows is all mask."""
    rows = [getattr(d, modality) for d in documents]
    longest = max(1, *(len(r) for r in rows))
    middles = torch.zeros(len(rows), longest, dtype=torch.float64)
    mask = torch.zeros(len(rows), longest)
    padded = torch.zeros(len(rows), longest, rows[0].shape[1])
    for i, d in enumerate(documents):
        n = len(rows[i])
        padded[i, :n] = rows[i]
        middles[i, :n] = torch.tensor(getattr(d, f"{modality}_middles"), dtype=torch.float64)
        mask[i, :n] = 1
    return Rows(padded, middles, mask, torch.zeros_like(mask))


def labels(data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> class of proficiency, class of fluency, mean total score, each [N]"""
    every = sessions(data)
    return (
        np.array([level(s) for s in every]),
        np.array([at_risk(s) for s in every]),
        np.array([s.mean_scores["total"] for s in every]),
    )
