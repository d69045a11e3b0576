"""Teacher features of every segment, computed once: the frozen speech teacher is the dear part of training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from data import distillation_recordings
from hilbert import SpeechEncoder
from log_mel import LogMelConfig, log_mel, real_frames
from segment import SegmentConfig, segment

TEACHER_MEL = LogMelConfig(frames=3000)
WINDOWS = replace(SegmentConfig(), long_pause_s=1.0)  # cut closer than documents are, so that less silence is distilled


def teacher_frames(teacher: SpeechEncoder, samples: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The last two layers over the real frames, averaged in pairs to 25 a second, float16 [F, D] each.

    The teacher sees 30 s with silence behind the segment, as it was trained, and attends to all of it.
    """
    mel = log_mel(torch.from_numpy(samples), TEACHER_MEL)[None].to(teacher.conv1.weight.dtype)
    with torch.inference_mode():
        outputs, _ = teacher.hidden(mel, None)
    frames = -(-real_frames(len(samples), TEACHER_MEL) // 4)
    third, fourth = (x[0, : 2 * frames].unflatten(0, (-1, 2)).float().mean(1).half() for x in outputs[-2:])
    return third, fourth


def cached_segments(data: Path, cache: Path, teacher) -> dict[str, torch.Tensor]:
    """Segments of the unscored recordings with their teacher frames, as flat tensors.

    `samples` int16 [N], `spans` [S, 2] into it, `third` and `fourth` float16 [F, D], `frames` [S, 2] into them.
    """
    path = cache / "speech-teacher.safetensors"
    if path.exists():
        return load_file(path)
    model = teacher()
    audio, spans, frames, third, fourth = [], [], [], [], []
    at = frame_at = 0
    for index, (name, samples) in enumerate(distillation_recordings(data)):
        for start, end in segment(samples, WINDOWS):
            piece = samples[start:end]
            a, b = teacher_frames(model, piece)
            audio.append(torch.from_numpy(np.clip(np.round(piece * 32768), -32768, 32767).astype(np.int16)))
            third.append(a)
            fourth.append(b)
            spans.append((at, at + len(piece)))
            frames.append((frame_at, frame_at + len(a)))
            at, frame_at = at + len(piece), frame_at + len(a)
        if index % 20 == 0:
            print(f"teacher: {index} {name}, {at / 16000:.0f} s of segments", flush=True)
    tensors = {
        "samples": torch.cat(audio),
        "spans": torch.tensor(spans),
        "third": torch.cat(third),
        "fourth": torch.cat(fourth),
        "frames": torch.tensor(frames),
    }
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.rename(path)
    return tensors
