"""The pure parts of the comparison: what is made of the times, and what is written.

python -m pytest benches/compare
"""

import numpy as np
import pytest

from report import plot, table, write_between
from timing import fastest, round_robin, signal_to_noise, summarise


class Scripted:
    """A worker whose runs take the times of a list, and that notes when it was asked."""

    def __init__(self, name, times, asked):
        self.name, self.times, self.asked = name, iter(times), asked

    def run(self, count):
        self.asked.append(self.name)
        return next(self.times)


def test_workers_take_turns_and_a_round_is_its_least_run():
    asked = []
    a, b = Scripted("a", [99, 5, 3, 7, 8], asked), Scripted("b", [99, 10, 20, 40, 30], asked)
    assert round_robin({"a": a, "b": b}, rounds=2, repeats=2, runs=1) == {"a": [3, 7], "b": [10, 30]}
    assert asked == ["a", "b"] + ["a", "a", "b", "b"] * 2


def test_a_machine_that_slows_down_for_a_round_does_not_change_the_ratio():
    summary = summarise({"ours": [10, 10, 40], "theirs": [20, 20, 80]}, "ours")
    assert summary["theirs"]["ratio"] == 2
    assert summary["theirs"]["ratio_quartiles"] == [2, 2]
    assert summary["theirs"]["median_ns"] == 20


def test_signal_to_noise_is_of_each_output_in_decibels():
    reference = {"0": np.array([3.0, 4.0]), "1": np.array([1.0])}
    outputs = {"0": np.array([3.0, 4.5]), "1": np.array([1.0])}
    assert signal_to_noise(outputs, reference) == pytest.approx([20.0, float("inf")])


def test_the_fastest_is_by_the_median_not_by_one_lucky_round():
    assert fastest({"lucky": [1, 9, 9], "steady": [5, 5, 5]}) == ["steady"]


def test_what_stands_between_the_markers_is_replaced_and_nothing_else(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- t -->\nold\n<!-- end of t -->\nafter\n")
    write_between(path, "t", "new")
    assert path.read_text() == "before\n<!-- t -->\nnew\n<!-- end of t -->\nafter\n"


@pytest.mark.parametrize(
    "content", ["no markers", "<!-- end of t --><!-- t -->", "<!-- t --><!-- t --><!-- end of t -->"]
)
def test_a_file_without_its_markers_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_text(content)
    with pytest.raises(ValueError):
        write_between(path, "t", "new")
    assert path.read_text() == content


def test_table_and_plot_hold_every_row_the_fastest_first():
    def row(ms, ratio, noise):
        sizes = {"load_ns": 3e7, "file_bytes": 5_800_000, "peak_bytes": 51_000_000}
        return {"median_ns": ms * 1e6, "ratio": ratio, "signal_to_noise_db": noise} | sizes

    compared = {"tract, f32": row(70, 3.5, [120.0]), "hilbert, shipped": row(20, 1.0, [33.0, 31.5])}
    machine = {"processor": "P", "instruction_sets": ["avx2"], "cores": 2, "versions": {}, "load_average_before": 1.0}
    results = {
        "date": "2026-01-01",
        "machine": machine,
        "load_average_after": 2.0,
        "encoders": {"speech_encoder": {"compared": compared}},
    }
    rows = [line for line in table(results).splitlines() if line.startswith("| ") and "ms" not in line]
    assert rows == [
        "| hilbert, shipped | 20.00 | 1.00 | 31.5 | 30 | 5.8 | 51 |",
        "| tract, f32 | 70.00 | 3.50 | 120.0 | 30 | 5.8 | 51 |",
    ]
    assert plot(results).count("<rect") == 1 + len(compared)
