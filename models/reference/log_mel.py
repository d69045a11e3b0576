"""Log-mel spectrogram, equal to whisper's `log_mel_spectrogram` (openai/whisper, whisper/audio.py) on one segment.

The runtime's `features` module computes the same numbers; golden vectors hold both to an f64 oracle.
"""

import math
from dataclasses import asdict, dataclass

import torch


@dataclass(frozen=True)
class LogMelConfig:
    sample_rate: int = 16000  # Hz
    n_fft: int = 400  # samples, periodic Hann window of the same length
    hop: int = 160  # samples
    n_mels: int = 80  # Slaney bands from 0 Hz to sample_rate / 2
    frames: int = 1000  # frames of one encoder input: 10 s; the tail is zero padding
    floor: float = 1e-10  # power below which log10 is cut
    dynamic_range: float = 8.0  # log10 units kept below the segment's maximum
    offset: float = 4.0  # (x + offset) / scale brings speech near [-1, 1]
    scale: float = 4.0

    to_dict = asdict


def slaney_filters(config: LogMelConfig) -> torch.Tensor:
    """Triangular Slaney filters of unit area, [n_mels, n_fft / 2 + 1], as `librosa.filters.mel` builds them."""

    def hz_to_mel(hz):
        return hz / (200 / 3) if hz < 1000 else 15 + math.log(hz / 1000) / (math.log(6.4) / 27)

    def mel_to_hz(mel):
        return mel * (200 / 3) if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    top = hz_to_mel(config.sample_rate / 2)
    edges = [mel_to_hz(top * i / (config.n_mels + 1)) for i in range(config.n_mels + 2)]
    edges = torch.tensor(edges, dtype=torch.float64)
    bins = torch.arange(config.n_fft // 2 + 1, dtype=torch.float64) * config.sample_rate / config.n_fft
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return torch.minimum(rising, falling).clamp(min=0) * area[:, None]


def real_frames(samples: int, config: LogMelConfig) -> int:
    """Frames that hold audio rather than padding: ceil(samples / hop)."""
    return min(config.frames, -(-samples // config.hop))


def log_mel(samples: torch.Tensor, config: LogMelConfig, dtype=torch.float32) -> torch.Tensor:
    """[n] samples in [-1, 1] -> [n_mels, frames]. Frame t is centred on sample t * hop; the ends are reflected."""
    length = config.frames * config.hop
    if samples.numel() > length:
        raise ValueError(f"a segment of {samples.numel()} samples is longer than {length}")
    padded = torch.nn.functional.pad(samples.to(dtype), (0, length - samples.numel()))  # [length]
    window = torch.hann_window(config.n_fft, dtype=dtype)
    spectrum = torch.stft(padded, config.n_fft, config.hop, window=window, return_complex=True)  # [bins, frames + 1]
    power = spectrum[:, :-1].abs() ** 2  # [bins, frames]
    mel = slaney_filters(config).to(dtype) @ power  # [n_mels, frames]
    log = mel.clamp(min=config.floor).log10()
    log = torch.maximum(log, log.max() - config.dynamic_range)
    return (log + config.offset) / config.scale
