"""HILBERT's own way to `integrity`: cross-attention with an auxiliary head that tells swapped cues from right ones.

A fusion is trained anew on transcripts with swapped cues. A head on the cues' rows after cross-attention gives each
cue's logit, another on the joint vector the class of the document, which helps to train the first. It is measured, not
shipped (docs/decisions/0006).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from backbones import Backbones
from batches import a_pass, of_like_length
from characters import readings
from checkpoint import with_int8_weights
from data import FOLDS, Fold, sessions
from document import middle, text_rows
from hilbert import Fusion, FusionConfig, Rows
from integrity import LABELS, Transcript, donors, transcripts
from integrity_features import CONDITIONS, CUT, drawn_transcripts
from loop import Schedule, run
from outline import TRAINING_KINDS, outlines
from rows import Document, collate
from spoken_english import SpokenEnglish
from spread import spread
from students import text_student
from train_fusion import Standardiser
from word_pieces import Cue

BATCH = 32
DRAWS = 15  # transcripts of each label for each recording; each is read once
RATE = 2e-3
NOISE = 1.5  # deviation on standardised rows: they tell sessions apart, and are memorised without it
DROPOUT = 0.3
DOCUMENT_WEIGHT = 0.5


class Texts:
    """Rows of texts, each encoded once, and the middle of each row as a share of the text's time."""

    def __init__(self, encoder: nn.Module, vocabulary: list[str]):
        self.encoder, self.vocabulary, self.known = encoder, vocabulary, {}

    def __getitem__(self, text: str) -> tuple[Tensor, list[float]]:
        """-> rows [R, D], middles [R]"""
        if text not in self.known:
            rows, packed = text_rows(self.encoder, [Cue(text, 0.0, 1.0)], self.vocabulary)
            self.known[text] = rows, [middle(r.start_s, r.end_s) for r in packed]
        return self.known[text]


@dataclass
class Mixed:
    """A recording's rows with those of a transcript that may be another's."""

    document: Document
    rows_of_cue: list[int]  # how many text rows each cue has
    swapped: list[bool]
    label: int


def mixed(heard: Document, transcript: Transcript, texts: Texts) -> Mixed:
    read = [texts[cue.text] for cue in transcript.cues]
    middles = [c.start_s + (c.end_s - c.start_s) * m for c, (_, own) in zip(transcript.cues, read) for m in own]
    document = replace(heard, text=torch.cat([rows for rows, _ in read]), text_middles=middles)
    return Mixed(document, [len(rows) for rows, _ in read], transcript.swapped, transcript.label)


def batch(some: list[Mixed], standardiser: Standardiser) -> tuple[Tensor, ...]:
    """-> of audio and text rows [B, S, D], middles [B, S], mask [B, S]; share of each text row in its cue's logit
    [B, Q, S]; which cues were swapped [B, Q], -1 where there is none; labels [B]
    """
    rows = [standardiser.apply(collate([m.document for m in some], name), name) for name in ("audio", "text")]
    longest = max(len(m.swapped) for m in some)
    share = torch.zeros(len(some), longest, rows[1].rows.shape[1])
    swapped = torch.full((len(some), longest), -1.0)
    for i, m in enumerate(some):
        cue = torch.arange(len(m.swapped)).repeat_interleave(torch.tensor(m.rows_of_cue))
        share[i, cue, torch.arange(len(cue))] = 1 / torch.tensor(m.rows_of_cue)[cue]
        swapped[i, : len(m.swapped)] = torch.tensor(m.swapped)
    parts = [x for r in rows for x in (r.rows, r.middle_s, r.mask)]
    return *parts, share, swapped, torch.tensor([m.label for m in some])


@dataclass
class Batches(Dataset):
    """Documents of like length together. A batch depends on the seed and its number alone."""

    pool: list[Mixed]
    standardiser: Standardiser
    seed: int

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        lengths = np.array([len(m.document.text) for m in self.pool])
        chosen = of_like_length(lengths, BATCH, 5, self.seed, step)
        return batch([self.pool[i] for i in chosen], self.standardiser)


class Mismatch(nn.Module):
    """The head on a cue's row c after cross-attention and x before it: the two must be multiplied to be compared,
    which no sum of them does.
    """

    def __init__(self, config: FusionConfig):
        super().__init__()
        self.fusion = Fusion(config)
        self.heard, self.said = (nn.Linear(config.width, config.contrast) for _ in range(2))
        self.score = nn.Linear(config.contrast, 1)
        self.document = nn.Linear(config.width, len(LABELS))

    def forward(self, audio: Rows, text: Rows, share: Tensor) -> tuple[Tensor, Tensor]:
        """Rows, [B, Q, S] -> cue logits [B, Q], document logits [B, 3]"""
        fused = self.fusion(audio, text)
        scores = self.score(self.heard(fused.cross_text) * self.said(fused.text_x))  # [B, S, 1]
        return (share @ scores)[..., 0], self.document(fused.joint)


class Material:
    """What is heard and read of every session, and the rows of any text."""

    def __init__(self, speech: str, data: Path, cache: Path, seed: int, device: str, fold: Fold):
        self.every, self.outlines = sessions(data), outlines(sessions(data), seed)
        self.heard = SpokenEnglish(data, cache, seed, device, Backbones(speech)).documents(fold)
        encoder, vocabulary = text_student(data, cache, seed, device)
        self.texts = Texts(with_int8_weights(encoder), vocabulary)

    def training(self, inside: np.ndarray, seed: int) -> list[Mixed]:
        """Transcripts of the sessions that are `inside`, [sessions] of bool, with donors among them alone."""
        result = []
        for kind in TRAINING_KINDS:
            drawn = [o for o in self.outlines[kind] if inside[o.session]]
            heard = [d for d in self.heard[kind] if inside[d.recording]]
            cues = [[c for c in o.cues if readings(c.text)] for o in drawn]
            found = donors([self.every[o.session] for o in drawn], cues)
            for draw in range(DRAWS):
                result += [mixed(heard[t.session], t, self.texts) for t in transcripts(cues, found, seed + draw)]
        return result


def rows_of(tensors: tuple[Tensor, ...]) -> tuple[Rows, Rows]:
    """The first six tensors of a batch as audio and text."""
    return tuple(Rows(*tensors[i : i + 3]) for i in (0, 3))


def train(pool: list[Mixed], config: FusionConfig, seed: int, path: Path, device: str) -> tuple[Mismatch, Standardiser]:
    """Goes on from the state in `path` if there is one."""
    torch.manual_seed(seed)
    standardiser = Standardiser([m.document for m in pool])
    model = Mismatch(config).to(device)

    def blurred(rows: Rows) -> Rows:
        return replace(rows, rows=rows.rows + NOISE * torch.randn_like(rows.rows))

    def loss_of(*tensors: Tensor):
        share, swapped, labels = tensors[6:]
        cues, documents = model(*map(blurred, rows_of(tensors)), share)
        real = swapped >= 0
        of_cues = functional.binary_cross_entropy_with_logits(cues[real], swapped[real])
        of_documents = functional.cross_entropy(documents, labels)
        return of_cues + DOCUMENT_WEIGHT * of_documents, {"cues": of_cues.item(), "documents": of_documents.item()}

    schedule = Schedule(a_pass(len(pool), BATCH), RATE, weight_decay=0.05)
    run(f"mismatch, {path.stem}", model, Batches(pool, standardiser, seed), loss_of, schedule, path)
    return model.requires_grad_(False), standardiser


def of_fold(
    speech: str, data: Path, cache: Path, seed: int, device: str, names: tuple[str, ...], fold: Fold
) -> dict[str, list]:
    """As `held_out`, of one fold's sessions."""
    material, inside = Material(speech, data, cache, seed, device, fold), fold.holds(sessions(data))
    path = cache / f"mismatch-{speech}-{fold}.pt"
    model, standardiser = train(material.training(~inside, seed), FusionConfig(dropout=DROPOUT), seed, path, device)
    model, result = with_int8_weights(model.cpu()), {}
    for name in names:
        heard = {d.recording: d for d in material.heard[CONDITIONS[name].heard] if inside[d.recording]}
        result[name] = []
        for t in drawn_transcripts(data, cache, seed, name):
            if inside[t.session]:
                tensors = batch([mixed(heard[t.session], t, material.texts)], standardiser)
                cues, _ = model(*rows_of(tensors), tensors[6])
                result[name].append(cues[0].double().numpy())
    return result


def held_out(speech: str, data: Path, cache: Path, seed: int, device: str, names: tuple[str, ...]) -> dict[str, list]:
    """By condition, of every transcript its cues' logits [Q], fold by fold as `integrity_features.scored`."""
    every = [(speech, data, cache, seed, device, names, Fold(CUT, number)) for number in range(FOLDS)]
    found = spread(of_fold, every, device)
    return {name: [one for of_one in found for one in of_one[name]] for name in names}
