"""HILBERT in one file: a recording's segments and its transcript's cues become one document vector and its classes.

Sources: Naderi et al., "Joint-Centric Dual Contrastive Alignment ..." (arXiv 2604.16247) for the structure that its
abstract confirms: segment features of frozen encoders, cross-modal attention, self-attentive pooling, audio, text and
joint vectors, a mixture of experts over their concatenation. Everything at the level of equations is inferred
(reading A); docs/method.md marks which part is which. Encoders: Whisper (openai/whisper, whisper/model.py) and BERT
(huggingface/transformers, models/bert/modeling_bert.py), pooled as sentence-transformers pools.

Dimension letters: B documents, S segments or cues, M mel bands, T log-mel frames, F encoder frames, L tokens,
D width, H heads, E experts, K tasks.
"""

import math
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from merging import Kept, kept


@dataclass
class SpeechConfig:
    """A Whisper-style encoder. The defaults are whisper-tiny.en's."""

    n_mels: int = 80
    frames: int = 3000  # log-mel frames of one input, 10 ms each
    width: int = 384
    heads: int = 6
    layers: int = 4
    ffn: int = 1536
    halve_after: int = 0  # frames are averaged in pairs after this many layers; 0: never

    @property
    def reduction(self) -> int:
        """Log-mel frames that become one frame of the last layer."""
        return 4 if 0 < self.halve_after < self.layers else 2


@dataclass
class TextConfig:
    """A BERT-style encoder. The defaults are all-MiniLM-L6-v2's."""

    vocabulary: int = 30522
    positions: int = 512
    width: int = 384
    heads: int = 12
    layers: int = 6
    ffn: int = 1536
    max_tokens: int = 64  # of one cue, [CLS] and [SEP] among them


@dataclass
class AlignmentConfig:
    hidden: int = 192
    classes: int = 29  # the blank and characters.ALPHABET


@dataclass
class FusionConfig:
    audio_row: int = 768
    text_row: int = 384
    width: int = 256
    heads: int = 4
    pooling: int = 128
    contrast: int = 128
    dropout: float = 0.1
    n_max: int = 512  # rows of one modality kept for cross-attention
    period_min_s: float = 0.5  # shortest wavelength of the position encoding
    period_max_s: float = 20000.0  # longest wavelength


@dataclass
class TaskConfig:
    name: str
    kind: str  # ordinal: one score; binary, multi_class, multi_label: one logit a label
    labels: list[str]

    @property
    def outputs(self) -> int:
        """Values that its head gives."""
        return 1 if self.kind == "ordinal" else len(self.labels)


@dataclass
class ExpertsConfig:
    count: int = 4
    width: int = 128
    threshold: float = 0.0  # experts whose gate is below this are not run


@dataclass
class HilbertConfig:
    speech: SpeechConfig
    text: TextConfig
    fusion: FusionConfig
    experts: ExpertsConfig
    tasks: list[TaskConfig] = field(default_factory=list)

    to_dict = asdict

    @classmethod
    def from_dict(cls, d):
        return cls(
            SpeechConfig(**d["speech"]),
            TextConfig(**d["text"]),
            FusionConfig(**d["fusion"]),
            ExpertsConfig(**d["experts"]),
            [TaskConfig(**t) for t in d["tasks"]],
        )


def sinusoids(positions: Tensor, width: int, period_min: float, period_max: float) -> Tensor:
    """Sines in the first half, cosines in the second, periods in geometric progression. [n] -> [n, width]"""
    steps = torch.arange(width // 2, dtype=torch.float64, device=positions.device) / (width // 2 - 1)
    angles = positions.double()[:, None] * (2 * math.pi / period_min) * (period_min / period_max) ** steps
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over dimension 1 of the places where the mask is 1. [B, N, D], [B, N] -> [B, D]"""
    weights = mask / mask.sum(1, keepdim=True).clamp(min=1)  # [B, N]
    return (x * weights[..., None]).sum(1)


def additive(mask: Tensor) -> Tensor:
    """1 where a key counts, 0 where not -> 0 and -1e4, to be added to attention scores."""
    return (mask - 1) * 1e4


class Attention(nn.Module):
    """Multi-head self-attention. Whisper's key projection has no bias: it is held at zero there."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def mix(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The heads' weighted values, side by side. [B, N, D], additive [B, N] or None -> [B, N, D]"""

        def split(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, H, N, D / H]

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        bias = None if bias is None else bias[:, None, None, :].to(query.dtype)  # [B, 1, 1, N]
        y = functional.scaled_dot_product_attention(query, key, value, bias)  # [B, H, N, D / H]
        return y.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """[B, N, D], additive [B, N] or None -> [B, N, D]"""
        return self.output(self.mix(x, bias))


class Layer(nn.Module):
    """One transformer layer: Whisper normalises before each half, BERT after."""

    def __init__(self, width: int, heads: int, ffn: int, pre_norm: bool, epsilon: float):
        super().__init__()
        self.pre_norm = pre_norm
        self.attention = Attention(width, heads)
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.expand = nn.Linear(width, ffn)
        self.contract = nn.Linear(ffn, width)
        self.ffn_norm = nn.LayerNorm(width, epsilon)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.contract(functional.gelu(self.expand(x)))

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """[B, N, D], additive [B, N] -> [B, N, D]"""
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), bias)
            return x + self.feed_forward(self.ffn_norm(x))
        x = self.attention_norm(x + self.attention(x, bias))
        return self.ffn_norm(x + self.feed_forward(x))


def halved(frames: Tensor) -> Tensor:
    """The means of pairs of frames. [B, F, D] -> [B, F / 2, D]"""
    return frames.unflatten(1, (-1, 2)).mean(2)


class SpeechEncoder(nn.Module):
    """Log-mel to one row: mean and deviation over the real frames of the last layer."""

    def __init__(self, config: SpeechConfig):
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.n_mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        positions = torch.arange(config.frames // 2)
        # Whisper's wavelengths in frames: 2 pi to 20000 pi
        self.register_buffer(
            "positions", sinusoids(positions, config.width, 2 * math.pi, 2e4 * math.pi), persistent=False
        )  # [T / 2, D]
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.ffn, True, 1e-5) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def embed(self, log_mel: Tensor) -> Tensor:
        """The convolutions and the positions. [B, M, T] -> [B, T / 2, D]"""
        x = functional.gelu(self.conv1(log_mel))  # [B, D, T]
        x = functional.gelu(self.conv2(x)).transpose(1, 2)  # [B, T / 2, D]
        return x + self.positions[: x.shape[1]]

    def hidden(self, log_mel: Tensor, mask: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
        """Every layer's output, the last one normalised, and the mask at its rate.

        [B, M, T], [B, T] or None (attend to padding, as the teacher was trained) -> layers of [B, F, D], [B, F]
        """
        x = self.embed(log_mel)  # [B, T / 2, D]
        mask = None if mask is None else mask[:, ::2]  # [B, T / 2]
        outputs = []
        for i, layer in enumerate(self.layers):
            if i and i == self.config.halve_after:
                x = halved(x)  # [B, T / 4, D]
                mask = None if mask is None else mask[:, ::2]  # [B, T / 4]
            x = layer(x, None if mask is None else additive(mask))
            outputs.append(x)
        outputs[-1] = self.norm(x)
        return outputs, mask

    def rows_and_frames(self, log_mel: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, M, T], [B, T] with 1 at real frames -> rows [B, 2 D], last frames [B, F, D], their mask [B, F]"""
        outputs, frames = self.hidden(log_mel, mask)
        return mean_and_deviation(outputs[-1], frames), outputs[-1], frames

    def forward(self, log_mel: Tensor, mask: Tensor) -> Tensor:
        """[B, M, T], [B, T] with 1 at real frames -> rows [B, 2 D]"""
        return self.rows_and_frames(log_mel, mask)[0]


def mean_and_deviation(x: Tensor, mask: Tensor) -> Tensor:
    """[B, F, D], [B, F] -> [B, 2 D]; the deviation is the population's, its variance floored at 1e-6."""
    mean = masked_mean(x, mask)  # [B, D]
    variance = masked_mean((x - mean[:, None]) ** 2, mask)  # [B, D]
    return torch.cat([mean, variance.clamp(min=1e-6).sqrt()], 1)


class AlignmentHead(nn.Module):
    """Character posteriors of a speech encoder's frames, for CTC (Graves et al. 2006); class 0 is the blank."""

    def __init__(self, width: int, config: AlignmentConfig):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.reduce = nn.Linear(width, config.hidden)
        self.context = nn.Conv1d(config.hidden, config.hidden, 3, padding=1)
        self.classes = nn.Linear(config.hidden, config.classes)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, F, D], zeros beyond a segment's end -> log posteriors [B, F, C]"""
        x = functional.gelu(self.reduce(self.norm(frames)))  # [B, F, H]
        x = functional.gelu(self.context(x.transpose(1, 2))).transpose(1, 2)
        return self.classes(x).log_softmax(2)


class TextEncoder(nn.Module):
    """Word pieces of one cue to one row: the mean over its tokens of the last layer, as sentence-transformers pools."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)  # BERT's segment A embedding is added to these
        self.norm = nn.LayerNorm(config.width, 1e-12)
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.ffn, False, 1e-12) for _ in range(config.layers)
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, L] ids, [B, L] with 1 at real tokens -> rows [B, D]"""
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]  # [B, L, D]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, additive(mask))
        return masked_mean(x, mask)


class Pooling(nn.Module):
    """The score of self-attentive pooling (Lin et al. 2017, one hop): w tanh(U x)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.hidden = nn.Linear(width, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [...]"""
        return self.score(self.hidden(x).tanh()).squeeze(-1)


def pool(x: Tensor, logit: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the rows, and its weighted sum; zeros where there is no row. [B, S, D], [B, S], [B, S] -> [B, D]"""
    weights = logit.masked_fill(mask == 0, -1e9).softmax(1) * mask  # [B, S]
    return (weights[..., None] * x).sum(1)


class Projection(nn.Module):
    """An encoder's rows brought to the fusion's width, then placed in time: LN(W row + b) + position."""

    def __init__(self, row: int, config: FusionConfig):
        super().__init__()
        self.linear = nn.Linear(row, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.pool = Pooling(config.width, config.pooling)

    def forward(self, rows: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """[..., R], [..., D] -> X [..., D] and its pooling score [...]"""
        x = self.norm(self.linear(rows)) + position
        return x, self.pool(x)


class CrossAttention(nn.Module):
    """Rows of one modality attend to the rows of the other: C = LN(X + MHA(X, X_other)).

    Attention over no keys adds nothing: C = LN(X + b) when the other modality is absent.
    """

    def __init__(self, config: FusionConfig):
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.output = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.pool = Pooling(config.width, config.pooling)

    def forward(self, x: Tensor, other: Kept) -> tuple[Tensor, Tensor]:
        """[B, Q, D], N rows of the other modality -> C [B, Q, D] and its pooling score [B, Q]"""

        def split(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, H, N, D / H]

        query, key, value = split(self.query(x)), split(self.key(other.x)), split(self.value(other.x))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])  # [B, H, Q, N]
        scores = scores + (other.log_size + (other.mask - 1) * 1e9)[:, None, None, :]
        weights = scores.softmax(3) * other.mask[:, None, None, :]  # [B, H, Q, N]
        attended = (weights @ value).transpose(1, 2).flatten(2)  # [B, Q, D]
        c = self.norm(x + self.output(attended))
        return c, self.pool(c)


@dataclass
class Rows:
    """One modality of a batch of documents."""

    rows: Tensor  # [B, S, R] of the encoder
    middle_s: Tensor  # [B, S] seconds in float64, NaN where untimed: hours in float32 would lose the shortest periods
    mask: Tensor  # [B, S] 1 at real rows

    def to(self, device: str) -> "Rows":
        return Rows(*(x.to(device) for x in vars(self).values()))


@dataclass
class Fused:
    """Every tensor of the fusion, named as the golden file names it. Na and Nt rows are kept of Sa and St."""

    audio_x: Tensor  # [B, Sa, D]
    audio_score: Tensor  # [B, Sa]
    text_x: Tensor  # [B, St, D]
    text_score: Tensor  # [B, St]
    cross_audio: Tensor  # [B, Na, D]
    cross_audio_score: Tensor  # [B, Na]
    cross_text: Tensor  # [B, Nt, D]
    cross_text_score: Tensor  # [B, Nt]
    audio_pooled: Tensor  # [B, D]
    text_pooled: Tensor  # [B, D]
    cross_audio_pooled: Tensor  # [B, D]
    cross_text_pooled: Tensor  # [B, D]
    audio: Tensor  # z_a [B, D]
    text: Tensor  # z_t [B, D]
    joint: Tensor  # z_j [B, D]
    document: Tensor  # u [B, 3 D]


class Fusion(nn.Module):
    """Reading A: z_a and z_t pool their own modality alone, z_j the two cross-attended streams."""

    def __init__(self, config: FusionConfig):
        super().__init__()
        self.config = config
        self.project_audio = Projection(config.audio_row, config)
        self.project_text = Projection(config.text_row, config)
        self.cross_audio = CrossAttention(config)
        self.cross_text = CrossAttention(config)
        for name in ("audio", "text", "cross_audio", "cross_text"):
            setattr(self, f"null_{name}", nn.Parameter(torch.zeros(config.width)))
        self.audio_norm = nn.LayerNorm(config.width)
        self.text_norm = nn.LayerNorm(config.width)
        self.joint = nn.Linear(2 * config.width, config.width)
        self.joint_norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def position(self, middle_s: Tensor) -> Tensor:
        """[B, S] seconds -> [B, S, D], zeros where untimed."""
        flat = middle_s.reshape(-1)
        timed = ~flat.isnan()
        config = self.config
        code = sinusoids(flat.nan_to_num(), config.width, config.period_min_s, config.period_max_s)
        return (code * timed[:, None]).reshape(*middle_s.shape, config.width)

    def kept(self, x: Tensor, score: Tensor, mask: Tensor) -> Kept:
        """What cross-attention sees: every row in training, at most `n_max` else, as on the device."""
        return kept(x, score, mask, math.inf if self.training else self.config.n_max)

    def forward(self, audio: Rows, text: Rows) -> Fused:
        audio_x, audio_score = self.project_audio(self.dropout(audio.rows), self.position(audio.middle_s))
        text_x, text_score = self.project_text(self.dropout(text.rows), self.position(text.middle_s))
        audio_kept = self.kept(audio_x, audio_score, audio.mask)
        text_kept = self.kept(text_x, text_score, text.mask)
        cross_audio, cross_audio_score = self.cross_audio(audio_kept.x, text_kept)
        cross_text, cross_text_score = self.cross_text(text_kept.x, audio_kept)
        audio_pooled = pool(audio_x, audio_score, audio.mask)
        text_pooled = pool(text_x, text_score, text.mask)
        cross_audio_pooled = pool(cross_audio, cross_audio_score + audio_kept.log_size, audio_kept.mask)
        cross_text_pooled = pool(cross_text, cross_text_score + text_kept.log_size, text_kept.mask)
        has_audio = audio.mask.amax(1, keepdim=True)  # [B, 1]
        has_text = text.mask.amax(1, keepdim=True)  # [B, 1]
        z_a = has_audio * audio_pooled + (1 - has_audio) * self.null_audio
        z_t = has_text * text_pooled + (1 - has_text) * self.null_text
        z_ca = has_audio * cross_audio_pooled + (1 - has_audio) * self.null_cross_audio
        z_ct = has_text * cross_text_pooled + (1 - has_text) * self.null_cross_text
        z_j = self.joint_norm(self.joint(torch.cat([z_ca, z_ct], 1)))  # [B, D]
        document = torch.cat([self.audio_norm(z_a), self.text_norm(z_t), z_j], 1)  # [B, 3 D]
        return Fused(
            audio_x,
            audio_score,
            text_x,
            text_score,
            cross_audio,
            cross_audio_score,
            cross_text,
            cross_text_score,
            audio_pooled,
            text_pooled,
            cross_audio_pooled,
            cross_text_pooled,
            z_a,
            z_t,
            z_j,
            document,
        )


class Expert(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, u: Tensor) -> Tensor:
        """[B, 3 D] -> [B, W]"""
        return self.contract(self.dropout(functional.gelu(self.expand(u))))


class MixtureOfExperts(nn.Module):
    """Shared experts, one dense softmax gate and one output layer a task (MMoE, Ma et al. 2018)."""

    def __init__(self, width: int, config: ExpertsConfig, tasks: list[TaskConfig], dropout: float):
        super().__init__()
        self.config = config
        self.router = nn.Linear(width, len(tasks) * config.count, bias=False)
        self.experts = nn.ModuleList(Expert(width, config.width, dropout) for _ in range(config.count))
        self.heads = nn.ModuleDict({t.name: nn.Linear(config.width, t.outputs) for t in tasks})

    def gates(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3 D] -> gates and router logits [B, K, E]; gates under the threshold are 0, the rest sum to 1."""
        logits = self.router(u).unflatten(1, (-1, self.config.count))  # [B, K, E]
        gates = logits.softmax(2)
        gates = gates * (gates >= self.config.threshold)
        return gates / gates.sum(2, keepdim=True), logits

    def forward(self, u: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """[B, 3 D] -> {task: [B, C]}, gates [B, K, E], router logits [B, K, E]"""
        gates, logits = self.gates(u)
        outputs = torch.stack([e(u) for e in self.experts], 1)  # [B, E, W]
        mixed = gates @ outputs  # [B, K, W]
        return {name: head(mixed[:, k]) for k, (name, head) in enumerate(self.heads.items())}, gates, logits


class Hilbert(nn.Module):
    def __init__(self, config: HilbertConfig, alignment: AlignmentConfig | None = None):
        super().__init__()
        self.config = config
        self.speech = SpeechEncoder(config.speech)
        self.text = TextEncoder(config.text)
        self.fusion = Fusion(config.fusion)
        self.moe = MixtureOfExperts(3 * config.fusion.width, config.experts, config.tasks, 0.2)
        self.alignment = AlignmentHead(config.speech.width, alignment) if alignment else None

    def forward(self, audio: Rows, text: Rows) -> tuple[dict[str, Tensor], Fused]:
        """Encoder rows, as the encoders run one segment at a time -> {task: logits or score [B, C]}"""
        fused = self.fusion(audio, text)
        return self.moe(fused.document)[0], fused
