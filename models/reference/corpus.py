"""The audio that the speech student is distilled on, as segments in memory."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from data import distillation_recordings, join, sessions, utterance_audio
from interviews import interviews
from segment import SegmentConfig, segment
from synthesise import speak, spoken

EVERY, TURNS = 3, 10  # of the interviews, one in so many, and so many turns from its beginning
VOICES = 1  # the seed that draws them: others than those of the consultations that are classified
WINDOWS = replace(SegmentConfig(), long_pause_s=1.0)  # cut closer than documents are, so that less silence is distilled


def gather(recordings: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Recordings with samples in [-1, 1] -> the samples of their segments, int16"""
    return [
        np.clip(np.round(samples[start:end] * 32768), -32768, 32767).astype(np.int16)
        for samples in recordings
        for start, end in segment(samples, WINDOWS)
    ]


def unscored(data: Path) -> list[np.ndarray]:
    """Segments of book chapters and spoken orders: no scored speaker."""
    return gather(samples for _, samples in distillation_recordings(data))


def scored(data: Path, chosen: Iterable[int]) -> list[np.ndarray]:
    """Segments of the sessions with these indices in `data.sessions`."""
    every = sessions(data)
    return gather(join(utterance_audio(data, every[i]), every[i].gap_s, None, None)[0] for i in chosen)


def synthetic(data: Path, speak=speak) -> list[np.ndarray]:
    """Segments of synthetic speech: how the doctor-patient interviews begin, read by a synthesiser, two voices each."""
    begun = [replace(i, turns=i.turns[:TURNS]) for i in interviews(data)[::EVERY]]
    return gather(spoken(interview, VOICES, speak)[0] for interview in begun)
