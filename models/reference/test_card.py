"""The models' page carries the numbers that were measured."""

from pathlib import Path

import pytest

from card import conformal_table, consultations_table, filled, inputs, tables

MODELS = Path(__file__).parent.parent


def test_the_tables_of_the_models_page_are_the_measured_ones():
    page = (MODELS / "README.md").read_text()
    assert filled(page, tables(MODELS)) == page


def test_the_conformal_table_has_a_line_for_each_input_and_task_and_a_place_on_the_page():
    def of(coverage):
        share = {"mean": coverage + 0.011, "interval": [coverage - 0.1, coverage + 0.1]}
        by_label = {"basic": 0.9, "proficient": 0.654}
        return {"coverage": coverage, "covered": share, "covered_by_label": by_label, "labels": {"mean": 1.5}}

    report = {}
    for kind, modality, _ in inputs():
        report.setdefault(kind, {})[modality] = {task: [of(0.8), of(0.9)] for task in ("proficiency", "fluency")}
    table = conformal_table(report)
    first, _, line, *rest = table.splitlines()
    assert first.startswith("| input | task | 80 %: true label held |") and len(rest) == 2 * len(inputs()) - 1
    assert line.startswith("| audio alone | proficiency | 0.811 (0.70 to 0.90) | proficient 0.65 | 1.50 | 0.911 (0.80")
    assert table in filled((MODELS / "README.md").read_text(), {"conformal": table})


def test_the_table_of_the_consultations_has_the_baselines_first_and_the_f1_of_each_class():
    found = {"macro_f1": {"mean": 0.5, "interval": [0.4, 0.6]}, "macro_auc": {"mean": 0.9, "interval": [0.8, 1.0]}}
    found["f1"] = [0.98, 1.0, 0.25]
    report = {"classes": {"RES": 213, "MSK": 46, "other": 13}, "baselines": {"control: length": found}}
    report["fusion"] = {"adjustment": {"audio_text": found}}
    first, _, *lines = consultations_table(report).splitlines()
    assert first == "| input | macro-F1 | AUC | F1 RES | F1 MSK | F1 other |"
    numbers = "0.500 (0.40 to 0.60) | 0.900 (0.80 to 1.00) | 0.98 | 1.00 | 0.25 |"
    assert lines == [f"| {n} | {numbers}" for n in ("control: length", "HILBERT, adjustment: audio and transcript")]


def test_a_table_replaces_what_stood_in_its_place_and_nothing_else():
    page = "a\n<!-- evaluation -->\nold\n<!-- end of evaluation -->\nb"
    assert filled(page, {"evaluation": "| new |\n"}) == page.replace("old", "| new |")


def test_a_page_without_the_place_is_refused():
    with pytest.raises(SystemExit, match="'evaluation'"):
        filled("nothing", {"evaluation": ""})
