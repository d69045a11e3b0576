"""Distils the speech student from whisper-tiny.en: frame by frame and segment by segment.

The student starts from the teacher's own convolutions and layers, with the feed-forward neurons that matter most.
"""

import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from data import SCORES
from hilbert import SpeechConfig, SpeechEncoder, masked_mean, mean_and_deviation
from log_mel import LogMelConfig, log_mel, real_frames
from pruning import strongest_neurons

STUDENT = SpeechConfig(frames=1000, layers=3, ffn=768, halve_after=1)
STUDENT_MEL = LogMelConfig(frames=STUDENT.frames)
SCORE_WEIGHT = 0.3


def student_from_teacher(teacher: SpeechEncoder, log_mels: Tensor) -> SpeechEncoder:
    """Keeps the first layers; of each feed-forward half the neurons with the largest mean output on `log_mels`."""
    student = SpeechEncoder(STUDENT)
    layers = teacher.layers[: STUDENT.layers]
    kept = strongest_neurons(layers, lambda: teacher.hidden(log_mels, None), STUDENT.ffn)
    state = teacher.state_dict()
    for name in list(state):
        parts = name.split(".")
        if parts[0] == "layers" and int(parts[1]) >= STUDENT.layers:
            del state[name]
        elif parts[0] == "layers" and parts[2] == "expand":
            state[name] = state[name][kept[int(parts[1])]]
        elif parts[0] == "layers" and parts[2:] == ["contract", "weight"]:
            state[name] = state[name][:, kept[int(parts[1])]]
    student.load_state_dict({k: v.clone() for k, v in state.items()})
    return student


class Distillation(nn.Module):
    """The student with the heads that only training needs."""

    def __init__(self, student: SpeechEncoder, scales: dict[str, Tensor]):
        super().__init__()
        width = student.config.width
        self.student = student
        self.third = nn.Linear(width, width)
        self.score = nn.Linear(2 * width, len(SCORES))
        for name, value in scales.items():
            self.register_buffer(name, value)

    def scores(self, row: Tensor) -> Tensor:
        """[B, 2 D] -> experts' scores minus 8 [B, 4]"""
        return self.score((row - self.row_mean) / self.row_scale)

    def forward(self, mel: Tensor, mask: Tensor, third: Tensor, fourth: Tensor, scores: Tensor) -> tuple[Tensor, dict]:
        """[B, M, T], [B, T], teacher frames [B, F, D] twice, scores [B, 4] or NaN -> loss, parts for the log"""
        outputs, frames = self.student.hidden(mel, mask)
        last = outputs[-1].float()
        frame = masked_mean((((last - fourth) / self.fourth_scale) ** 2).mean(2, keepdim=True), frames).mean()
        lower = masked_mean((((self.third(last) - third) / self.third_scale) ** 2).mean(2, keepdim=True), frames).mean()
        row = mean_and_deviation(last, frames)
        target = mean_and_deviation(fourth, frames)
        segment = (((row - target) / self.row_scale) ** 2).mean()
        scored = ~scores.isnan()
        error = torch.where(scored, (self.scores(row) - scores.nan_to_num()) ** 2, 0)
        score = error.sum() / scored.sum().clamp(min=1)
        loss = frame + 0.3 * lower + segment + SCORE_WEIGHT * score
        parts = {"frame": frame.item(), "lower": lower.item(), "segment": segment.item(), "score": score.item()}
        return loss, parts


def feature_scales(segments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Means and deviations that bring every dimension of the targets to unit size."""
    rows = []
    for a, b in segments["frames"].tolist():
        x = segments["fourth"][a:b].float()
        rows.append(torch.cat([x.mean(0), x.var(0, correction=0).clamp(min=1e-6).sqrt()]))
    return {
        "third_scale": segments["third"][::7].float().std(0).clamp(min=1e-3),
        "fourth_scale": segments["fourth"][::7].float().std(0).clamp(min=1e-3),
        "row_mean": torch.stack(rows).mean(0),
        "row_scale": torch.stack(rows).std(0).clamp(min=1e-3),
    }


def augment(samples: Tensor, generator: torch.Generator) -> Tensor:
    """A random level and, half of the time, white or low-passed noise at 10 to 40 dB: the target stays clean."""

    def uniform(low, high):
        return low + (high - low) * torch.rand(1, generator=generator).item()

    samples = samples * 10 ** (uniform(-12, 6) / 20)
    if uniform(0, 1) < 0.5:
        noise = torch.randn(samples.shape, generator=generator)
        if uniform(0, 1) < 0.5:
            noise = torch.nn.functional.avg_pool1d(noise[None], 9, 1, 4)[0]
        level = samples.square().mean().sqrt() * 10 ** (-uniform(10, 40) / 20)
        samples = samples + noise * level / noise.square().mean().sqrt()
    return samples.clamp(-1, 1)


class Batches:
    """Segments of one or several sources, of similar length together, in an order drawn anew each epoch."""

    def __init__(self, sources: list[dict[str, Tensor]], size: int, seed: int):
        self.size = size
        self.generator = torch.Generator().manual_seed(seed)
        self.members = [(s, i) for s in sources for i in range(len(s["spans"]))]
        self.lengths = torch.cat([s["spans"][:, 1] - s["spans"][:, 0] for s in sources])

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.size)

    def epoch(self):
        order = torch.argsort(self.lengths + torch.rand(len(self.lengths), generator=self.generator) * 8000)
        groups = order.split(self.size)
        for g in torch.randperm(len(groups), generator=self.generator).tolist():
            yield self.batch(groups[g].tolist())

    def batch(self, chosen: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """-> log-mel [B, M, T], mask [B, T], teacher frames [B, F, D] twice, scores [B, 4]"""
        mels, thirds, fourths, counts, scores = [], [], [], [], []
        for source, i in (self.members[c] for c in chosen):
            a, b = source["spans"][i].tolist()
            samples = augment(source["samples"][a:b].float() / 32768, self.generator)
            counts.append(real_frames(b - a, STUDENT_MEL))
            mels.append(log_mel(samples, STUDENT_MEL))
            c, d = source["frames"][i].tolist()
            thirds.append(source["third"][c:d].float())
            fourths.append(source["fourth"][c:d].float())
            scores.append(source["scores"][i])
        longest = -(-max(counts) // 4) * 4
        mel = torch.stack(mels)[:, :, :longest]  # [B, M, T]
        mask = (torch.arange(longest) < torch.tensor(counts)[:, None]).float()  # [B, T]

        def pad(frames):
            return nn.utils.rnn.pad_sequence([*frames, torch.zeros(longest // 4, frames[0].shape[1])], True)[:-1]

        return mel, mask, pad(thirds), pad(fourths), torch.stack(scores)


def train(model: Distillation, batches: Batches, epochs: int, rate: float, state_path: Path, device: str):
    """AdamW with warm-up and cosine decay; resumes from `state_path` at the last finished epoch."""
    total = epochs * len(batches)
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / 100, 0.5 * (1 + math.cos(math.pi * min(s / total, 1))) + 1e-3),
    )
    first = 0
    if state_path.exists():
        state = torch.load(state_path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        first = state["epoch"]
        if first == epochs:
            return
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        batches.generator.set_state(state["generator"].cpu())
    model.train()
    for epoch in range(first, epochs):
        began, sums, steps = time.time(), {}, 0
        for batch in batches.epoch():
            with torch.autocast(device, torch.bfloat16):
                loss, parts = model(*(x.to(device) for x in batch))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            optimiser.step()
            schedule.step()
            steps += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, 0) + value
        means = {name: round(value / steps, 4) for name, value in sums.items()}
        print(f"speech epoch {epoch + 1}/{epochs} {means} {time.time() - began:.0f} s", flush=True)
        state = {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "generator": batches.generator.get_state(),
            "epoch": epoch + 1,
        }
        partial = state_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(state_path)
    model.eval()
