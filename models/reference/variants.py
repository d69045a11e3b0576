"""What the ablations switch: HILBERT's objectives, readings, estimators and heads. The defaults are the whole."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hilbert import Fused, Fusion, FusionConfig, Rows, TaskConfig

OBJECTIVES = ("audio", "text", "concatenation", "direct", "dual", "dual+cka", "dual+balance", "dual+cka+balance")
HEADS = ("experts", "linear")


@dataclass(frozen=True)
class Variant:
    """`audio` and `text` hear one modality alone. `concatenation` has no joint vector and no contrast. `direct`
    contrasts audio with text, the rest each with the joint vector, with the structure (CKA) and balance terms named.
    """

    objective: str = "dual+cka+balance"
    head: str = "experts"
    reading: str = "A"  # B: the modalities' vectors pool the cross-attended streams
    biased_cka: bool = False

    def __post_init__(self):
        for value, allowed in ((self.objective, OBJECTIVES), (self.head, HEADS), (self.reading, ("A", "B"))):
            if value not in allowed:
                raise ValueError(f"{value!r}, expected one of {', '.join(allowed)}")

    def __str__(self) -> str:
        reading = "" if self.reading == "A" else ", reading B"
        return f"{self.objective}, {self.head}{reading}{', biased CKA' if self.biased_cka else ''}"

    @property
    def modalities(self) -> str:
        """What it hears: `audio`, `text` or `audio_text`."""
        return self.objective if self.objective in ("audio", "text") else "audio_text"

    @property
    def contrasts(self) -> bool:
        return self.objective == "direct" or "dual" in self.objective

    def fusion(self, config: FusionConfig) -> Fusion:
        if self.objective == "concatenation":
            return Concatenation(config)
        return ReadingB(config) if self.reading == "B" else Fusion(config)


WHOLE = Variant()


class Concatenation(Fusion):
    """Audio and text vectors alone: the joint vector is zero."""

    def forward(self, audio: Rows, text: Rows) -> Fused:
        fused = super().forward(audio, text)
        joint = torch.zeros_like(fused.joint)
        document = torch.cat([self.audio_norm(fused.audio), self.text_norm(fused.text), joint], 1)
        return replace(fused, joint=joint, document=document)


class ReadingB(Fusion):
    """The audio and text vectors pool the streams that have attended to the other modality."""

    def forward(self, audio: Rows, text: Rows) -> Fused:
        fused = super().forward(audio, text)
        has_audio, has_text = (rows.mask.amax(1, keepdim=True) for rows in (audio, text))  # [B, 1]
        z_a = has_audio * fused.cross_audio_pooled + (1 - has_audio) * self.null_cross_audio
        z_t = has_text * fused.cross_text_pooled + (1 - has_text) * self.null_cross_text
        document = torch.cat([self.audio_norm(z_a), self.text_norm(z_t), fused.joint], 1)
        return replace(fused, audio=z_a, text=z_t, document=document)


class LinearHeads(nn.Module):
    """One linear map a task in place of the experts."""

    def __init__(self, width: int, tasks: list[TaskConfig]):
        super().__init__()
        self.heads = nn.ModuleDict({t.name: nn.Linear(width, t.outputs) for t in tasks})

    def forward(self, u: Tensor) -> tuple[dict[str, Tensor], None, None]:
        """[B, 3 D] -> {task: [B, C]}; no gates, no router logits"""
        return {name: head(u) for name, head in self.heads.items()}, None, None
