"""Trains the fusion and the experts on cached rows: first the representation without labels, then the tasks."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from data import AT_RISK_BELOW
from hilbert import HilbertConfig, MixtureOfExperts, Rows
from losses import balance, contrastive, ordinal, router, structure
from rows import Document, collate
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
    fluency_weight: float = 0.5
    drop_text: float = 0.5  # of the documents lose their text
    drop_audio: float = 0.1  # or their audio
    audio_noise: float = 0.3  # deviation of the noise on standardised rows
    text_noise: float = 1.5  # text rows tell sessions apart, not levels: without it they are memorised


CONSTANT = 0.02  # deviation of a row's dimension up to which it is held constant
CENTRE = 8.0  # scores are learnt around the middle of the scale


class Trained(nn.Module):
    """Fusion and experts, with the heads that only training needs."""

    def __init__(self, config: HilbertConfig, variant: Variant):
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
        self.segment_score = nn.Linear(width, 4)
        for name in ("null_audio", "null_text", "null_cross_audio", "null_cross_text"):
            nn.init.normal_(getattr(self.fusion, name), std=0.5)
        for task in config.tasks:
            if task.kind == "ordinal":
                nn.init.constant_(self.moe.heads[task.name].bias, 0.3)


class Standardiser:
    """Rows to mean 0 and deviation 1 over the training documents; folded into the projections at the end."""

    def __init__(self, documents: list[Document]):
        self.scales = {}
        for modality in ("audio", "text"):
            rows = torch.cat([getattr(d, modality) for d in documents])
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
        for task in model.config.tasks:
            if task.kind == "ordinal":
                model.moe.heads[task.name].bias.add_(CENTRE)


def drop(rows: Rows, which: Tensor) -> Rows:
    return replace(rows, mask=rows.mask * (~which)[:, None])


CHUNK = 16  # documents padded together


@dataclass
class Vectors:
    """What the losses need of a batch that was fused chunk by chunk; documents are in the chunks' order."""

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
    batch = sorted(batch, key=lambda d: len(d.audio) + len(d.text))
    parts = []
    for i in range(0, len(batch), CHUNK):
        chunk = batch[i : i + CHUNK]
        audio, text = rows_of(chunk)
        fused = model.fusion(audio, text)
        wanted = torch.zeros(*audio.mask.shape, 4)
        for row, d in zip(wanted, chunk):
            row[: len(d.scores)] = d.scores
        error = ((model.segment_score(fused.audio_x) - wanted) ** 2).mean(2)  # [B, S]
        error = (error * audio.mask).sum(1) / audio.mask.sum(1).clamp(min=1)
        has_audio = audio.mask.amax(1)
        parts.append((fused.audio, fused.text, fused.joint, fused.document, error, has_audio))
    return Vectors(batch, *(torch.cat(p) for p in zip(*parts)))


def representation_loss(model: Trained, fused: Vectors, schedule: Schedule) -> Tensor:
    speakers = torch.tensor([d.session for d in fused.documents])
    same = speakers[:, None] == speakers[None, :]
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


def task_loss(model: Trained, fused: Vectors, schedule: Schedule, risk_weight: Tensor) -> Tensor:
    outputs, gates, logits = model.moe(fused.document)
    total = torch.tensor([d.total for d in fused.documents]) - CENTRE
    at_risk = torch.tensor([int(d.fluency < AT_RISK_BELOW) for d in fused.documents])
    loss = ordinal(outputs["proficiency"][:, 0], total)
    loss = loss + schedule.fluency_weight * functional.cross_entropy(outputs["fluency"], at_risk, risk_weight)
    if gates is not None:
        loss = loss + schedule.router_weight * router(gates, logits)
    segments = (fused.segment_error * fused.has_audio).sum() / fused.has_audio.sum().clamp(min=1)
    return loss + schedule.segment_weight * segments


def train(
    config: HilbertConfig,
    documents: list[Document],
    seed: int,
    schedule: Schedule = Schedule(),
    variant: Variant = WHOLE,
) -> Trained:
    """The result reads raw rows and scores on the experts' scale."""
    torch.manual_seed(seed)
    model = Trained(config, variant)
    standardiser = Standardiser(documents)
    risk = sum(d.fluency < AT_RISK_BELOW for d in documents) / len(documents)
    risk_weight = torch.tensor([0.5 / (1 - risk), 0.5 / max(risk, 0.05)]).sqrt()
    generator = torch.Generator().manual_seed(seed)

    def blurred(rows: Rows, deviation: float) -> Rows:
        return replace(rows, rows=rows.rows + deviation * torch.randn(rows.rows.shape, generator=generator))

    def stage(steps, groups, loss_of):
        optimiser = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
        rates = [g["lr"] for g in groups]
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.1)
        for _ in range(steps):
            chosen = torch.randperm(len(documents), generator=generator)[: schedule.batch].tolist()
            loss = loss_of([documents[i] for i in chosen])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            optimiser.step()
            rate.step()

    def rows_of(chunk):
        audio, text = (standardiser.apply(collate(chunk, m), m) for m in ("audio", "text"))
        return blurred(audio, schedule.audio_noise), blurred(text, schedule.text_noise)

    def with_one_left_out(chunk):
        audio, text = rows_of(chunk)
        draw = torch.rand(len(chunk), generator=generator)
        if variant.modalities == "audio":
            return audio, drop(text, draw >= 0)
        if variant.modalities == "text":
            return drop(audio, draw >= 0), text
        return drop(audio, draw > 1 - schedule.drop_audio), drop(text, draw < schedule.drop_text)

    def first(batch):
        return representation_loss(model, fused_in_chunks(model, batch, rows_of), schedule)

    def second(batch):
        return task_loss(model, fused_in_chunks(model, batch, with_one_left_out), schedule, risk_weight)

    model.train()
    if variant.contrasts:
        stage(schedule.first_steps, [{"params": list(model.parameters()), "lr": schedule.first_rate}], first)
    fusion = {"params": list(model.fusion.parameters()), "lr": schedule.second_rate * schedule.fusion_share}
    rest = [p for name, p in model.named_parameters() if not name.startswith("fusion.")]
    stage(schedule.second_steps, [fusion, {"params": rest, "lr": schedule.second_rate}], second)
    model.eval()
    standardiser.fold(model)
    return model


@torch.inference_mode()
def predict(model: Trained, documents: list[Document], modalities: str) -> dict[str, Tensor]:
    """-> {task: [N, C]} from `audio`, `text` or `audio_text`"""
    audio, text = collate(documents, "audio"), collate(documents, "text")
    everyone = torch.ones(len(documents), dtype=torch.bool)
    if "audio" not in modalities:
        audio = drop(audio, everyone)
    if "text" not in modalities:
        text = drop(text, everyone)
    return model.moe(model.fusion(audio, text).document)[0]
