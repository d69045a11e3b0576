"""Distils the text student from all-MiniLM-L6-v2, sentence by sentence, over a vocabulary cut to 8,192 pieces."""

import random
import re
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import devices
from data import sessions
from hilbert import TextConfig, TextEncoder
from pruning import strongest_neurons
from word_pieces import split_sentences, tokenizer

STUDENT = TextConfig(vocabulary=8192, positions=64, layers=2, ffn=512)
KEPT_LAYERS = (0, 5)
TEXTS = 24000  # drawn at random from all that the data holds


def distillation_texts(data: Path) -> list[str]:
    """Sentences, and runs of two to five of them: consultations, book chapters, spoken orders. No scored speaker."""
    sentences = []
    for path in sorted((data / "consultations").glob("*.txt")):
        turns = re.sub(r"^[A-Z]:\s*", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
        sentences.append(split_sentences(turns))
    for name in ("librispeech", "orders"):
        folder = data / "distill" / name
        transcripts = folder / "transcripts.txt"
        if transcripts.exists():
            lines = transcripts.read_text().splitlines()
            sentences.append([line.split(" ", 1)[1].lower() for line in lines])
    texts = []
    for group in sentences:
        texts += group
        for run in (2, 5):
            texts += [" ".join(group[i : i + run]) for i in range(0, len(group) - run, run)]
    texts = [t for t in dict.fromkeys(texts) if len(t) > 12]
    return random.Random(0).sample(texts, min(TEXTS, len(texts)))


def recogniser_texts(data: Path) -> list[str]:
    """What the recogniser heard in the scored sessions: for the vocabulary, never for distillation."""
    return [cue["text"] for s in sessions(data) for cue in s.transcript]


def encode(texts: list[str], vocabulary: list[str], max_tokens: int, device="cpu") -> tuple[Tensor, Tensor]:
    """-> ids and mask [B, L], cut at `max_tokens`, padded to the longest."""
    model = tokenizer(vocabulary)
    cls, sep = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    ids = [[cls, *e.ids[: max_tokens - 2], sep] for e in model.encode_batch(texts, add_special_tokens=False)]
    padded = nn.utils.rnn.pad_sequence([torch.tensor(i) for i in ids], True)  # [PAD] is 0
    mask = (torch.arange(padded.shape[1]) < torch.tensor([len(i) for i in ids])[:, None]).float()
    return padded.to(device), mask.to(device)


def student_from_teacher(teacher: TextEncoder, full: list[str], vocabulary: list[str], texts: list[str]) -> TextEncoder:
    """The teacher's first and last layer with the feed-forward neurons of largest mean output, its own embeddings."""
    student = TextEncoder(STUDENT)
    examples = encode(texts[:512], full, STUDENT.max_tokens)
    layers = [teacher.layers[i] for i in KEPT_LAYERS]
    neurons = strongest_neurons(layers, lambda: teacher(*examples), STUDENT.ffn)
    source = teacher.state_dict()
    index = {p: i for i, p in enumerate(full)}
    state = {
        "tokens.weight": source["tokens.weight"][[index[p] for p in vocabulary]],
        "positions.weight": source["positions.weight"][: STUDENT.positions],
        "norm.weight": source["norm.weight"],
        "norm.bias": source["norm.bias"],
    }
    for ours, (theirs, kept) in enumerate(zip(KEPT_LAYERS, neurons)):
        for name, value in source.items():
            prefix = f"layers.{theirs}."
            if name.startswith(prefix):
                part = name.removeprefix(prefix)
                if part.startswith("expand"):
                    value = value[kept]
                elif part == "contract.weight":
                    value = value[:, kept]
                state[f"layers.{ours}.{part}"] = value
    student.load_state_dict({k: v.clone() for k, v in state.items()})
    return student


def teacher_rows(teacher: TextEncoder, full: list[str], texts: list[str]) -> Tensor:
    """[N, D] sentence vectors of the teacher over the same 64 tokens, in bfloat16."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows = torch.empty(len(texts), teacher.config.width)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(order), 256):
            chosen = order[i : i + 256]
            rows[chosen] = teacher(*encode([texts[j] for j in chosen], full, STUDENT.max_tokens)).float()
    return rows


def train(
    student: TextEncoder,
    vocabulary: list[str],
    texts: list[str],
    targets: Tensor,
    epochs: int,
    rate: float,
    seed: int,
    device: str,
):
    """Minimises the squared distance and one minus the cosine to the teacher's rows."""
    generator = torch.Generator().manual_seed(seed)
    size = 64
    groups_per_epoch = -(-len(texts) // size)
    total = epochs * groups_per_epoch
    optimiser = torch.optim.AdamW(student.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=total, pct_start=0.05)
    scale = targets.std(0).clamp(min=1e-2)  # one of the teacher's dimensions is constant
    ids, mask = encode(texts, vocabulary, STUDENT.max_tokens)
    lengths = mask.sum(1).int()
    student.train()
    for epoch in range(epochs):
        began, seen = time.time(), 0.0
        order = torch.argsort(lengths + 6 * torch.rand(len(texts), generator=generator))
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        for g in torch.randperm(len(groups), generator=generator).tolist():
            chosen = groups[g]
            longest = int(lengths[chosen].max())
            with devices.activations(device):
                rows = student(ids[chosen, :longest].to(device), mask[chosen, :longest].to(device))
            wanted = targets[chosen].to(device)
            cosine = functional.cosine_similarity(rows.float(), wanted).mean()
            loss = 1 - cosine + 0.3 * (((rows.float() - wanted) / scale.to(device)) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0, error_if_nonfinite=True)
            optimiser.step()
            schedule.step()
            seen += cosine.item()
        print(
            f"text epoch {epoch + 1}/{epochs} cosine {seen / len(groups):.4f} {time.time() - began:.0f} s", flush=True
        )
    student.eval()
