"""From samples and cues to the rows that the fusion reads, one segment and one cue at a time, as the device does."""

import numpy as np
import torch
from torch import Tensor

from hilbert import Rows, SpeechEncoder, TextEncoder
from log_mel import LogMelConfig, log_mel, real_frames
from segment import SegmentConfig, segment
from word_pieces import Cue, TokenRow, token_rows

CONV_REACH = 4  # log-mel frames that the two convolutions see beyond the last real one, rounded up


def segment_inputs(samples: np.ndarray, spans: list, config: LogMelConfig) -> tuple[Tensor, Tensor]:
    """-> log-mel [S, M, T] and mask [S, T]"""
    mels = [log_mel(torch.from_numpy(samples[a:b]), config) for a, b in spans]
    counts = torch.tensor([real_frames(b - a, config) for a, b in spans])
    return torch.stack(mels), (torch.arange(config.frames) < counts[:, None]).float()


def cue_inputs(rows: list[TokenRow], max_tokens: int) -> tuple[Tensor, Tensor]:
    """-> ids [S, L] padded with 0, and mask [S, L]"""
    ids = torch.zeros(len(rows), max_tokens, dtype=torch.int64)
    mask = torch.zeros(len(rows), max_tokens)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
    return ids, mask


def middle(start: float | None, end: float | None) -> float:
    return float("nan") if start is None else (start + end) / 2


def audio_rows(encoder: SpeechEncoder, samples: np.ndarray, config: SegmentConfig, mel: LogMelConfig) -> tuple:
    """-> rows [S, R], spans in samples"""
    rows, _, spans = audio_rows_and_frames(encoder, samples, config, mel)
    return rows, spans


def audio_rows_and_frames(
    encoder: SpeechEncoder, samples: np.ndarray, config: SegmentConfig, mel: LogMelConfig
) -> tuple[Tensor, list[Tensor], list]:
    """-> rows [S, R], real frames [F, D] of each segment, spans in samples

    Segments of like length run together; padding is masked.
    """
    spans = segment(samples, config)
    rows, every = torch.zeros(len(spans), 2 * encoder.config.width), [torch.zeros(0)] * len(spans)
    order = sorted(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0])
    device = encoder.conv1.weight.device
    with torch.inference_mode():
        for i in range(0, len(order), 8):
            chosen = order[i : i + 8]
            mels, masks = segment_inputs(samples, [spans[j] for j in chosen], mel)
            longest = int(masks.sum(1).max())
            # what is masked and beyond the convolutions' reach changes nothing
            length = min(mel.frames, -(-(longest + CONV_REACH) // 4) * 4)
            mels, masks = mels[:, :, :length].to(device), masks[:, :length].to(device)
            found, frames, kept = (x.cpu() for x in encoder.rows_and_frames(mels, masks))
            rows[chosen] = found.float()
            for j, x, real in zip(chosen, frames.float(), kept):
                every[j] = x[real > 0]
    return rows, every, spans


def text_rows(encoder: TextEncoder, cues: list[Cue], vocabulary: list[str]) -> tuple[Tensor, list[TokenRow]]:
    """-> rows [S, R], token rows"""
    packed = token_rows(cues, vocabulary, encoder.config.max_tokens)
    if not packed:
        return torch.zeros(0, encoder.config.width), packed
    with torch.inference_mode():
        ids, mask = (x.to(encoder.tokens.weight.device) for x in cue_inputs(packed, encoder.config.max_tokens))
        return encoder(ids, mask).float().cpu(), packed


def one_document(rows: Tensor, middles: list[float], width: int) -> Rows:
    """A batch of one, on the rows' device; an absent modality is one masked row."""
    if len(rows) == 0:
        empty = torch.zeros(1, 1)
        return Rows(torch.zeros(1, 1, width), empty, empty.clone()).to(rows.device)
    times = torch.tensor([middles], dtype=torch.float64)
    return Rows(rows[None], times, torch.ones(1, len(rows))).to(rows.device)
