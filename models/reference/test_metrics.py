"""The metrics against scikit-learn's, and what intervals and differences say."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from metrics import (
    auc,
    calibration_error,
    interval,
    label_auc,
    label_calibration_error,
    label_f1,
    macro_auc,
    macro_f1,
    over_repeats,
    paired_difference,
)


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 90)
    probabilities = rng.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[truth]
    return truth, probabilities / probabilities.sum(1, keepdims=True)


def test_f1_and_auc_are_those_of_scikit_learn(labelled):
    truth, p = labelled
    assert macro_f1(truth, p.argmax(1)) == pytest.approx(f1_score(truth, p.argmax(1), average="macro"))
    assert macro_auc(truth, p) == pytest.approx(roc_auc_score(truth, p, average="macro", multi_class="ovr"))
    assert auc(np.array([True, False, True]), np.array([1.0, 1.0, 2.0])) == 0.75


def test_a_class_that_is_never_decided_counts_as_zero():
    assert macro_f1(np.array([0, 0, 1, 1]), np.zeros(4, int)) == pytest.approx((2 / 3) / 2)


def test_a_class_that_does_not_occur_is_left_out_of_the_macro_average():
    truth, p = np.array([0, 1, 0, 1]), np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert macro_f1(truth, p.argmax(1)) == 1 and macro_auc(truth, p) == 1


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    truth = np.array([0] * 8 + [1] * 2)
    assert calibration_error(truth, np.tile([0.8, 0.2], (10, 1))) == pytest.approx(0)
    assert calibration_error(truth, np.tile([0.95, 0.05], (10, 1))) == pytest.approx(0.15)


def test_an_interval_holds_the_mean_and_narrows_with_more_documents():
    rng = np.random.default_rng(1)
    few, many = rng.normal(0, 1, 30), rng.normal(0, 1, 3000)
    low, high = interval(np.mean, few)
    assert low < few.mean() < high
    assert np.diff(interval(np.mean, many)) < 0.2 * (high - low)


def test_a_difference_of_equals_is_zero_and_a_plain_one_is_found(labelled):
    truth, p = labelled
    decided = np.stack([p.argmax(1)] * 2)
    guesses = np.random.default_rng(2).integers(0, 3, decided.shape)
    same = paired_difference(macro_f1, truth, decided, decided)
    assert same["mean"] == 0 and same["p"] == 1
    better = paired_difference(macro_f1, truth, decided, guesses)
    assert better["mean"] > 0.2 and better["p"] < 0.01 and better["interval"][0] > 0
    assert over_repeats(macro_f1, truth, decided)["mean"] == pytest.approx(macro_f1(truth, decided[0]), abs=1e-3)


def test_of_several_labels_each_is_judged_by_itself(labelled):
    truth, p = labelled
    several = (truth[:, None] == np.arange(3)).astype(int)
    assert label_auc(several, p) == macro_auc(truth, p)
    assert label_f1(several, p) == pytest.approx(f1_score(several, p > 0.5, average="macro"))
    sure = np.tile([0.8, 0.2], (10, 1))
    both = np.array([[1, 1]] * 4 + [[1, 0]] * 4 + [[0, 0]] * 2)
    assert label_calibration_error(both, sure) == pytest.approx((0 + 0.2) / 2)


def test_what_no_recording_has_is_not_judged():
    assert np.isnan(label_auc(np.array([[0, 1]] * 3), np.ones((3, 2)))) and np.isnan(
        macro_auc(np.zeros(3), np.ones((3, 2)))
    )
    assert interval(lambda t: float("nan") if t.all() else t.mean(), np.array([1, 0, 1, 1]))[1] < 1
