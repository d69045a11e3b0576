"""The training loop of every stage: it can be killed at any instant and goes on to the same result.

Under `torchrun` every process takes an equal share of each batch. The curve then shows process 0's share.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import devices

SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Schedule:
    """AdamW, linear warm-up, cosine decay to a thousandth."""

    steps: int
    rate: float
    warm_up: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient

    def factor(self, step: int) -> float:
        return min((step + 1) / self.warm_up, 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1))) + 1e-3)


class Curve:
    """Means of the loss's parts, a line for every hundredth of the steps."""

    def __init__(self, steps: int):
        self.every = max(1, steps // 100)
        self.lines, self.sums = [], {}

    def add(self, step: int, parts: dict[str, float]):
        for part, value in parts.items():
            self.sums[part] = self.sums.get(part, 0.0) + value
        if (step + 1) % self.every == 0:
            means = {part: round(value / self.every, 5) for part, value in self.sums.items()}
            self.lines.append({"step": step + 1, **means})
            self.sums = {}

    def write(self, path: Path):
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))


def my_share(batch: list[Tensor]) -> tuple[list[Tensor], float]:
    """This process's examples, and what their mean loss counts for in the mean over processes."""
    sizes = {len(x) for x in batch}
    if devices.count() == 1:
        return batch, 1.0
    if len(sizes) != 1 or min(sizes) < devices.count():
        raise ValueError(f"a batch of {sorted(sizes)} examples, expected one number, at least {devices.count()}")
    mine = [x[devices.rank() :: devices.count()] for x in batch]
    return mine, len(mine[0]) * devices.count() / len(batch[0])


def run(
    name: str,
    model: nn.Module,
    batches: Dataset,
    loss_of: Callable[..., tuple[Tensor, dict[str, float]]],
    schedule: Schedule,
    path: Path,
    workers: int = 0,
    save_every_s: float = SAVE_EVERY_S,
):
    """Minimises `loss_of(*batches[step])`: a loss, and parts of it for the curve.

    `batches[step]`, a tuple of tensors, must depend on the step alone: what is drawn at random in it is drawn from the
    step. `workers` processes make batches ahead. The state is in `path` at least every `save_every_s` seconds and at
    the end, the curve beside it as `.jsonl`: one line for every hundredth of the steps, means since the line before.
    A finished state is loaded and nothing is run.
    """
    optimiser = torch.optim.AdamW(model.parameters(), schedule.rate, weight_decay=schedule.weight_decay)
    device = next(model.parameters()).device
    first, curve = 0, Curve(schedule.steps)
    if devices.agreed(path.exists()):
        state = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        first, curve.lines = state["step"], state["curve"]
        if first < schedule.steps:
            optimiser.load_state_dict(state["optimiser"])
            torch.set_rng_state(state["random"].cpu())
            curve.sums = state["sums"]

    def save(step: int):
        if devices.rank():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        state = {"model": model.state_dict(), "step": step, "curve": curve.lines}
        if step < schedule.steps:
            state |= {"optimiser": optimiser.state_dict(), "random": torch.get_rng_state(), "sums": curve.sums}
        torch.save(state, partial)
        partial.rename(path)
        curve.write(path.with_suffix(".jsonl"))

    saved = time.monotonic()
    model.train()
    step_loss = devices.averaged(model, loss_of)
    steps = range(first, schedule.steps)
    # a generator of its own: the loader would draw from the one that dropout uses
    loader = DataLoader(
        batches, batch_size=None, sampler=steps, num_workers=workers if steps else 0, generator=torch.Generator()
    )
    bar = tqdm(loader, name, schedule.steps, initial=first, mininterval=10, disable=None)
    for step, batch in zip(steps, bar):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * schedule.factor(step)
        mine, share = my_share(batch)
        loss, parts = step_loss(*(x.to(device) for x in mine))
        optimiser.zero_grad()
        (loss * share).backward()
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip, error_if_nonfinite=True)
        optimiser.step()
        curve.add(step, parts)
        if time.monotonic() - saved > save_every_s:
            save(step + 1)
            saved = time.monotonic()
    if first < schedule.steps:
        save(schedule.steps)
    devices.wait()
    model.eval()
