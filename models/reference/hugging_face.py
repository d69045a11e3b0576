"""Frozen encoders in Hugging Face's format, from a folder: HuBERT, wav2vec 2.0 and WavLM; RoBERTa and T5.

The project ships none of their weights. Speech encoders read the waveform: a model on top of them declares
`features.kind: waveform`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoTokenizer, T5EncoderModel

from data import RATE
from hilbert import masked_mean, mean_and_deviation
from segment import SegmentConfig, segment
from word_pieces import Cue, TokenRow

SPEECH = ("hubert", "wav2vec2", "wavlm")
TEXT = ("roberta", "t5")


def configuration(folder: Path, kinds: tuple[str, ...]):
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type not in kinds:
        raise ValueError(f"{folder}: model type {config.model_type!r}, expected one of {', '.join(kinds)}")
    return config


class WaveformEncoder:
    """Mean and deviation over the real frames of the last layer, one row a segment."""

    def __init__(self, folder: Path):
        configuration(folder, SPEECH)
        self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval().requires_grad_(False)
        extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        if extractor.sampling_rate != RATE:
            raise ValueError(f"{folder}: {extractor.sampling_rate} Hz, expected {RATE}")
        self.normalise = extractor.do_normalize

    def features(self) -> dict:
        """What a checkpoint or manifest says of the encoder's input."""
        return {"kind": "waveform", "rate": RATE, "normalise": self.normalise}

    @torch.inference_mode()
    def frames(self, samples: np.ndarray) -> Tensor:
        """[N] -> [F, D]"""
        if self.normalise:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)  # Wav2Vec2FeatureExtractor's formula
        return self.model(torch.from_numpy(samples.astype(np.float32))[None]).last_hidden_state[0]

    def __call__(self, samples: np.ndarray) -> tuple[Tensor, list]:
        """-> rows [S, 2 D], spans in samples"""
        spans = segment(samples, SegmentConfig())
        rows = []
        for start, end in spans:
            frames = self.frames(samples[start:end])[None]
            rows.append(mean_and_deviation(frames, torch.ones(frames.shape[:2]))[0])
        return torch.stack(rows) if rows else torch.zeros(0, 2 * self.model.config.hidden_size), spans


class SubwordEncoder:
    """The mean over its tokens of the last layer of the encoder, one row for at most `max_tokens` of a cue."""

    def __init__(self, folder: Path, max_tokens: int = 64):
        config = configuration(folder, TEXT)
        kind = T5EncoderModel if config.model_type == "t5" else AutoModel
        self.model = kind.from_pretrained(folder, local_files_only=True).eval().requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.max_tokens = max_tokens
        example = self.tokenizer("a", return_special_tokens_mask=True)
        ids, special = example["input_ids"], example["special_tokens_mask"]
        self.before = ids[: special.index(0)]
        self.after = ids[len(special) - special[::-1].index(0) :]

    def token_rows(self, cues: list[Cue]) -> list[TokenRow]:
        """A cue with more tokens than fit is split evenly, its time by its tokens."""
        room = self.max_tokens - len(self.before) - len(self.after)
        result = []
        for cue in cues:
            ids = self.tokenizer(cue.text, add_special_tokens=False)["input_ids"]
            if not ids:
                continue
            pieces = -(-len(ids) // room)
            edges = np.linspace(0, len(ids), pieces + 1).round().astype(int).tolist()
            for a, b in zip(edges, edges[1:]):
                times = (None, None)
                if cue.start_s is not None:
                    length = cue.end_s - cue.start_s
                    times = tuple(cue.start_s + length * edge / len(ids) for edge in (a, b))
                result.append(TokenRow([*self.before, *ids[a:b], *self.after], *times))
        return result

    @torch.inference_mode()
    def __call__(self, cues: list[Cue]) -> tuple[Tensor, list[TokenRow]]:
        """-> rows [S, D], token rows"""
        packed = self.token_rows(cues)
        rows = []
        for row in packed:
            ids = torch.tensor([row.ids])
            mask = torch.ones_like(ids)
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            rows.append(masked_mean(hidden, mask.float())[0])
        return torch.stack(rows) if rows else torch.zeros(0, self.model.config.hidden_size), packed
