"""A user's list of documents as a collection: a checkpoint's frozen encoders give rows, the fusion is trained anew."""

import hashlib
import json
import math
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.signal import resample_poly

import devices
from checkpoint import encoders_sha256, load, with_int8_weights
from collection import Collection, Truth
from data import Fold, group_folds
from document import audio_rows, middle, text_rows
from document_list import Entry, read
from hilbert import HilbertConfig
from log_mel import LogMelConfig
from rows import Document, cached
from segment import SegmentConfig
from spread import spread
from train_fusion import Schedule


@dataclass
class Listed(Collection):
    path: Path
    tasks: Path | None  # the file that declares them, if given
    checkpoint: Path  # whose encoders are taken
    bundle: str  # the name of what is trained
    cache: Path
    seed: int
    device: str
    schedule: Schedule = Schedule()
    licence: str = "NOASSERTION"  # SPDX for: not stated
    credits: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.targets, self.entries = read(self.path, self.tasks)

    @cached_property
    def contents(self) -> list[str | None]:
        """SHA-256 of each entry's recording."""
        return [None if e.recording is None else sha256(e.recording) for e in self.entries]

    @cached_property
    def encoders_sha256(self) -> str:
        """Of what gives the rows: encoders, vocabulary, log-mel and segmentation, not the fusion beside them."""
        config = loaded(self.checkpoint)[2]
        return digest([encoders_sha256(self.checkpoint), config["log_mel"], config["segmentation"]])

    @cached_property
    def data_sha256(self) -> str:
        """Over the tasks, and each document's recording, cues, targets and group."""
        documents = [
            [sound, [vars(c) for c in e.cues], e.targets, e.group] for sound, e in zip(self.contents, self.entries)
        ]
        return digest([[repr(t) for t in self.targets], documents])

    @cached_property
    def name(self) -> str:
        parts = [self.data_sha256, self.encoders_sha256, self.seed]
        return f"{self.bundle}-{digest(parts)[:16]}"

    def config(self) -> HilbertConfig:
        """The encoders' checkpoint's, with the list's tasks."""
        return replace(loaded(self.checkpoint)[0].config, tasks=[t.task for t in self.targets])

    def documents(self, left_out: Fold | None = None) -> dict[str, list[Document]]:
        rows = self.cache / "rows"
        tasks = [
            (self.checkpoint, e, sound, self.encoders_sha256, rows, self.device)
            for e, sound in zip(self.entries, self.contents)
        ]
        missing = [task for task in tasks if not all(path.exists() for path in places(*task[1:5]))]
        if missing:
            print(f"{len(missing)} documents to encode", flush=True)
            spread(encoded, devices.shares(missing)[devices.rank()], self.device)
        devices.wait()
        groups = sorted({e.group for e in self.entries})
        result = []
        for i, (entry, task) in enumerate(zip(self.entries, tasks)):
            fields = encoded(*task)
            nothing = torch.zeros(len(fields["audio"]), 0)
            result.append(Document(i, groups.index(entry.group), **fields, targets=entry.targets, scores=nothing))
        return {"whole": result}

    def having(self) -> dict[str, np.ndarray]:
        """A recording without speech and a transcript without words count as missing."""
        every = self.documents()["whole"]
        audio, text = (np.array([len(getattr(d, m)) > 0 for d in every]) for m in ("audio", "text"))
        return {"audio": audio, "text": text, "audio_text": audio & text}

    def truth(self) -> dict[str, Truth]:
        result = {}
        for target in self.targets:
            values = [e.targets.get(target.name) for e in self.entries]
            scores = [math.nan if v is None else v for v in values] if target.task.kind == "ordinal" else None
            result[target.name] = Truth(target.classes(values), None if scores is None else np.array(scores, float))
        return result

    def folds(self, cut: int) -> np.ndarray:
        """With like counts of the first task's classes."""
        classes = [str(c) for c in self.truth()[self.targets[0].name].classes.tolist()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes with fewer documents than there are folds
            return group_folds(classes, [e.group for e in self.entries], cut)

    def encoders(self):
        model, vocabulary, _ = loaded(self.checkpoint)
        return model.speech, model.text, vocabulary

    def alignment(self):
        """The encoders' checkpoint's, which knows their frames."""
        model, _, config = loaded(self.checkpoint)
        return (model.alignment, config["alignment"]) if model.alignment else None

    def facts(self) -> dict:
        _, _, config = loaded(self.checkpoint)
        return {
            "name": self.bundle,
            "licence": self.licence,
            "credits": list(dict.fromkeys([*self.credits, *config["credits"]])),
            "log_mel": config["log_mel"],
            "segmentation": config["segmentation"],
            "provenance": {"data_sha256": self.data_sha256, "encoders_sha256": self.encoders_sha256},
        }


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@lru_cache(1)
def loaded(folder: Path):
    """-> model, vocabulary, config; not to be changed"""
    return load(folder)


@lru_cache(1)
def encoders_of(folder: Path, device: str):
    """Both encoders with the int8 weights that ship, vocabulary, segmentation and log-mel."""
    model, vocabulary, config = loaded(folder)
    model = with_int8_weights(model).requires_grad_(False).to(device)
    return (
        model.speech,
        model.text,
        vocabulary,
        SegmentConfig(**config["segmentation"]),
        LogMelConfig(**config["log_mel"]),
    )


def samples_of(path: Path, rate: int) -> np.ndarray:
    """The mean of the channels in [-1, 1], resampled by a polyphase filter."""
    samples, found = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1)
    if found != rate:
        common = math.gcd(rate, found)
        mono = resample_poly(mono, rate // common, found // common).clip(-1, 1)
    return mono.astype(np.float32)


def places(entry: Entry, sound: str | None, encoders: str, folder: Path) -> tuple[Path, Path]:
    """Of the audio rows and of the text rows: the same recording or text is encoded once."""
    said = digest([vars(c) for c in entry.cues])
    return tuple(folder / f"{m}-{digest([one, encoders])[:32]}.pt" for m, one in (("audio", sound), ("text", said)))


def encoded(checkpoint: Path, entry: Entry, sound: str | None, encoders: str, folder: Path, device: str) -> dict:
    """Rows and middles of both modalities of a document, kept in `folder`."""

    def heard() -> dict:
        speech, _, _, segmentation, mel = encoders_of(checkpoint, device)
        samples = np.zeros(0, np.float32) if entry.recording is None else samples_of(entry.recording, mel.sample_rate)
        rows, spans = audio_rows(speech, samples, segmentation, mel)
        return {"audio": rows, "audio_middles": [(a + b) / 2 / mel.sample_rate for a, b in spans]}

    def read_cues() -> dict:
        _, text, vocabulary, _, _ = encoders_of(checkpoint, device)
        rows, packed = text_rows(text, entry.cues, vocabulary)
        return {"text": rows, "text_middles": [middle(r.start_s, r.end_s) for r in packed]}

    audio, text = places(entry, sound, encoders, folder)
    return cached(audio, heard) | cached(text, read_cues)
