"""The GE2E speaker encoder (Wan et al. 2018, arXiv 1710.10467) as a speech backbone: who speaks, not what is said.

Weights and recipe are those of the package resemblyzer 0.1.4 (Apache-2.0; `voice_encoder.py` and `audio.py` there): 40
Slaney bands of the power spectrum without a logarithm, windows of 1.6 s. Segments are ours, in place of its voice
activity detection.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from log_mel import LogMelConfig, slaney_filters
from segment import SegmentConfig, segment
from teachers import package_file

BANDS = LogMelConfig(n_mels=40)
WINDOW, STEP = 160, 77  # frames of one window, and from one to the next: 1.3 windows a second
COVERED = 0.75  # share of the last window that must be sound
QUIETEST_DB = -30.0  # dBFS to which quieter segments are raised
WIDTH = 256


class SpeakerEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(BANDS.n_mels, WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, spectra: Tensor) -> Tensor:
        """Windows [B, T, M] -> embeddings of length 1, none negative [B, D]"""
        _, (hidden, _) = self.lstm(spectra)
        return functional.normalize(self.linear(hidden[-1]).relu(), dim=1)


def ge2e() -> SpeakerEncoder:
    """1.4 M parameters, read from the wheel that carries them."""
    state = torch.load(package_file("resemblyzer", "pretrained.pt"), "cpu", weights_only=True)["model_state"]
    encoder = SpeakerEncoder()
    encoder.load_state_dict({k: v for k, v in state.items() if not k.startswith("similarity")})
    return encoder.eval().requires_grad_(False)


def louder(samples: np.ndarray) -> np.ndarray:
    """Raised to `QUIETEST_DB` if quieter."""
    level = 20 * np.log10(max(np.sqrt(np.square(samples).mean()), 1e-6))
    return samples * np.float32(10 ** (max(QUIETEST_DB - level, 0) / 20))


def spectrum(samples: np.ndarray) -> Tensor:
    """`librosa.feature.melspectrogram`'s power in Slaney bands, the ends padded with zeros. [n] -> [1 + n / hop, M]"""
    window = torch.hann_window(BANDS.n_fft)
    padded = torch.from_numpy(samples)
    bins = torch.stft(padded, BANDS.n_fft, BANDS.hop, window=window, pad_mode="constant", return_complex=True)
    return (slaney_filters(BANDS).float() @ bins.abs().square()).T


def starts(samples: int) -> list[int]:
    """The first frame of each window over so many samples; a last one that is mostly beyond them is left out."""
    frames = -(-(samples + 1) // BANDS.hop)
    result = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    if len(result) > 1 and (samples / BANDS.hop - result[-1]) / WINDOW < COVERED:
        result.pop()
    return result


@torch.inference_mode()
def speaker_row(encoder: SpeakerEncoder, samples: np.ndarray) -> Tensor:
    """The direction of the mean of a segment's windows' embeddings. [n] -> [D]"""
    at = starts(len(samples))
    padded = np.pad(louder(samples), (0, max(0, (at[-1] + WINDOW) * BANDS.hop - len(samples))))
    frames = spectrum(padded)
    windows = torch.stack([frames[i : i + WINDOW] for i in at])  # [W, WINDOW, M]
    return functional.normalize(encoder(windows).mean(0), dim=0)


def speaker_rows(encoder: SpeakerEncoder, samples: np.ndarray) -> tuple[Tensor, list]:
    """-> rows [S, D], spans in samples"""
    spans = segment(samples, SegmentConfig())
    rows = [speaker_row(encoder, samples[a:b]) for a, b in spans]
    return torch.stack(rows) if rows else torch.zeros(0, WIDTH), spans
