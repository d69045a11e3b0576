"""The alignment scores against brute force over every path, and what they say of right and wrong texts."""

import itertools

import numpy as np
import pytest
import torch

from alignment import WORST_FIT, Posteriors, features, heard, log_likelihood
from characters import ALPHABET
from hilbert import AlignmentConfig, AlignmentHead


def collapsed(path):
    return [c for c, _ in itertools.groupby(path) if c]


@pytest.mark.parametrize("text", [[1], [1, 1], [2, 1], [1, 2, 1], []])
def test_the_likelihood_is_the_sum_over_every_path_that_reads_the_text(text):
    torch.manual_seed(0)
    log = torch.randn(5, 3).log_softmax(1)
    paths = (p for p in itertools.product(range(3), repeat=5) if collapsed(p) == text)
    expected = np.log(sum(np.exp(sum(log[f, c].item() for f, c in enumerate(p))) for p in paths))
    assert log_likelihood(log, text) == pytest.approx(expected, abs=1e-4)


def test_a_text_that_does_not_fit_into_the_frames_is_impossible():
    log = torch.zeros(2, 3).log_softmax(1)
    assert log_likelihood(log, [1, 1]) == -np.inf  # repeats need a blank between them
    assert log_likelihood(torch.zeros(0, 3), [1]) == -np.inf


def says(text, sure=0.9):
    """Frames that say a text, two a character and a blank after each."""
    classes = [c for letter in text for c in (1 + ALPHABET.index(letter),) * 2 + (0,)]
    log = torch.full((len(classes), 29), np.log((1 - sure) / 28), dtype=torch.float32)
    log[torch.arange(len(classes)), classes] = np.log(sure)
    return log


def test_the_right_text_fits_better_than_another_and_numbers_by_their_better_reading():
    log = says("it was forty two")
    assert heard(log) == [1 + ALPHABET.index(c) for c in "it was forty two"]
    right, other = features(log, "It was 42!"), features(log, "So many apples")
    assert right[0] > -0.5 and other[0] < -5
    assert features(says("one one zero eight"), "1108")[0] > -0.5
    assert right[2] == right[3] == 0
    assert features(log, "no")[2] < -1


def test_what_cannot_be_spoken_has_no_features_and_the_worst_fit_is_bounded():
    assert features(says("a"), "...") is None
    assert features(torch.zeros(0, 29), "hello")[0] == WORST_FIT


def test_a_cue_reads_the_frames_under_it_with_a_margin():
    posteriors = Posteriors(np.arange(10) + 0.5, torch.arange(10.0)[:, None])
    assert posteriors.between(2.6, 4.3)[:, 0].tolist() == [2, 3, 4]


def test_the_head_gives_distributions_and_a_batch_changes_nothing():
    torch.manual_seed(0)
    head = AlignmentHead(16, AlignmentConfig(hidden=8)).eval()
    frames = torch.randn(2, 7, 16)
    log = head(frames)
    assert log.shape == (2, 7, 29) and torch.allclose(log.exp().sum(2), torch.ones(2, 7))
    assert torch.allclose(head(frames[:1]), log[:1], atol=1e-6)
