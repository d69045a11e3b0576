"""Pause segmentation: the specification of the runtime's `segment` stage, frame by frame.

Audio segments depend on the audio alone. A frame of 10 ms is speech when its level stands `margin_db` above a noise
floor that falls at once and rises slowly. A segment closes at a pause once it is long enough, at a long pause in any
case, and at the quietest frame near its end when no pause comes before `max_s`. Every sample belongs to exactly one
segment or one pause.
"""

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class SegmentConfig:
    frame: int = 160  # samples: 10 ms at 16 kHz
    min_s: float = 6.0  # a pause closes a segment that is at least this long
    max_s: float = 10.0  # no segment is longer
    search_s: float = 3.0  # without a pause, the cut is at the quietest frame of the last `search_s`
    pause_s: float = 0.2  # this much silence is a pause
    long_pause_s: float = 2.0  # this much silence closes a segment of any length
    padding_s: float = 0.1  # silence kept on either side of speech
    min_speech_s: float = 0.1  # a segment with less speech than this is a pause
    margin_db: float = 12.0  # speech stands this far above the floor
    floor_min_db: float = -65.0  # dBFS; the floor is never taken lower, so digital silence does not make noise speech
    floor_max_db: float = -35.0  # dBFS; nor higher, so continuous speech does not become its own floor
    floor_rise_db_per_s: float = 3.0

    to_dict = asdict


def frame_levels(samples: np.ndarray, frame: int) -> np.ndarray:
    """Mean power of each frame in dBFS, the last one over the samples it has. [n] -> [ceil(n / frame)]"""
    samples = samples.astype(np.float64)
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    counts = np.full(len(padded), frame)
    if len(samples) % frame:
        counts[-1] = len(samples) % frame
    return 10 * np.log10((padded**2).sum(1) / counts + 1e-10)


def speech_frames(levels: np.ndarray, config: SegmentConfig) -> np.ndarray:
    """Which frames are speech. The floor starts at the first frame's level, clamped."""
    rise = config.floor_rise_db_per_s / 100
    speech = np.zeros(len(levels), bool)
    floor = config.floor_max_db
    for i, level in enumerate(levels):
        floor = min(max(min(level, floor + rise), config.floor_min_db), config.floor_max_db)
        speech[i] = level > floor + config.margin_db
    return speech


def segment(samples: np.ndarray, config: SegmentConfig) -> list[tuple[int, int]]:
    """Spans [start, end) in samples, ascending and disjoint; what lies between them is pause."""
    frames = {k: round(v * 100) for k, v in config.to_dict().items() if k.endswith("_s") and k != "floor_rise_db_per_s"}
    minimum, maximum, padding = frames["min_s"], frames["max_s"], frames["padding_s"]
    levels = frame_levels(samples, config.frame)
    speech = speech_frames(levels, config)
    spans = []
    closed = 0  # frames before this one are decided
    start = None  # first frame of the open segment
    last = 0  # frame after the last speech frame of the open segment
    voiced = 0  # speech frames in the open segment

    def close(end):
        nonlocal start, closed, voiced
        if end > start and voiced >= frames["min_speech_s"]:
            spans.append((start * config.frame, min(end * config.frame, len(samples))))
        closed, start, voiced = end, None, 0

    for i in range(len(levels)):
        if start is None:
            if not speech[i]:
                continue
            start = max(closed, i - padding)
        if speech[i]:
            last, voiced = i + 1, voiced + 1
        silence = i + 1 - last
        long_enough = last + padding - start >= minimum and silence >= max(frames["pause_s"], padding)
        if long_enough or silence >= frames["long_pause_s"]:
            close(min(last + padding, i + 1))
        elif i + 1 - start == maximum:
            if silence >= frames["pause_s"]:
                close(min(last + padding, i + 1))
                continue
            tail = levels[i + 1 - frames["search_s"] : i + 1]
            cut = i + 1 - frames["search_s"] + int(np.argmin(tail)) + 1  # the quietest frame ends its segment
            after = int(speech[cut : i + 1].sum())
            voiced -= after
            close(cut)
            start, voiced = (cut, after) if cut <= i else (None, 0)
            last = max(last, cut)
    if start is not None:
        close(min(last + padding, len(levels)))
    return spans
