"""Distils the speech student from whisper-tiny.en: layer by layer, frame by frame and segment by segment.

The student starts from the teacher's own layers (compression.py). The teacher runs beside it and, like it, attends to
real frames alone: without the 30 s of padding it is ten times as fast, and a session's rows tell as much of the level
(docs/decisions/0001).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import devices
from augment import Augmentation, revoiced, spoiled
from batches import a_pass, of_like_length
from compression import compress
from hilbert import SpeechConfig, SpeechEncoder, halved, masked_mean, mean_and_deviation
from log_mel import LogMelConfig, log_mel, real_frames
from loop import Schedule, run

STUDENT = SpeechConfig(frames=1000, layers=4, ffn=512, halve_after=2)
STUDENT_MEL = LogMelConfig(frames=STUDENT.frames)
LONGEST = STUDENT.frames * STUDENT_MEL.hop
BATCH = 16
LOWER_WEIGHT = 0.1  # of the layers below the last
WORKERS = 2  # processes that prepare batches
EXAMPLES = 384  # segments that the student starts from
MEASURED = 6  # one in so many of their batches measures the scales


def inputs(pieces: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Segments' samples -> log-mel [B, M, T] and mask [B, T], T the frames of the longest, a multiple of 4"""
    counts = [real_frames(len(p), STUDENT_MEL) for p in pieces]
    longest = -(-max(counts) // 4) * 4
    mels = torch.stack([log_mel(torch.from_numpy(p), STUDENT_MEL)[:, :longest] for p in pieces])
    return mels, (torch.arange(longest) < torch.tensor(counts)[:, None]).float()


@dataclass
class Batches(Dataset):
    """Augmented segments of similar length together. A batch depends on the seed and its number alone."""

    corpus: list[np.ndarray]  # segments, int16
    seed: int
    augmentation: Augmentation = Augmentation()

    def __post_init__(self):
        self.lengths = np.array([len(s) for s in self.corpus])

    def a_pass(self) -> int:
        """How many batches hear the whole corpus once."""
        return a_pass(len(self.corpus), BATCH)

    def chosen(self, step: int) -> np.ndarray:
        return of_like_length(self.lengths, BATCH, 8000, self.seed, step)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """-> what the teacher hears and what the student hears, log-mel [B, M, T] each, and their mask [B, T]"""
        rng = np.random.default_rng([self.seed, step, 1])
        clean = [self.corpus[i].astype(np.float32) / 32768 for i in self.chosen(step)]
        clean = [revoiced(c, self.augmentation, rng)[:LONGEST] for c in clean]
        mel, mask = inputs([spoiled(c, self.augmentation, rng) for c in clean])
        return inputs(clean)[0], mel, mask


def examples(corpus: list[np.ndarray], count: int = EXAMPLES) -> list[tuple[Tensor, Tensor]]:
    """Inputs of `count` segments evenly spread over the corpus, as they are."""
    chosen = np.unique(np.linspace(0, len(corpus) - 1, count).astype(int))
    chosen = chosen[np.argsort([len(corpus[i]) for i in chosen])]
    return [
        inputs([corpus[j].astype(np.float32) / 32768 for j in chosen[i : i + BATCH]])
        for i in range(0, len(chosen), BATCH)
    ]


def at_rate(mask: Tensor, frames: Tensor) -> Tensor:
    """The mask [B, T] of log-mel frames for encoder frames [B, F, ...]: [B, F]"""
    return mask[:, :: mask.shape[1] // frames.shape[1]]


class Distillation(nn.Module):
    """The student, and the sizes that its errors are measured in."""

    def __init__(self, teacher: SpeechEncoder, config: SpeechConfig, examples: list[tuple[Tensor, Tensor]]):
        super().__init__()
        self.student = compress(teacher, config, examples)
        layers, rows = [], []
        for mel, mask in examples[::MEASURED]:
            targets, row = self.targets(teacher, mel, mask)
            layers.append([x[at_rate(mask, x) > 0] for x in targets])
            rows.append(row)
        for i, frames in enumerate(zip(*layers)):
            self.register_buffer(f"scale_{i}", torch.cat(frames).std(0).clamp(min=1e-2))
        self.register_buffer("row_scale", torch.cat(rows).std(0).clamp(min=1e-3))

    @torch.no_grad()
    def targets(self, teacher: SpeechEncoder, mel: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """-> the teacher's layers [B, F, D] at the student's rate, its row [B, 2 D]"""
        halve = self.student.config.halve_after
        layers = [x.float() for x in teacher.hidden(mel, mask)[0]]
        layers = [x if i < halve else halved(x) for i, x in enumerate(layers)]
        return layers, mean_and_deviation(layers[-1], at_rate(mask, layers[-1]))

    def forward(self, teacher: SpeechEncoder, clean: Tensor, mel: Tensor, mask: Tensor) -> tuple[Tensor, dict]:
        """-> loss and its parts, each relative to the deviation of what it compares"""
        targets, row = self.targets(teacher, clean, mask)
        outputs, frames = self.student.hidden(mel, mask)
        errors = []
        for i, (ours, theirs) in enumerate(zip(outputs, targets)):
            error = (((ours.float() - theirs) / getattr(self, f"scale_{i}")) ** 2).mean(2, keepdim=True)
            errors.append(masked_mean(error, at_rate(mask, error)).mean())
        segment = (((mean_and_deviation(outputs[-1].float(), frames) - row) / self.row_scale) ** 2).mean()
        lower = torch.stack(errors[:-1]).sum()
        parts = {"frame": errors[-1].item(), "lower": lower.item(), "segment": segment.item()}
        return errors[-1] + LOWER_WEIGHT * lower + segment, parts


def distil(model: Distillation, teacher: SpeechEncoder, batches: Batches, passes: int, rate: float, path: Path):
    """Goes on from the state in `path` if there is one; float32 weights and losses, activations as `devices` says."""
    device = next(model.parameters()).device

    def loss_of(clean: Tensor, mel: Tensor, mask: Tensor):
        with devices.activations(device.type):
            return model(teacher, clean, mel, mask)

    schedule = Schedule(passes * batches.a_pass(), rate)
    run(f"speech student, {path.stem}", model, batches, loss_of, schedule, path, WORKERS)
