"""Teacher features of every segment, computed once: the frozen speech teacher is the dear part of training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from data import SCORES, distillation_recordings, join, places, segment_scores, sessions, utterance_audio
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


def cached_segments(path: Path, recordings, teacher) -> dict[str, torch.Tensor]:
    """Segments of `recordings`, an iterator of name and samples, with their teacher frames, as flat tensors.

    `samples` int16 [N], `spans` [S, 2] into it, `third` and `fourth` float16 [F, D], `frames` [S, 2] into them;
    `recording` [S] the index of the segment's recording and `origin` [S, 2] the samples of it that the segment holds.
    """
    if path.exists():
        return load_file(path)
    model = teacher()
    audio, spans, frames, third, fourth, recording, origin = ([] for _ in range(7))
    at = frame_at = 0
    for index, (name, samples) in enumerate(recordings):
        for start, end in segment(samples, WINDOWS):
            piece = samples[start:end]
            a, b = teacher_frames(model, piece)
            audio.append(torch.from_numpy(np.clip(np.round(piece * 32768), -32768, 32767).astype(np.int16)))
            third.append(a)
            fourth.append(b)
            spans.append((at, at + len(piece)))
            frames.append((frame_at, frame_at + len(a)))
            recording.append(index)
            origin.append((start, end))
            at, frame_at = at + len(piece), frame_at + len(a)
        if index % 20 == 0:
            print(f"teacher: {index} {name}, {at / 16000:.0f} s of segments", flush=True)
    tensors = {
        "samples": torch.cat(audio),
        "spans": torch.tensor(spans),
        "third": torch.cat(third),
        "fourth": torch.cat(fourth),
        "frames": torch.tensor(frames),
        "recording": torch.tensor(recording),
        "origin": torch.tensor(origin),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.rename(path)
    return tensors


def unscored_segments(data: Path, cache: Path, teacher) -> dict[str, torch.Tensor]:
    """Those of the book chapters and spoken orders; `scores` [S, 4] is NaN."""
    segments = cached_segments(cache / "teacher-unscored.safetensors", distillation_recordings(data), teacher)
    return {**segments, "scores": torch.full((len(segments["spans"]), len(SCORES)), float("nan"))}


def scored_segments(data: Path, cache: Path, teacher) -> dict[str, torch.Tensor]:
    """Those of the sessions with silent gaps; `recording` is the index in `sessions`, `scores` [S, 4] the experts'."""
    every = sessions(data)
    joined = ((s.speaker, join(utterance_audio(data, s), s.gap_s, None, None)[0]) for s in every)
    segments = cached_segments(cache / "teacher-scored.safetensors", joined, teacher)
    scores = torch.empty(len(segments["spans"]), len(SCORES))
    for index, session in enumerate(every):
        mine = segments["recording"] == index
        spans = places([u["samples"] for u in session.utterances], session.gap_s)
        scores[mine] = torch.from_numpy(segment_scores(session, spans, segments["origin"][mine].tolist()))
    return {**segments, "scores": scores}


def select(segments: dict[str, torch.Tensor], chosen: torch.Tensor) -> dict[str, torch.Tensor]:
    """The segments at the indices `chosen`; samples and frames are shared, not copied."""
    per_segment = ("spans", "frames", "recording", "origin", "scores")
    return {name: value[chosen] if name in per_segment else value for name, value in segments.items()}
