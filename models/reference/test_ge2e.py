"""The GE2E speaker encoder's windows, spectrum and rows; its weights are random here."""

import numpy as np
import pytest
import torch

from ge2e import BANDS, WIDTH, SpeakerEncoder, louder, speaker_row, speaker_rows, spectrum, starts
from log_mel import slaney_filters


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(0).normal(size=int(seconds * 16000))).astype(np.float32)


def test_windows_start_where_resemblyzers_do():
    # compute_partial_slices(n, rate=1.3, min_coverage=0.75) of resemblyzer 0.1.4
    assert starts(8000) == [0]  # shorter than a window
    assert starts(25600) == [0]
    assert starts(30000) == [0]  # a second one would hold 110.5 frames of sound, under three quarters of 160
    assert starts(35000) == [0, 77]  # 141.75 frames
    assert starts(40000) == [0, 77]
    assert starts(160000) == [0, 77, 154, 231, 308, 385, 462, 539, 616, 693, 770, 847]


def test_the_spectrum_is_the_power_of_windowed_frames_in_slaney_bands_without_a_logarithm():
    samples = noise(0.1)
    found = spectrum(samples)
    padded = np.pad(samples.astype(np.float64), 200)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for frame in (0, 3, 10):
        power = np.abs(np.fft.rfft(window * padded[160 * frame : 160 * frame + 400])) ** 2
        assert found[frame].numpy() == pytest.approx(slaney_filters(BANDS).numpy() @ power, rel=1e-3)
    assert found.shape == (11, 40)


def test_quiet_segments_are_raised_and_loud_ones_left():
    raised = louder(noise(1, 0.001))
    assert np.sqrt(np.square(raised).mean()) == pytest.approx(10 ** (-30 / 20), rel=1e-3)
    assert (louder(noise(1, 0.1)) == noise(1, 0.1)).all()


def test_a_row_has_length_one_and_does_not_depend_on_the_level_of_quiet_speech():
    torch.manual_seed(0)
    encoder = SpeakerEncoder().eval()
    row = speaker_row(encoder, noise(4, 0.002))
    assert row.shape == (WIDTH,) and row.norm().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(row, speaker_row(encoder, noise(4, 0.004)), atol=1e-5)
    assert not torch.allclose(row, speaker_row(encoder, noise(4)[:8000]), atol=1e-5)


def test_a_recording_has_one_row_for_each_segment_and_none_without_speech():
    encoder = SpeakerEncoder().eval()
    rows, spans = speaker_rows(encoder, noise(15))
    assert len(rows) == len(spans) == 2
    rows, spans = speaker_rows(encoder, np.zeros(16000, np.float32))
    assert rows.shape == (0, WIDTH) and spans == []
