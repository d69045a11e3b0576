"""Trains the alignment head on a frozen speech encoder's frames, with CTC (Graves et al. 2006).

It reads book chapters with their transcripts, and what the scored speakers were asked to read. For a test on speakers
that it has not heard, theirs are left out.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from augment import Augmentation, spoiled
from batches import a_pass, of_like_length
from characters import BLANK, readings
from corpus import WINDOWS
from data import distillation_recordings, sessions, utterance_audio
from distill_speech import inputs
from hilbert import AlignmentConfig, AlignmentHead, SpeechEncoder
from loop import Schedule, run
from segment import segment

BATCH = 16
PASSES, RATE = 12, 3e-3
DROPOUT = 0.1  # of the frames' values
NOBODY = -1  # the session of a book chapter's clip


@dataclass
class Clips:
    """Frames that say a text. `frames` [N, D] in float16, `spans` [C, 2] into it, texts as classes."""

    frames: Tensor
    spans: Tensor
    classes: list[list[int]]
    session: Tensor  # [C] index in `data.sessions`, or NOBODY

    def select(self, chosen: list[int]) -> "Clips":
        return Clips(self.frames, self.spans[chosen], [self.classes[i] for i in chosen], self.session[chosen])


def spoken(data: Path, heard: np.ndarray):
    """Samples, text and session of every clip whose text is known; of the sessions that are `heard`, [N] of bool."""
    transcripts = (data / "distill/librispeech/transcripts.txt").read_text().splitlines()
    text_of = dict(line.split(" ", 1) for line in transcripts)
    for name, samples in distillation_recordings(data):
        if text := text_of.get(name.split("/")[-1]):
            yield samples, text, NOBODY
    for index, session in enumerate(sessions(data)):
        if not heard[index]:
            continue
        for utterance, samples in zip(session.utterances, utterance_audio(data, session)):
            yield samples, utterance["prompt"], index


def frames_of(encoder: SpeechEncoder, recordings: list[np.ndarray]) -> list[Tensor]:
    """The frames of all segments of each recording in a row, [F, D] in float16; like lengths run together."""
    pieces = [(i, r[a:b]) for i, r in enumerate(recordings) for a, b in segment(r, WINDOWS)]
    frames = [torch.zeros(0, encoder.config.width).half()] * len(pieces)
    order = sorted(range(len(pieces)), key=lambda p: len(pieces[p][1]))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            _, found, kept = encoder.rows_and_frames(*inputs([pieces[p][1] for p in chosen]))
            for p, x, real in zip(chosen, found, kept):
                frames[p] = x[real > 0].half()
    nothing = frames[0][:0] if frames else torch.zeros(0, encoder.config.width).half()
    return [torch.cat([nothing, *(f for f, (i, _) in zip(frames, pieces) if i == n)]) for n in range(len(recordings))]


def clips(path: Path, spoken_clips, encoder_of: Callable[[], SpeechEncoder], seed: int) -> Clips:
    """Every clip as it is and once more with noise, room, line or level changed; kept in `path`."""
    if not path.exists():
        rng, every, texts, of_session = np.random.default_rng(seed), [], [], []
        encoder = encoder_of()
        spoken_clips = iter(spoken_clips)
        while some := list(itertools.islice(spoken_clips, 16 * BATCH)):
            heard = [h for samples, _, _ in some for h in (samples, spoiled(samples, Augmentation(), rng))]
            for i, frames in enumerate(frames_of(encoder, heard)):
                _, text, session = some[i // 2]
                if len(frames) >= len(readings(text)[0]):
                    every.append(frames)
                    texts.append(text)
                    of_session.append(session)
        ends = torch.tensor([0, *(len(f) for f in every)]).cumsum(0)
        tensors = {
            "frames": torch.cat(every),
            "spans": torch.stack([ends[:-1], ends[1:]], 1),
            "session": torch.tensor(of_session),
            "texts": torch.tensor(list("\n".join(texts).encode()), dtype=torch.uint8),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(tensors, partial)
        partial.rename(path)
    tensors = load_file(path)
    texts = bytes(tensors["texts"].tolist()).decode().split("\n")
    return Clips(tensors["frames"], tensors["spans"], [readings(t)[0] for t in texts], tensors["session"])


@dataclass
class Batches(Dataset):
    """Clips of similar length together. A batch depends on the seed and its number alone."""

    clips: Clips
    seed: int

    def a_pass(self) -> int:
        """How many batches read every clip once."""
        return a_pass(len(self.clips.spans), BATCH)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """-> frames [B, F, D] with dropout, their numbers [B], classes [B, L], their numbers [B]"""
        lengths = (self.clips.spans[:, 1] - self.clips.spans[:, 0]).numpy()
        chosen = of_like_length(lengths, BATCH, 25, self.seed, step)
        frames = [self.clips.frames[a:b].float() for a, b in self.clips.spans[chosen].tolist()]
        padded = nn.utils.rnn.pad_sequence(frames, True)
        generator = torch.Generator().manual_seed(int(np.random.default_rng([self.seed, step, 1]).integers(2**62)))
        kept = torch.rand(padded.shape, generator=generator) >= DROPOUT
        texts = [self.clips.classes[i] for i in chosen]
        counts = torch.tensor([len(t) for t in texts])
        classes = nn.utils.rnn.pad_sequence([torch.tensor(t) for t in texts], True)
        return padded * kept / (1 - DROPOUT), torch.tensor(lengths[chosen]), classes, counts


def train(clips: Clips, width: int, seed: int, path: Path, device: str, passes: int = PASSES) -> AlignmentHead:
    """Goes on from the state in `path` if there is one."""
    torch.manual_seed(seed)
    head, batches = AlignmentHead(width, AlignmentConfig()).to(device), Batches(clips, seed)

    def loss_of(frames: Tensor, lengths: Tensor, classes: Tensor, counts: Tensor):
        log = head(frames).transpose(0, 1).cpu()  # the gradient of CTC on a GPU is not deterministic
        loss = functional.ctc_loss(log, classes.cpu(), lengths.cpu(), counts.cpu(), BLANK, zero_infinity=True)
        return loss, {"ctc": loss.item()}

    schedule = Schedule(passes * batches.a_pass(), RATE, weight_decay=0.02)
    run(f"alignment head, {path.stem}", head, batches, loss_of, schedule, path, workers=1)
    return head.requires_grad_(False)
