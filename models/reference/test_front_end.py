"""Segmentation, log-mel, word pieces and calibration: the specifications that the runtime is held to."""

import numpy as np
import pytest
import torch

from calibration import probabilities
from checkpoint import round_trip_int8
from fit_calibration import fit
from hilbert import TaskConfig
from log_mel import LogMelConfig, log_mel, real_frames, slaney_filters
from segment import SegmentConfig, segment
from word_pieces import Cue, split_sentences, token_rows

CONFIG = SegmentConfig()
ORDINAL = TaskConfig("level", "ordinal", ["low", "middle", "high"])


def recording(pattern, seed=0):
    """[(seconds, dBFS or None for silence)] -> white noise at those levels, 16 kHz"""
    rng = np.random.default_rng(seed)
    parts = [
        np.zeros(int(s * 16000)) if level is None else rng.normal(0, 10 ** (level / 20), int(s * 16000))
        for s, level in pattern
    ]
    return np.concatenate(parts).astype(np.float32)


def test_silence_has_no_segment():
    assert segment(np.zeros(32000, np.float32), CONFIG) == []


@pytest.mark.parametrize("gap", [None, -50])
def test_speech_between_pauses_is_found_with_its_padding(gap):
    spans = segment(recording([(1, gap), (7, -20), (3, gap), (8, -20), (1, gap)]), CONFIG)
    expected = [(14400, 129600), (174400, 305600)]
    assert np.abs(np.array(spans) - expected).max() <= 320


def test_speech_without_a_pause_is_cut_at_ten_seconds_at_the_latest():
    spans = segment(recording([(35, -20)]), CONFIG)
    assert all(b - a <= 160000 for a, b in spans)
    assert spans[0][0] == 0 and spans[-1][1] == 35 * 16000
    assert all(spans[i][1] == spans[i + 1][0] for i in range(len(spans) - 1))


def test_a_click_is_no_segment():
    assert segment(recording([(2, None), (0.05, -10), (3, None)]), CONFIG) == []


def test_spans_are_disjoint_ascending_and_within_the_recording():
    rng = np.random.default_rng(3)
    for seed in range(20):
        pattern = [(rng.uniform(0.05, 6), rng.choice([None, -55, -30, -15])) for _ in range(12)]
        samples = recording(pattern, seed)
        flat = [edge for span in segment(samples, CONFIG) for edge in span]
        assert flat == sorted(flat) and (not flat or flat[-1] <= len(samples))


def test_slaney_filters_are_those_of_whisper():
    filters = slaney_filters(LogMelConfig())
    assert filters.shape == (80, 201)
    assert filters[:2, 1].tolist() == pytest.approx([0.02486259, 0.00199082], abs=1e-7)  # whisper's mel_filters.npz
    fine = slaney_filters(LogMelConfig(n_fft=40000))  # bins of 0.4 Hz, so that a sum is an integral
    assert (fine.sum(1) * 0.4 - 1).abs().max() < 1e-3  # of unit area


def test_log_mel_of_a_tone_peaks_in_its_band_and_stays_in_range():
    t = torch.arange(16000) / 16000
    mel = log_mel(0.5 * torch.sin(2 * torch.pi * 1000 * t), LogMelConfig())
    assert mel.shape == (80, 1000)
    centres = slaney_filters(LogMelConfig()).argmax(1) * 40
    assert abs(centres[mel[:, 50].argmax()].item() - 1000) <= 40
    assert mel.max() - mel.min() <= 2.0 + 1e-6


def test_a_longer_segment_than_the_encoder_reads_is_refused():
    with pytest.raises(ValueError, match="160001 samples is longer than 160000"):
        log_mel(torch.zeros(160001), LogMelConfig())


def test_real_frames_round_up():
    assert [real_frames(n, LogMelConfig()) for n in (0, 1, 160, 161, 160000)] == [0, 1, 1, 2, 1000]


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##b", "##a", "."]


def test_a_long_timed_cue_is_split_at_words_and_shares_its_time_by_tokens():
    rows = token_rows([Cue("a ab abb b", 0.0, 7.0)], VOCABULARY, 6)
    assert [r.ids for r in rows] == [[2, 4, 4, 6, 3], [2, 4, 6, 6, 5, 3]]
    assert [(r.start_s, r.end_s) for r in rows] == [(0.0, 3.0), (3.0, 7.0)]


def test_a_cue_just_too_long_becomes_rows_of_like_length():
    rows = token_rows([Cue("a a a a a", 0.0, 5.0)], VOCABULARY, 6)
    assert [len(r.ids) - 2 for r in rows] == [3, 2]


def test_untimed_cues_are_packed_together():
    rows = token_rows([Cue("a b"), Cue("a b"), Cue("b")], VOCABULARY, 6)
    assert [r.ids for r in rows] == [[2, 4, 5, 4, 5, 3], [2, 5, 3]]
    assert rows[0].start_s is None


def test_a_word_longer_than_a_row_is_split_at_its_pieces():
    rows = token_rows([Cue("abbbbbb")], VOCABULARY, 6)
    assert [r.ids for r in rows] == [[2, 4, 6, 6, 6, 3], [2, 6, 6, 6, 3]]


def test_sentences_end_at_punctuation_before_space_and_at_blank_lines():
    assert split_sentences("One. Two!  Is 3.5 three?\n\nno stop\nhere") == [
        "One.",
        "Two!",
        "Is 3.5 three?",
        "no stop\nhere",
    ]


def test_ordinal_probabilities_follow_the_cuts():
    p = probabilities(ORDINAL, torch.tensor([[7.5]]), {"cuts": [7.5, 8.5], "slope": 2.0})
    assert torch.allclose(p, torch.tensor([[0.5, 0.380797, 0.119203]]), atol=1e-6)


def test_fitted_cuts_lie_between_the_classes():
    rng = np.random.default_rng(0)
    scores = rng.normal(8, 1, 600)
    labels = np.digitize(scores + rng.normal(0, 0.3, 600), [7.5, 8.5])
    calibration = fit(ORDINAL, torch.tensor(scores, dtype=torch.float32)[:, None], labels)
    assert calibration["cuts"] == pytest.approx([7.5, 8.5], abs=0.1)
    assert calibration["slope"] == pytest.approx(1.7 / 0.3, rel=0.25)


def test_int8_stays_within_half_a_step_of_each_channel():
    torch.manual_seed(0)
    weight = torch.randn(5, 7, 3) * torch.tensor([1e-3, 1, 10, 0, 1e4])[:, None, None]
    error = (round_trip_int8(weight) - weight).abs().flatten(1).amax(1)
    assert (error <= weight.abs().flatten(1).amax(1) / 254 * 1.0001).all()


def test_the_temperature_of_several_labels_is_the_likeliest_one():
    torch.manual_seed(0)
    task = TaskConfig("seen", "multi_label", ["a", "b"])
    logits = torch.randn(500, 2).double() * 2
    labels = torch.bernoulli(torch.sigmoid(logits / 2.5))

    def loss(t):  # with the weak prior
        return torch.nn.functional.binary_cross_entropy(torch.sigmoid(logits / t), labels) + 0.01 * np.log(t) ** 2

    grid = np.arange(1, 4, 0.01)
    likeliest = grid[np.argmin([loss(t) for t in grid])]
    assert likeliest > 1.5 and abs(fit(task, logits, labels.int().numpy())["temperature"] - likeliest) < 0.011


@pytest.mark.parametrize("score", ["constant", "spread"])
def test_cuts_ascend_where_scores_do_not_differ_or_a_class_does_not_occur(score):
    labels = np.array([0, 2] * 20)
    outputs = (
        torch.ones(40, 1)
        if score == "constant"
        else torch.from_numpy(labels)[:, None] + 0.01 * torch.arange(40)[:, None]
    )
    cuts = fit(ORDINAL, outputs, labels)["cuts"]
    assert cuts[0] < cuts[1] and np.isfinite(cuts).all()
