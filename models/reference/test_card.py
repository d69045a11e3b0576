"""The models' page carries the numbers that were measured."""

from pathlib import Path

import pytest

from card import (
    TRANSCRIPTS,
    conformal_table,
    consultations_against_table,
    consultations_table,
    filled,
    inputs,
    integrity_against_table,
    large_table,
    pages,
)

MODELS = Path(__file__).parent.parent


def test_the_tables_of_both_pages_are_the_measured_ones():
    found = pages(MODELS)
    assert [path.parent for path in found] == [MODELS, MODELS.parent]
    for path, wanted in found.items():
        assert path.read_text() == wanted, path


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


def test_the_large_bundle_stands_under_the_small_one_with_what_it_is_worth_and_its_time_as_a_multiple():
    def worth(mean):
        f1 = {"mean": mean, "interval": [mean - 0.1, mean + 0.1]}
        return {"whole": {"audio_text": dict.fromkeys(("proficiency", "fluency"), {"macro_f1": f1, "r": f1})}}

    report = {"model": {"student+student": worth(0.6), "whisper-tiny.en+minilm-l6": worth(0.7)}}
    small = {"bytes": 11_700_000, "total_s": 0.8, "peak_resident_bytes": 100 << 20}
    large = {"bytes": 32_500_000, "total_s": 2.0, "peak_resident_bytes": 200 << 20}
    table = large_table(report, {"bundles": {"spoken-english": small, "spoken-english-large": large}})
    scores = " | ".join(["0.700 (0.60 to 0.80)"] * 4)
    first, last = table.splitlines()[2:]
    assert first.startswith("| `spoken-english` | 0.600") and first.endswith("| 11.7 MB | 1.00 | 100 MiB |")
    assert last == f"| `spoken-english-large` | {scores} | 32.5 MB | 2.50 | 200 MiB |"
    assert table in filled((MODELS / "README.md").read_text(), {"large": table})


def test_the_table_of_the_consultations_has_the_baselines_first_and_the_f1_of_each_class():
    found = {"macro_f1": {"mean": 0.5, "interval": [0.4, 0.6]}, "macro_auc": {"mean": 0.9, "interval": [0.8, 1.0]}}
    found["f1"] = [0.98, 1.0, 0.25]
    report = {"classes": {"RES": 213, "MSK": 46, "other": 13}, "baselines": {"control: length": found}}
    report["fusion"] = {"adjustment": {"audio_text": found}}
    first, _, *lines = consultations_table(report).splitlines()
    assert first == "| input | macro-F1 | AUC | F1 RES | F1 MSK | F1 other |"
    numbers = "0.500 (0.40 to 0.60) | 0.900 (0.80 to 1.00) | 0.98 | 1.00 | 0.25 |"
    assert lines == [f"| {n} | {numbers}" for n in ("control: length", "HILBERT, adjustment: audio and transcript")]


def test_teachers_stand_beside_what_the_students_are_worth_more_on_the_consultations():
    found = {"macro_f1": {"mean": 0.5, "interval": [0.4, 0.6]}, "macro_auc": {"mean": 0.9, "interval": [0.8, 1.0]}}
    found["difference"] = {"mean": -0.02, "interval": [-0.05, 0.01], "p": 0.2}
    table = consultations_against_table({"spoken-english-large": {"text": found}})
    numbers = "0.500 (0.40 to 0.60) | 0.900 (0.80 to 1.00) | -0.020 (-0.05 to +0.01) | 0.20 |"
    assert table.splitlines()[2:] == [f"| `spoken-english-large` | transcript alone | {numbers}"]
    assert table in filled((MODELS / "README.md").read_text(), {"consultations against": table})


def test_another_encoders_integrity_stands_beside_what_the_student_is_worth_more():
    def measured(mean):
        return {"mean": mean, "interval": [mean - 0.01, mean + 0.01]}

    e = {"cue_auc": measured(0.99), "macro_f1": measured(0.96)}
    e |= {"cue_auc_difference": measured(0.002), "macro_f1_difference": measured(-0.021) | {"p": 0.04}}
    table = integrity_against_table({"whisper-tiny.en": dict.fromkeys(TRANSCRIPTS, e)})
    line, *rest = table.splitlines()[2:]
    assert line == (
        "| whisper-tiny.en | the recogniser's cues | 0.990 (0.98 to 1.00) | +0.002 (-0.01 to +0.01) "
        "| 0.960 (0.95 to 0.97) | -0.021 (-0.03 to -0.01) | 0.04 |"
    )
    assert len(rest) == len(TRANSCRIPTS) - 1
    assert table in filled((MODELS / "README.md").read_text(), {"integrity against": table})


def test_a_table_replaces_what_stood_in_its_place_and_nothing_else():
    page = "a\n<!-- evaluation -->\nold\n<!-- end of evaluation -->\nb"
    assert filled(page, {"evaluation": "| new |\n"}) == page.replace("old", "| new |")


def test_a_page_without_the_place_is_refused():
    with pytest.raises(SystemExit, match="'evaluation'"):
        filled("nothing", {"evaluation": ""})
