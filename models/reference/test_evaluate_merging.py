"""Documents in a row, and what is told of the difference that merging makes."""

import math

import torch
from pytest import approx

import evaluate_merging
from data import RATE
from evaluate_merging import (
    Encoded,
    Outputs,
    change,
    clip_cues,
    document_table,
    documents,
    in_a_row,
    measured,
    summary,
    summary_table,
)
from hilbert import ExpertsConfig, FusionConfig, Hilbert, HilbertConfig, SpeechConfig, TaskConfig, TextConfig

LEVEL = TaskConfig("level", "ordinal", ["low", "high"])
TOPICS = TaskConfig("topics", "multi_label", ["a", "b"])
CALIBRATION = {"calibration": {"level": {"audio_text": {"cuts": [0.0], "slope": 1.0}}}}


def recording(audio, text, seconds=60.0, untimed=False):
    """With so many rows of each modality."""
    audio_middles, text_middles = ([seconds * (i + 0.5) / n for i in range(n)] for n in (audio, text))
    text_middles = [math.nan] * text if untimed else text_middles
    return Encoded(seconds, torch.randn(audio, 12), audio_middles, torch.randn(text, 8), text_middles)


def line(audio, text, *changes):
    """As `measured` tells of a document with two tasks."""
    merged = [dict(zip(("probability", "classes_changed", "document_vector"), c)) for c in changes]
    return {"audio_rows": audio, "text_rows": text, "probabilities": {"level": [], "topics": []}, "merged": merged}


def test_a_clips_cue_has_its_times():
    cues = clip_cues(["ONE", "TWO"], [(0, RATE), (RATE, 3 * RATE)])
    assert [(c.text, c.start_s, c.end_s) for c in cues] == [("ONE", 0.0, 1.0), ("TWO", 1.0, 3.0)]


def test_what_stands_in_a_row_is_moved_on_in_time():
    parts = [recording(2, 1, 10.0), recording(1, 2, 4.0, untimed=True), recording(1, 1, 2.0)]
    row = in_a_row(parts)
    assert row.seconds == 16.0 and row.audio_middles == [2.5, 7.5, 12.0, 15.0]
    assert row.text_middles[::3] == [5.0, 15.0] and all(math.isnan(t) for t in row.text_middles[1:3])
    assert torch.equal(row.audio_rows, torch.cat([p.audio_rows for p in parts]))
    assert torch.equal(row.text_rows, torch.cat([p.text_rows for p in parts]))


def test_documents_are_chapters_readers_and_runs_of_sessions():
    names = ("1-10", "1-11", "2-10")
    found = documents({name: recording(n, 1) for n, name in enumerate(names, 1)}, [recording(10, 1)] * 8)
    rows = {name: one.count("audio") for name, one in found.items()}
    assert rows == {
        **{"chapter 1-10": 1, "chapter 1-11": 2, "chapter 2-10": 3, "reader 1": 3, "reader 2": 3, "all readers": 6},
        **{"sessions 1 to 2": 20, "sessions 3 to 4": 20, "sessions 5 to 6": 20, "sessions 7 to 8": 20},
        **{"sessions 1 to 4": 40, "sessions 5 to 8": 40, "sessions 1 to 8": 80, "everything": 86},
    }


def test_a_change_is_of_any_probability_of_the_class_and_of_the_vector():
    exact = Outputs(torch.tensor([3.0, 4.0]), {"level": torch.tensor([0.4, 0.6]), "topics": torch.tensor([0.9, 0.6])})
    found = Outputs(torch.tensor([3.0, 4.5]), {"level": torch.tensor([0.3, 0.7]), "topics": torch.tensor([0.8, 0.4])})
    expected = {"probability": approx(0.2), "classes_changed": ["topics"], "document_vector": approx(0.1)}
    assert change([LEVEL, TOPICS], exact, found) == expected
    found.probabilities = {"level": torch.tensor([0.6, 0.4]), "topics": torch.tensor([0.8, 0.6])}
    assert change([LEVEL, TOPICS], exact, found)["classes_changed"] == ["level"]


def test_up_to_n_max_rows_nothing_changes_and_beyond_it_something_does(monkeypatch):
    monkeypatch.setattr(evaluate_merging, "N_MAX", (2, 5, 9))
    torch.manual_seed(0)
    model = Hilbert(
        HilbertConfig(
            SpeechConfig(n_mels=8, frames=40, width=6, heads=2, layers=1, ffn=8),
            TextConfig(vocabulary=30, positions=12, width=8, heads=2, layers=1, ffn=8),
            FusionConfig(audio_row=12, text_row=8, width=16, heads=2, pooling=8, contrast=8),
            ExpertsConfig(2, 8),
            [LEVEL],
        )
    ).eval()
    found = measured(model, CALIBRATION, recording(5, 7))
    assert (found["audio_rows"], found["text_rows"], found["minutes"]) == (5, 7, 1.0)
    assert [(m["audio_rows"], m["text_rows"]) for m in found["merged"]] == [(2, 2), (5, 5), (5, 7)]
    assert [m["document_vector"] > 0 for m in found["merged"]] == [True, True, False]
    assert [m["probability"] > 0 for m in found["merged"]] == [True, True, False]


def test_the_summary_counts_documents_beyond_n_max_alone(monkeypatch):
    monkeypatch.setattr(evaluate_merging, "N_MAX", (4, 8))
    unchanged = (0.0, [], 0.0)
    every = [
        line(9, 2, (0.3, ["level"], 0.2), (0.01, [], 0.5)),
        line(2, 6, (0.1, [], 0.4), unchanged),
        line(3, 4, unchanged, unchanged),
    ]
    first, second = summary(every)
    assert first == {
        **{"n_max": 4, "documents": 3, "exceeding": 2, "probability": {"largest": 0.3, "median": 0.2}},
        **{"classes": 4, "classes_changed": 1, "document_vector": 0.4},
    }
    assert (second["exceeding"], second["probability"]["median"], second["document_vector"]) == (1, 0.01, 0.5)
    table = summary_table({"all": [first], "none": summary(every[2:])}).splitlines()
    assert table[2] == "| all | 4 | 2 of 3 | 0.3000 | 0.2000 | 1 of 4 | 0.4000 |"
    assert table[3] == "| none | 4 | 0 of 1 |  |  |  |  |" and len(table) == 5


def test_the_table_of_documents_says_how_many_rows_were_kept():
    one = {"name": "reader 1", "cues": "2 to 6 s", "minutes": 25.0} | line(90, 20, (0.1, ["level"], 0.2))
    one["merged"][0] |= {"n_max": 64, "audio_rows": 64, "text_rows": 20}
    table = document_table([one]).splitlines()
    assert table[2] == "| reader 1 | 2 to 6 s | 25.0 | 64 | 64 of 90 | 20 of 20 | 0.1000 | level | 0.2000 |"
