"""The fusion's documents: encoder rows of every outline, computed once for each encoder, and padded batches of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backbones import SpeechRows, TextRows
from data import RATE, Session, at_risk, level, segment_scores, sessions, utterance_audio
from document import middle
from hilbert import Rows
from outline import Outline


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


def cached(path: Path, build, *arguments):
    """What `build(*arguments)` returned when it was first asked for."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(build(*arguments), partial)
        partial.rename(path)
    return torch.load(path, weights_only=True)


def heard(data: Path, outlines: list[Outline], encoder: SpeechRows) -> list[dict]:
    """The audio fields of each outline's document."""
    every, utterances, result = sessions(data), {}, []
    for outline in outlines:
        session = every[outline.session]
        if outline.session not in utterances:
            utterances = {outline.session: utterance_audio(data, session)}
        samples, spans = outline.audio(session, utterances[outline.session])
        rows, segments = encoder(samples)
        kept = Session(**{**vars(session), "utterances": [session.utterances[i] for i in outline.utterances]})
        result.append(
            {
                "audio": rows,
                "audio_middles": [(a + b) / 2 / RATE for a, b in segments],
                "scores": torch.from_numpy(segment_scores(kept, spans, segments)),
            }
        )
    return result


def read(outlines: list[Outline], encoder: TextRows) -> list[dict]:
    """The text fields of each outline's document."""
    result = []
    for outline in outlines:
        rows, packed = encoder(outline.cues)
        result.append({"text": rows, "text_middles": [middle(r.start_s, r.end_s) for r in packed]})
    return result


def documents(data: Path, outlines: list[Outline], audio: list[dict], text: list[dict]) -> list[Document]:
    every, result = sessions(data), []
    for outline, a, t in zip(outlines, audio, text):
        scores = [every[outline.session].utterances[i]["scores"] for i in outline.utterances]
        total, fluency = (float(np.mean([np.mean(s[name]) for s in scores])) for name in ("total", "fluency"))
        result.append(Document(outline.session, **a, **t, total=total, fluency=fluency))
    return result


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


def labels(data: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """-> each task's class [N], mean total score [N]"""
    every = sessions(data)
    classes = {
        "proficiency": np.array([level(s) for s in every]),
        "fluency": np.array([at_risk(s) for s in every]),
    }
    return classes, np.array([s.mean_scores["total"] for s in every])
