"""Trains the fusion and the experts on cached rows: first the representation without labels, then the tasks.

A fit takes about half a minute on two idle cores, so nothing of it is kept: one that is stopped starts anew, to the
same result.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

import devices
from early_stopping import EarlyStopping, without_some
from hilbert import HilbertConfig, MixtureOfExperts, Rows
from loop import Curve
from losses import balance, contrastive, router, structure
from rows import Document, collate
from targets import Goal, Target
from variants import WHOLE, LinearHeads, Variant


@dataclass(frozen=True)
class Schedule:
    first_steps: int = 80  # of the representation
    second_steps: int = 240  # of the tasks
    batch: int = 32
    first_rate: float = 5e-4
    second_rate: float = 1e-3
    fusion_share: float = 0.3  # of the rate, for the fusion in the second stage
    weight_decay: float = 0.05
    temperature: float = 0.07
    balance_temperature: float = 0.3
    structure_weight: float = 0.1
    balance_weight: float = 0.1
    router_weight: float = 0.02
    segment_weight: float = 1.0
    drop_text: float = 0.5  # of the documents lose their text
    drop_audio: float = 0.1  # or their audio
    audio_noise: float = 0.3  # deviation of the noise on standardised rows
    text_noise: float = 0.3  # and the same
    swap_text: float = 0.0  # of the texts are another document's: what says little of a label is not memorised with it
    held_out: float = 0.0  # share of the people whose documents say when the second stage stops; 0: never early


RANKS_APART = 1_000_003  # between the seeds of two processes
LOOK_EVERY = 10  # steps, for early stopping
CONSTANT = 0.02  # deviation of a row's dimension up to which it is held constant


class Trained(nn.Module):
    """Fusion and experts, with the heads that only training needs."""

    def __init__(self, config: HilbertConfig, variant: Variant, segment_scores: int = 0):
        super().__init__()
        self.config, self.variant = config, variant
        width = config.fusion.width
        self.fusion = variant.fusion(config.fusion)
        if variant.head == "experts":
            self.moe = MixtureOfExperts(3 * width, config.experts, config.tasks, 0.2)
        else:
            self.moe = LinearHeads(3 * width, config.tasks)
        self.contrast = nn.ModuleDict(
            {m: nn.Linear(width, config.fusion.contrast, bias=False) for m in ("audio", "text", "joint")}
        )
        self.segment_score = nn.Linear(width, segment_scores) if segment_scores else None
        for name in ("null_audio", "null_text", "null_cross_audio", "null_cross_text"):
            nn.init.normal_(getattr(self.fusion, name), std=0.5)


class Standardiser:
    """Rows to mean 0 and deviation 1 over the training documents; folded into the projections at the end."""

    def __init__(self, documents: list[Document]):
        self.scales = {}
        for modality in ("audio", "text"):
            rows = torch.cat([getattr(d, modality) for d in documents])
            if len(rows) < 2:  # a modality that no document has
                rows = torch.zeros(2, rows.shape[1])
            self.scales[modality] = (rows.mean(0), rows.std(0).clamp(min=CONSTANT))

    def apply(self, rows: Rows, modality: str) -> Rows:
        mean, deviation = self.scales[modality]
        return replace(rows, rows=(rows.rows - mean) / deviation)

    @torch.no_grad()
    def fold(self, model: Trained):
        for modality, (mean, deviation) in self.scales.items():
            linear = getattr(model.fusion, f"project_{modality}").linear
            linear.weight.div_(deviation)
            # divided by almost nothing, a weight that does nothing would set the int8 scale of its whole channel
            linear.weight[:, deviation == CONSTANT] = 0
            linear.bias.sub_(linear.weight @ mean)


@torch.no_grad()
def fold_scale(head: nn.Linear, goal: Goal):
    """From the scale in which a score was learnt to its own."""
    head.weight.mul_(goal.scale.unit)
    head.bias.mul_(goal.scale.unit).add_(goal.scale.centre)


def drop(rows: Rows, which: Tensor) -> Rows:
    return replace(rows, mask=rows.mask * (~which)[:, None])


def only(audio: Rows, text: Rows, modalities: str) -> tuple[Rows, Rows]:
    """Without what is not among `audio`, `text` or `audio_text`."""
    every = torch.ones(len(audio.rows), dtype=torch.bool)
    return audio if "audio" in modalities else drop(audio, every), text if "text" in modalities else drop(text, every)


CHUNK = 16  # documents padded together
FEWEST_PAIRED = 4  # documents with audio and text for the contrast, as many as the unbiased CKA needs


@dataclass
class Vectors:
    """What the losses need of a batch that was fused chunk by chunk, by every process its share.

    Documents are in the order of processes and chunks.
    """

    documents: list[Document]
    audio: Tensor  # [B, D]
    text: Tensor  # [B, D]
    joint: Tensor  # [B, D]
    document: Tensor  # [B, 3 D]
    segment_error: Tensor  # [B] mean squared error of the segments' scores
    has_audio: Tensor  # [B]


def fused_in_chunks(model: Trained, batch: list[Document], rows_of) -> Vectors:
    """Documents of like length are padded together, which saves most of the padding.

    `rows_of(documents)` gives a chunk's audio and text rows.
    """
    if len(batch) < devices.count():
        raise ValueError(f"{len(batch)} documents for {devices.count()} processes, expected one for each at least")
    device = model.fusion.null_audio.device
    shares = devices.shares(sorted(batch, key=lambda d: len(d.audio) + len(d.text)))
    mine, parts = shares[devices.rank()], []
    for i in range(0, len(mine), CHUNK):
        chunk = mine[i : i + CHUNK]
        audio, text = (rows.to(device) for rows in rows_of(chunk))
        fused = model.fusion(audio, text)
        error = segment_error(model, fused.audio_x, audio.mask, chunk)
        has_audio = audio.mask.amax(1)
        parts.append((fused.audio, fused.text, fused.joint, fused.document, error, has_audio))
    vectors = devices.gathered([torch.cat(p) for p in zip(*parts)], [len(share) for share in shares])
    return Vectors([d for share in shares for d in share], *vectors)


def segment_error(model: Trained, x: Tensor, mask: Tensor, documents: list[Document]) -> Tensor:
    """[B, S, D], [B, S] -> the mean squared error of each document's segment scores [B], 0 where there are none"""
    if model.segment_score is None:
        return x.new_zeros(len(documents))
    found = model.segment_score(x)  # [B, S, K]
    wanted = torch.zeros_like(found)
    for row, d in zip(wanted, documents):
        row[: len(d.scores)] = d.scores
    error = ((found - wanted) ** 2).mean(2)  # [B, S]
    return (error * mask).sum(1) / mask.sum(1).clamp(min=1)


def representation_loss(model: Trained, fused: Vectors, schedule: Schedule) -> Tensor:
    people = torch.tensor([d.person for d in fused.documents], device=fused.joint.device)
    same = people[:, None] == people[None, :]
    audio, text, joint = (model.contrast[m](getattr(fused, m)) for m in ("audio", "text", "joint"))

    if model.variant.objective == "direct":
        return contrastive(audio, text, schedule.temperature, same)

    def pair(temperature):
        return contrastive(audio, joint, temperature, same), contrastive(text, joint, temperature, same)

    audio_loss, text_loss = pair(schedule.temperature)
    loss = (audio_loss + text_loss) / 2
    if "cka" in model.variant.objective:
        kept = structure(fused.audio, fused.text, fused.joint, model.variant.biased_cka)
        loss = loss + schedule.structure_weight * kept
    if "balance" in model.variant.objective:
        gap = balance(*pair(schedule.balance_temperature), len(audio))
        loss = loss + schedule.balance_weight * gap
    return loss


def labels_loss(outputs: dict[str, Tensor], documents: list[Document], goals: list[Goal]) -> Tensor:
    """The goals' weighted sum. {task: [B, C]} -> scalar"""
    return sum(g.target.weight * g.loss(outputs[g.target.name], documents) for g in goals)


def task_loss(model: Trained, fused: Vectors, schedule: Schedule, goals: list[Goal]) -> Tensor:
    outputs, gates, logits = model.moe(fused.document)
    loss = labels_loss(outputs, fused.documents, goals)
    if gates is not None:
        loss = loss + schedule.router_weight * router(gates, logits)
    if model.segment_score is not None:
        segments = (fused.segment_error * fused.has_audio).sum() / fused.has_audio.sum().clamp(min=1)
        loss = loss + schedule.segment_weight * segments
    return loss


class Views:
    """Standardised rows of documents, as the stages of the training see them."""

    def __init__(self, documents: list[Document], schedule: Schedule, variant: Variant, generator: torch.Generator):
        self.standardiser = Standardiser(documents)
        self.with_text = [d for d in documents if len(d.text)]
        self.schedule, self.variant, self.generator = schedule, variant, generator

    def plain(self, chunk: list[Document]) -> tuple[Rows, Rows]:
        audio, text = (self.standardiser.apply(collate(chunk, m), m) for m in ("audio", "text"))
        return only(audio, text, self.variant.modalities)

    def blurred(self, chunk: list[Document]) -> tuple[Rows, Rows]:
        def blur(rows: Rows, deviation: float) -> Rows:
            return replace(rows, rows=rows.rows + deviation * torch.randn(rows.rows.shape, generator=self.generator))

        audio, text = self.plain(chunk)
        return blur(audio, self.schedule.audio_noise), blur(text, self.schedule.text_noise)

    def with_texts_swapped(self, chunk: list[Document]) -> list[Document]:
        """At random with another's text, unless text is all that there is to learn from."""
        if not self.schedule.swap_text or not self.with_text or self.variant.modalities == "text":
            return chunk
        draw = torch.rand(len(chunk), generator=self.generator)
        others = torch.randint(len(self.with_text), (len(chunk),), generator=self.generator).tolist()
        return [
            replace(d, text=self.with_text[i].text, text_middles=self.with_text[i].text_middles)
            if len(d.text) and swapped
            else d
            for d, i, swapped in zip(chunk, others, draw < self.schedule.swap_text)
        ]

    def with_one_left_out(self, chunk: list[Document]) -> tuple[Rows, Rows]:
        """Blurred, and at random without one of two modalities."""
        audio, text = self.blurred(self.with_texts_swapped(chunk))
        draw = torch.rand(len(chunk), generator=self.generator)
        both = (audio.mask.amax(1) * text.mask.amax(1)) > 0
        audio = drop(audio, both & (draw > 1 - self.schedule.drop_audio))
        text = drop(text, both & (draw < self.schedule.drop_text))
        return audio, text


def train(
    config: HilbertConfig,
    targets: list[Target],
    documents: list[Document],
    seed: int,
    schedule: Schedule = Schedule(),
    variant: Variant = WHOLE,
    device: str = "cpu",
    curve: Path | None = None,
) -> Trained:
    """The result, on the CPU, reads raw rows and scores on the targets' own scales. `curve`: where the losses go."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = Trained(config, variant, documents[0].scores.shape[1]).to(device)
    unseen = []
    if schedule.held_out:
        documents, unseen = without_some(documents, schedule.held_out, generator)
    if devices.rank():  # noise of its own
        torch.manual_seed(seed + RANKS_APART * devices.rank())
        generator.manual_seed(seed + RANKS_APART * devices.rank())
    views = Views(documents, schedule, variant, generator)
    goals = [Goal(t, documents) for t in targets]
    scored = [(model.moe.heads[g.target.name], g) for g in goals if g.target.task.kind == "ordinal"]
    for head, goal in scored:
        nn.init.constant_(head.bias, goal.scale.start)

    lines = []

    def stage(name, documents, steps, groups, loss_of, stopping=None):
        optimiser = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
        rates = [g["lr"] for g in groups]
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.1)
        step_loss, course = devices.averaged(model, loss_of, some_unused=True), Curve(steps)
        for step in tqdm(range(steps), name, mininterval=10, disable=None):
            chosen = torch.randperm(len(documents), generator=generator)[: schedule.batch].tolist()
            loss = step_loss([documents[i] for i in devices.agreed(chosen)])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            optimiser.step()
            rate.step()
            course.add(step, {"loss": loss.item()})
            if stopping and (step + 1) % LOOK_EVERY == 0 and not stopping.goes_on():
                break
        lines.extend({"stage": name, **line} for line in course.lines)

    def first(batch):
        return representation_loss(model, fused_in_chunks(model, batch, views.blurred), schedule)

    def second(batch):
        return task_loss(model, fused_in_chunks(model, batch, views.with_one_left_out), schedule, goals)

    def on_unseen():
        fused = fused_in_chunks(model, unseen, views.plain)
        return labels_loss(model.moe(fused.document)[0], fused.documents, goals)

    model.train()
    paired = [d for d in documents if len(d.audio) and len(d.text)]
    if variant.contrasts and len(paired) >= FEWEST_PAIRED:
        everything = {"params": list(model.parameters()), "lr": schedule.first_rate}
        stage("representation", paired, schedule.first_steps, [everything], first)
    fusion = {"params": list(model.fusion.parameters()), "lr": schedule.second_rate * schedule.fusion_share}
    others = [p for name, p in model.named_parameters() if not name.startswith("fusion.")]
    rest = {"params": others, "lr": schedule.second_rate}
    stopping = EarlyStopping(model, on_unseen) if unseen else None
    stage("tasks", documents, schedule.second_steps, [fusion, rest], second, stopping)
    if stopping:
        stopping.restore()
    if curve and not devices.rank():
        curve.parent.mkdir(parents=True, exist_ok=True)
        curve.write_text("".join(json.dumps(line) + "\n" for line in lines))
    model.cpu().eval()
    views.standardiser.fold(model)
    for head, goal in scored:
        fold_scale(head, goal)
    return model


def predict(model: Trained, documents: list[Document], modalities: str) -> dict[str, Tensor]:
    """-> {task: [N, C]} from `audio`, `text` or `audio_text`"""
    parts = [predict_some(model, documents[i : i + AT_ONCE], modalities) for i in range(0, len(documents), AT_ONCE)]
    return {task: torch.cat([p[task] for p in parts]) for task in parts[0]}


AT_ONCE = 64  # documents padded together to be predicted


@torch.inference_mode()
def predict_some(model: Trained, documents: list[Document], modalities: str) -> dict[str, Tensor]:
    audio, text = only(collate(documents, "audio"), collate(documents, "text"), modalities)
    return model.moe(model.fusion(audio, text).document)[0]
