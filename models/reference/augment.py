"""What recordings suffer: other voices and rates, rooms, noise, telephone lines, levels.

Samples are float32 in [-1, 1] at 16 kHz.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from data import RATE


@dataclass(frozen=True)
class Augmentation:
    """How often each change is made, and its range."""

    faster: float = 0.3
    faster_by: tuple[float, float] = (0.9, 1.15)
    room: float = 0.3
    room_s: tuple[float, float] = (0.1, 0.5)
    room_share: tuple[float, float] = (0.1, 0.5)
    noise: float = 0.5
    noise_db: tuple[float, float] = (10.0, 40.0)
    telephone: float = 0.15
    level_db: tuple[float, float] = (-12.0, 6.0)


def faster(samples: np.ndarray, factor: float) -> np.ndarray:
    """Played `factor` times as fast, so that pitch and formants rise with the rate."""
    return resample_poly(samples, 100, round(100 * factor)).astype(np.float32)


def in_room(samples: np.ndarray, decay_s: float, share: float, rng) -> np.ndarray:
    """With reverberation of `share` times its amplitude: white noise that falls by 60 dB in `decay_s`."""
    n = int(decay_s * RATE)
    response = rng.normal(size=n) * np.exp(-6.9 * np.arange(n) / n)
    response *= share / np.sqrt(np.square(response).sum())
    response[0] += 1
    return fftconvolve(samples, response)[: len(samples)]


def with_noise(samples: np.ndarray, ratio_db: float, smooth: bool, rng) -> np.ndarray:
    """With white noise, or its average over nine samples, at a signal-to-noise ratio over the whole."""
    noise = rng.normal(size=len(samples))
    if smooth:
        noise = np.convolve(noise, np.ones(9) / 9, "same")
    power = np.square(samples).mean() / max(np.square(noise).mean(), 1e-12)
    return samples + noise * np.sqrt(power) * 10 ** (-ratio_db / 20)


def by_telephone(samples: np.ndarray) -> np.ndarray:
    """Sampled at 8 kHz on the way: nothing above 4 kHz is left."""
    return resample_poly(resample_poly(samples, 1, 2), 2, 1)[: len(samples)]


def revoiced(samples: np.ndarray, config: Augmentation, rng) -> np.ndarray:
    """Sometimes another rate and pitch: the one change that the teacher hears too."""
    return faster(samples, rng.uniform(*config.faster_by)) if rng.random() < config.faster else samples


def spoiled(samples: np.ndarray, config: Augmentation, rng) -> np.ndarray:
    """What the student must hear through: the teacher does not hear it. Length is kept."""
    if rng.random() < config.room:
        samples = in_room(samples, rng.uniform(*config.room_s), rng.uniform(*config.room_share), rng)
    if rng.random() < config.noise:
        samples = with_noise(samples, rng.uniform(*config.noise_db), rng.random() < 0.5, rng)
    if rng.random() < config.telephone:
        samples = by_telephone(samples)
    samples = samples * 10 ** (rng.uniform(*config.level_db) / 20)
    return np.clip(samples, -1, 1).astype(np.float32)
