"""The training data as recordings and scored sessions. `DIR/README.md` of the data names sources and licences."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from sklearn.model_selection import StratifiedGroupKFold

RATE = 16000
LEVELS = (7.5, 8.5)  # of `proficiency`: the experts' mean total from which a session is intermediate, proficient
AT_RISK_BELOW = 7.6  # of `fluency`: the experts' mean, the lowest fifth


@dataclass
class Session:
    """One speaker reading twenty prompts: the document."""

    speaker: str
    group: str
    age: int
    gap_s: float
    mean_scores: dict[str, float]
    utterances: list[dict]  # id, samples, prompt, scores: lists of the experts' scores
    transcript: list[dict]  # what a recogniser heard: start_s, end_s, text


def read_audio(path: Path) -> np.ndarray:
    """Mono float32 samples in [-1, 1] at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ValueError(f"{path}: {rate} Hz and {samples.ndim} dimensions, expected mono at {RATE} Hz")
    return samples


def sessions(data: Path) -> list[Session]:
    lines = (data / "spoken-english/sessions.jsonl").read_text().splitlines()
    return [
        Session(
            d["speaker"],
            d["group"],
            d["age"],
            d["gap_s"],
            d["mean_scores"],
            d["utterances"],
            d["asr_whisper_tiny_en"],
        )
        for d in map(json.loads, lines)
    ]


def utterance_audio(data: Path, session: Session) -> list[np.ndarray]:
    folder = data / "spoken-english/audio" / session.speaker
    return [read_audio(folder / f"{u['id']}.flac") for u in session.utterances]


def join(utterances: list[np.ndarray], gap_s: float, gap_db: float | None, rng) -> tuple[np.ndarray, list]:
    """Utterances with a gap after each: exact silence, or white noise at `gap_db` dBFS. -> samples, spans."""
    pieces, gap = [], round(gap_s * RATE)
    for samples in utterances:
        noise = np.zeros(gap) if gap_db is None else rng.normal(0, 10 ** (gap_db / 20), gap)
        pieces += [samples, noise.astype(np.float32)]
    return np.concatenate(pieces), places([len(u) for u in utterances], gap_s)


def places(lengths: list[int], gap_s: float) -> list[tuple[int, int]]:
    """Where utterances of `lengths` samples lie when joined with a gap after each."""
    starts = np.cumsum([0, *(n + round(gap_s * RATE) for n in lengths)])[:-1].tolist()
    return [(start, start + n) for start, n in zip(starts, lengths)]


def distillation_recordings(data: Path) -> list[tuple[str, np.ndarray]]:
    """Speech without scores: LibriSpeech chapters and spoken orders, clip by clip."""
    paths = sorted((data / "distill").glob("*/*.opus"))
    return [(f"{p.parent.name}/{p.stem}", read_audio(p)) for p in paths]


SCORES = ("total", "fluency", "accuracy", "prosodic")


def segment_scores(session: Session, utterances: list[tuple[int, int]], spans: list) -> np.ndarray:
    """Mean expert scores of the utterances that a segment overlaps, by duration, minus 8. spans [S, 2] -> [S, 4]"""
    means = np.array([[np.mean(u["scores"][name]) for name in SCORES] for u in session.utterances]) - 8
    starts, ends = np.array(utterances).T
    result = []
    for start, end in spans:
        overlap = np.clip(np.minimum(ends, end) - np.maximum(starts, start), 0, None)
        result.append(overlap @ means / max(overlap.sum(), 1))
    return np.array(result, np.float32).reshape(-1, len(SCORES))


def level(session: Session) -> int:
    """The class of `proficiency`: 0 basic, 1 intermediate, 2 proficient."""
    return int(np.digitize(session.mean_scores["total"], LEVELS))


FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """One of the five folds of one cut of the recruitment groups; what it holds is left out of a training."""

    cut: int
    number: int

    def __str__(self) -> str:
        return f"{self.cut}-{self.number}"

    def holds(self, every: list["Session"]) -> np.ndarray:
        """[N] whether each session lies in it"""
        return folds(every, self.cut) == self.number


def folds(every: list[Session], cut: int) -> np.ndarray:
    """Groups cut into five folds with like class counts, otherwise for each cut. -> fold of each session [N]"""
    return group_folds([level(s) for s in every], [s.group for s in every], cut)


def group_folds(classes: list, groups: list, cut: int) -> np.ndarray:
    """[N], [N] -> the fold of each [N]; none of a group stands in two"""
    result = np.empty(len(classes), int)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=cut)
    for fold, (_, chosen) in enumerate(splitter.split(classes, classes, groups)):
        result[chosen] = fold
    return result


def data_hash(data: Path, folders: tuple[str, ...] = ("consultations", "distill", "spoken-english")) -> str:
    """SHA-256 over the relative path, size and content hash of every file used: those of the folders."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted((data / folder).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                total.update(
                    f"{path.relative_to(data)} {len(content)} {hashlib.sha256(content).hexdigest()}\n".encode()
                )
    return total.hexdigest()
