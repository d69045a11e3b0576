"""Conformal sets: by hand, by their promise on simulated documents, and the table that the runtime is tested with."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration import probabilities
from conformal import COVERAGES, fit, has_sets, nonconformity, sets, threshold
from fit_calibration import fit as calibrate
from fit_calibration import held_out_probabilities
from hilbert import TaskConfig
from set_coverage import cross_fitted_sets, judged_sets

ORDINAL, MULTI = (TaskConfig("t", kind, list("abcd")) for kind in ("ordinal", "multi_class"))
BINARY = TaskConfig("t", "binary", ["no", "yes"])
TABLE = Path(__file__).parents[2] / "runtime/tests/data/conformal_sets.py"


def test_the_threshold_is_the_finite_sample_quantile():
    scores = np.array([0.7, 0.1, 0.9, 0.3, 0.5, 0.2, 0.6, 0.8, 0.4])
    # ceil(10 * 0.8) = 8 and ceil(10 * 0.9) = 9 of 9; ceil(9 * 0.8) = 8 of 8; ceil(9 * 0.9) = 9 of 8
    assert (threshold(scores, 0.8), threshold(scores, 0.9)) == (0.8, 0.9)
    assert (threshold(scores[:8], 0.8), threshold(scores[:8], 0.9)) == (0.9, 1.0)
    assert threshold(np.array([0.12341]), 0.5) == 0.1235


def test_labels_enter_by_probability_and_those_of_an_ordinal_task_as_neighbours():
    p = np.array([[0.375, 0.0625, 0.5, 0.0625]])
    assert nonconformity(MULTI, p).tolist() == [[0.5, 0.875, 0.0, 0.9375]]  # c, a, b, d
    assert nonconformity(ORDINAL, p).tolist() == [[0.5625, 0.5, 0.0, 0.9375]]  # c, b, a, d
    assert nonconformity(BINARY, np.array([[0.75, 0.25], [0.5, 0.5]])).tolist() == [[0.0, 0.75], [0.0, 0.5]]


@pytest.mark.parametrize("task", [ORDINAL, MULTI])
def test_sets_hold_the_likeliest_label_grow_with_the_threshold_and_are_ranges_where_labels_have_an_order(task):
    p = np.random.default_rng(0).dirichlet(np.full(4, 0.5), 500)
    fitted = {"sets": [{"threshold": t} for t in (0.0, 0.3, 0.6, 0.9, 1.0)]}
    held = sets(task, p, fitted)
    assert held[np.arange(500), :, p.argmax(1)].all() and (held[:, 0].sum(1) == 1).all() and held[:, -1].all()
    assert (held[:, 1:] >= held[:, :-1]).all()
    padded = np.pad(held, ((0, 0), (0, 0), (1, 1))).astype(int)
    ranges = (np.diff(padded) == 1).sum(2) == 1
    assert ranges.all() == (task is ORDINAL)


def drawn(task: TaskConfig, n: int, rng) -> tuple[torch.Tensor, np.ndarray]:
    """Outputs that say something of the label, but neither surely nor calibrated."""
    if task is ORDINAL:
        hidden = rng.normal(0, 1.5, n)
        return torch.tensor(2 * hidden + rng.normal(0, 2, n))[:, None], np.digitize(hidden, [-1.5, 0, 1.5])
    labels = rng.integers(0, len(task.labels), n)
    return torch.tensor(rng.normal(0, 2, (n, len(task.labels))) + 2 * np.eye(len(task.labels))[labels]), labels


@pytest.mark.parametrize("task", [ORDINAL, MULTI])
def test_sets_of_one_split_cover_as_stated_whatever_the_probabilities(task):
    rng, n, draws = np.random.default_rng(0), 39, 4000
    p = rng.dirichlet(np.ones(4), (draws, n + 1))  # of documents drawn alike: of n the threshold, of one the set
    sharper = p**2 / (p**2).sum(2, keepdims=True)
    labels = (sharper.cumsum(2) > rng.random((draws, n + 1, 1))).argmax(2)
    scores = nonconformity(task, p.reshape(-1, 4)).reshape(p.shape)
    scores = np.take_along_axis(scores, labels[:, :, None], 2)[:, :, 0]  # [draws, n + 1]
    for coverage in COVERAGES:
        found = np.mean([one[n] <= threshold(one[:n], coverage) for one in scores])
        # between the coverage and 1 / (n + 1) more; four deviations of the mean of so many draws
        assert -0.025 < found - coverage < 0.025 + 1 / (n + 1)


@pytest.mark.parametrize("task", [ORDINAL, BINARY])
def test_pooled_scores_of_cross_fitted_calibrations_cover_new_documents_as_stated(task):
    rng, n, draws, found = np.random.default_rng(0), 60, 20, []
    folds = np.arange(n) % 3
    for _ in range(draws):
        outputs, labels = drawn(task, n, rng)
        held = cross_fitted_sets(task, {"whole": outputs[None]}, labels, folds[None])["whole"][0]
        found.append(held[np.arange(n), :, labels].mean(0))
    # the thresholds of 40 documents deviate by 0.06 a draw, the documents tested by 0.05: three of the mean's, 0.053
    found = np.mean(found, 0) - COVERAGES
    assert (found > -0.053).all() and (found < 0.053 + 1 / 41).all(), found


def test_a_document_has_no_part_in_the_calibration_that_scores_it():
    outputs, labels = drawn(BINARY, 40, np.random.default_rng(1))
    folds = np.arange(40) % 4
    before = held_out_probabilities(BINARY, outputs, labels, folds)
    labels[folds == 2] = 1 - labels[folds == 2]
    after = held_out_probabilities(BINARY, outputs, labels, folds)
    changed = (before != after).any(1)
    assert not changed[folds == 2].any() and changed[folds != 2].all()


def test_what_is_fitted_states_coverages_thresholds_and_the_sample():
    outputs, labels = drawn(BINARY, 60, np.random.default_rng(2))
    fitted = fit(BINARY, outputs, labels, np.arange(60) % 4)
    assert fitted["documents"] == 60 and [one["coverage"] for one in fitted["sets"]] == list(COVERAGES)
    low, high = (one["threshold"] for one in fitted["sets"])
    assert 0 <= low <= high < 1
    assert not has_sets(TaskConfig("t", "multi_label", ["a", "b"])) and has_sets(BINARY)


def test_other_kinds_of_documents_get_the_sets_of_whole_recordings():
    outputs, labels = drawn(MULTI, 80, np.random.default_rng(3))
    folds = (np.arange(80) % 4)[None]
    kinds = {"whole": outputs[None], "same": outputs[None], "wrong": outputs.flip(1)[None]}
    held = cross_fitted_sets(MULTI, kinds, labels, folds)
    assert (held["whole"] == held["same"]).all()
    of_kind = {kind: judged_sets(MULTI, labels, h) for kind, h in held.items()}
    assert of_kind["wrong"][0]["covered"]["mean"] < of_kind["whole"][0]["covered"]["mean"] - 0.3


def test_coverage_and_size_are_means_over_documents_and_repeats():
    truth = np.array([0, 0, 1])
    first = [[[1, 0], [1, 1]], [[0, 1], [1, 1]], [[1, 0], [1, 1]]]  # [N, coverages, labels]
    second = [[[1, 0], [1, 1]], [[1, 0], [1, 0]], [[1, 1], [1, 1]]]
    low, high = judged_sets(BINARY, truth, np.array([first, second], bool))
    assert (low["coverage"], high["coverage"]) == COVERAGES
    assert low["covered"]["repeats"] == [0.333, 1.0] and low["covered"]["mean"] == 0.667
    assert low["covered_by_label"] == {"no": 0.75, "yes": 0.5} and low["labels"]["mean"] == pytest.approx(
        7 / 6, abs=1e-3
    )
    assert high["covered"]["mean"] == 1 and high["labels"]["repeats"] == [2.0, 1.667]


def test_the_table_of_the_runtimes_test_is_what_this_reference_gives():
    spec = importlib.util.spec_from_file_location("conformal_sets", TABLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = module.cases()
    assert json.loads(TABLE.with_suffix(".json").read_text()) == cases
    assert {len(case["held"][1]) for case in cases} >= {1, 2, 3, 4}


def test_other_conditions_are_calibrated_as_whole_recordings_are():
    outputs, labels = drawn(ORDINAL, 60, np.random.default_rng(3))
    folds = np.arange(60) % 3
    found = held_out_probabilities(ORDINAL, outputs, labels, folds, outputs - 3)
    for fold in range(3):
        inside = folds == fold
        calibration = calibrate(ORDINAL, outputs[~inside], labels[~inside])
        assert np.allclose(found[inside], probabilities(ORDINAL, (outputs - 3)[inside].double(), calibration))
