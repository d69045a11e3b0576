"""A user's own list: tones and noise with planted labels of every kind become a checkpoint that the exporter takes."""

import json
import subprocess
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import checkpoint
import cross_validation
import listed
import metrics
import train
from alignment import settings
from cross_validation import fit_name
from document_list import read
from hilbert import (
    AlignmentConfig,
    ExpertsConfig,
    FusionConfig,
    Hilbert,
    HilbertConfig,
    SpeechConfig,
    TaskConfig,
    TextConfig,
)
from integrity_scores import SUMMARIES
from listed import Listed, samples_of
from spoken_english import TEACHERS
from train_fusion import Schedule
from variants import WHOLE
from word_pieces import SPECIAL

ROOT = Path(__file__).parents[2]
CONFIG = HilbertConfig(
    SpeechConfig(n_mels=16, frames=1000, width=16, heads=2, layers=1, ffn=16, halve_after=0),
    TextConfig(vocabulary=12, positions=16, width=16, heads=2, layers=1, ffn=16, max_tokens=16),
    FusionConfig(audio_row=32, text_row=16, width=16, heads=2, pooling=8, contrast=8),
    ExpertsConfig(2, 8),
    [TaskConfig("another", "binary", ["no", "yes"])],
)
WORDS = ["the", "sky", "rain", "wind", "sun", "is", "was", "##s"]
TASKS = [
    {"name": "pitch", "kind": "binary", "labels": ["low", "high"]},
    {"name": "sound", "kind": "multi_class", "labels": ["tone", "beat", "chord"], "imbalance": "adjustment"},
    {"name": "roughness", "kind": "ordinal", "labels": ["clear", "rough"], "cuts": [5]},
    {"name": "weather", "kind": "multi_label", "labels": ["rain", "wind", "sun"]},
]
COUNT, RATE = 30, 16000
SCHEDULE = Schedule(first_steps=5, second_steps=60, second_rate=1e-2)


def write_encoders(folder: Path) -> Path:
    """Random encoders of a checkpoint with another task; what they hear differs with what is played."""
    torch.manual_seed(0)
    calibration = {"another": {m: {"temperature": 1.0} for m in ("audio", "text", "audio_text")}}
    facts = {"name": "tiny", "licence": "MIT", "credits": ["the encoders"], "calibration": calibration}
    facts["log_mel"] = {**listed.LogMelConfig().to_dict(), "n_mels": 16}
    facts["provenance"] = {"device": "cpu", "seed": 0, "versions": {}, "data_sha256": "0" * 64}
    integrity = {"labels": ["intact", "all_swapped"], "cue": {"weight": -1.0, "bias": 0.0}}
    integrity["document"] = {"summaries": [*SUMMARIES], "weight": [[-1.0, 0, 0], [1.0, 0, 0]], "bias": [0.0, 0.0]}
    facts["alignment"] = {"hidden": 8, **settings(), "integrity": integrity}
    checkpoint.save(folder, Hilbert(CONFIG, AlignmentConfig(hidden=8)), [*SPECIAL, *WORDS], facts)
    return folder


def played(high: bool, sound: str, roughness: float, rng) -> np.ndarray:
    """Two sounds of three seconds, far enough apart to be two segments."""
    t = np.arange(3 * RATE) / RATE
    tone = np.sin(2 * np.pi * (1600 if high else 300) * t)
    chord = (tone + np.sin(2 * np.pi * 700 * t) + np.sin(2 * np.pi * 5000 * t)) / 2
    second = {"tone": tone, "beat": tone * (t % 0.5 < 0.25), "chord": chord}[sound]
    sound = np.concatenate([tone, np.zeros(int(2.2 * RATE)), second])
    noise = rng.normal(0, 10 ** (roughness / 5 - 3), len(sound)) * (sound != 0)
    return (0.3 * (sound + noise)).clip(-1, 1).astype(np.float32)


def write_list(folder: Path) -> Path:
    """`LIST.jsonl` with tasks in its first line; some documents lack labels, text or sound."""
    rng, lines = np.random.default_rng(0), [{"tasks": TASKS}]
    folder.mkdir()
    for i in range(COUNT):
        high, sound = bool(i % 2), TASKS[1]["labels"][i % 3 if i % 5 else 0]
        roughness = float(rng.uniform(0, 10))
        said = [w for w in TASKS[3]["labels"] if rng.random() < 0.5]
        labels = {"pitch": ["low", "high"][high], "sound": sound, "roughness": roughness, "weather": said}
        line = {"recording": f"{i}.flac", "labels": labels, "group": i // 2}
        soundfile.write(folder / f"{i}.flac", played(high, sound, roughness, rng), RATE)
        words = " ".join(["the sky is", *said])
        if i % 3 == 0:
            line["text"] = words
        elif i % 3 == 1:
            line["transcript"] = f"{i}.srt"
            (folder / f"{i}.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,500\n{words}\n")
        else:
            line["transcript"] = f"{i}.txt"
            (folder / f"{i}.txt").write_text(f"{words}. The sun is the sun.\n" if "sun" in said else words)
        if i == 7:
            del labels["pitch"], labels["weather"]
        if i == 8:
            del line["transcript"], labels["weather"]
        if i == 9:
            line = {"text": words, "labels": {"weather": said}, "group": 4}
        lines.append(line)
    path = folder / "My List.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def in_one_process(patch: pytest.MonkeyPatch):
    """And with few draws of the bootstrap."""
    for module in (cross_validation, listed):
        patch.setattr(module, "spread", lambda function, tasks, device: [function(*task) for task in tasks])
    patch.setattr(metrics, "DRAWS", 50)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The list, what was trained on it and where; fits are so small that processes would only cost time."""
    folder = tmp_path_factory.mktemp("own")
    path, encoders = write_list(folder / "data"), write_encoders(folder / "encoders")
    collection = Listed(
        path, None, encoders, "my-list", folder / "cache", 0, "cpu", SCHEDULE, credits=["me", "the encoders"]
    )
    with pytest.MonkeyPatch.context() as patch:
        in_one_process(patch)
        train.train(collection, folder / "out/checkpoint", [0], lambda: 12.3)
        report = train.evaluation(collection, [0])
    return collection, folder / "out/checkpoint", report


def test_labels_of_every_kind_are_learnt(trained):
    report = trained[2]
    both = report["model"]["audio_text"]
    assert report["labels"]["pitch"] == {"low": 15, "high": 13}
    assert both["pitch"]["macro_f1"]["mean"] > 0.8
    assert both["sound"]["macro_auc"]["mean"] > 0.75
    assert both["roughness"]["r"]["mean"] > 0.5
    assert report["model"]["text"]["weather"]["macro_auc"]["mean"] > 0.7
    assert len(train.table(report).splitlines()) == 12 and "r 0." in train.table(report)


def test_the_checkpoint_is_whole_and_keeps_the_encoders_and_their_alignment(trained):
    collection, folder, _ = trained
    model, vocabulary, config = checkpoint.load(folder)
    before, _, of_encoders = checkpoint.load(collection.checkpoint)
    for name, value in before.state_dict().items():
        if name.startswith(("speech.", "text.", "alignment.")):
            assert torch.equal(value, model.state_dict()[name]), name
    assert [t.name for t in model.config.tasks] == [t["name"] for t in TASKS]
    assert vocabulary == [*SPECIAL, *WORDS] and config["log_mel"]["n_mels"] == 16
    assert config["credits"] == ["me", "the encoders"] and config["alignment"] == of_encoders["alignment"]
    provenance = config["provenance"]
    assert len(provenance["data_sha256"]) == len(provenance["encoders_sha256"]) == 64
    assert (provenance["device"], provenance["processes"], provenance["wall_time_s"]) == ("cpu", 1, 12)
    curves = [p.read_text().splitlines() for p in (collection.cache / "outputs").glob("*.jsonl")]
    assert len(curves) == 6 and all(len(lines) == SCHEDULE.first_steps + SCHEDULE.second_steps for lines in curves)
    assert set(config["conformal"]) == {"pitch", "sound", "roughness"}
    for task in model.config.tasks:
        for calibration in config["calibration"][task.name].values():
            assert set(calibration) == ({"cuts", "slope"} if task.kind == "ordinal" else {"temperature"})


def test_the_exporter_takes_the_checkpoint(trained, tmp_path):
    exporter = ROOT / "target/release/hilbert-export"
    if not exporter.exists():
        pytest.skip(f"no {exporter}: cargo build --release -p hilbert-exporter")
    run = subprocess.run([exporter, trained[1], tmp_path / "bundle"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "opened with the runtime" in run.stdout


def test_a_second_run_trains_nothing_of_the_cross_validation_again(trained, monkeypatch):
    collection, _, report = trained
    in_one_process(monkeypatch)
    monkeypatch.setattr(cross_validation, "train", None)
    assert train.evaluation(collection, [0]) == report


def test_other_labels_other_encoders_and_other_schedules_have_other_fits(trained):
    collection = trained[0]
    fields = [collection.path, None, collection.checkpoint, "my-list", collection.cache, 0, "cpu"]

    def name(*changed) -> str:
        return fit_name(Listed(*fields, *changed), WHOLE)

    assert name(SCHEDULE) == fit_name(collection, WHOLE)
    assert name(Schedule()) != fit_name(collection, WHOLE)
    fields[5] = 1
    assert name(SCHEDULE) != fit_name(collection, WHOLE)


def test_no_group_stands_in_two_folds(trained):
    collection = trained[0]
    groups = np.array([e.group for e in collection.entries])
    for fold_of in (collection.folds(0), collection.folds(1)):
        assert all(len(set(fold_of[groups == g])) == 1 for g in groups)


def test_stereo_at_another_rate_is_heard_as_mono_at_the_encoders(tmp_path):
    t = np.arange(44100) / 44100
    stereo = np.stack([0.8 * np.sin(2 * np.pi * 500 * t), np.zeros(44100)], 1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100)
    samples = samples_of(tmp_path / "a.wav", RATE)
    wanted = 0.4 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    assert len(samples) == RATE and np.abs(samples - wanted)[100:-100].max() < 2e-3


def test_a_list_that_is_not_there_and_a_name_that_no_bundle_has_are_refused(tmp_path):
    arguments = Namespace(data=tmp_path / "none.jsonl", out=None, name="My List", backbones=None)
    with pytest.raises(SystemExit, match="--data: found .*none.jsonl, expected the data folder or a list"):
        train.asked_for(arguments, "cpu")
    arguments.data.write_text("")
    with pytest.raises(SystemExit, match="--name: found 'My List', expected 1 to 64"):
        train.asked_for(arguments, "cpu")


def test_a_lists_encoders_are_a_checkpoints_not_those_that_the_built_in_collection_knows_by_name(tmp_path):
    (tmp_path / "list.jsonl").write_text("")
    arguments = Namespace(data=tmp_path / "list.jsonl", out=None, backbones=TEACHERS)
    with pytest.raises(SystemExit, match="--backbones: found whisper-tiny.en\\+minilm-l6 and a list, .* --encoders"):
        train.asked_for(arguments, "cpu")


def problems(folder: Path, lines: list, tasks: Path | None = None) -> list[str]:
    path = folder / "list.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    with pytest.raises(SystemExit) as error:
        read(path, tasks)
    return [line.replace(f"{folder}/", "") for line in str(error.value).splitlines()]


def test_everything_wrong_with_the_lines_is_said_at_once(tmp_path):
    soundfile.write(tmp_path / "good.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "short.wav", np.zeros(800), RATE)
    (tmp_path / "bad.wav").write_text("no sound")
    (tmp_path / "bad.srt").write_text("1\nwithout times")
    lines = [
        {"tasks": TASKS},
        {"recording": "good.wav", "labels": {"pitch": "middle", "roughness": "5", "weather": ["snow"], "mood": 1}},
        "not json",
        {"recording": "none.wav"},
        {"recording": "bad.wav", "transcript": "bad.srt"},
        {"recording": "short.wav", "text": "a", "transcript": "none.txt", "group": 1.5},
        {"recoding": "good.wav"},
        {"labels": {}},
        {"text": " "},
        {"recording": "good.wav", "transcript": "none.srt"},
    ]
    assert problems(tmp_path, lines) == [
        "list.jsonl:3: found no JSON (Expecting value at column 1), expected one object",
        "list.jsonl:2: labels: found the task 'mood', expected only pitch, sound, roughness, weather",
        'list.jsonl:2: labels.pitch: found "middle", expected one of low, high',
        'list.jsonl:2: labels.roughness: found "5", expected a score',
        'list.jsonl:2: labels.weather: found ["snow"], expected a list of rain, wind, sun',
        "list.jsonl:4: recording: found none.wav, which is no file, expected a WAV or FLAC file",
        "list.jsonl:5: recording: found bad.wav, which cannot be read as audio, expected a WAV or FLAC file",
        "list.jsonl:5: transcript: found no cue: no line like 00:00:01,000 --> 00:00:02,500, "
        "expected SubRip or plain text, UTF-8",
        "list.jsonl:6: found both transcript and text, expected one of them",
        "list.jsonl:6: recording: found 0.050 s, expected at least 0.1 s",
        "list.jsonl:6: group: found 1.5, expected a string or an integer",
        "list.jsonl:7: found the key 'recoding', expected only recording, transcript, text, labels, group",
        "list.jsonl:8: found neither recording nor transcript nor text, expected at least one",
        "list.jsonl:9: found no words and no recording, expected at least one of them",
        "list.jsonl:10: transcript: found none.srt, which cannot be read, expected SubRip or plain text, UTF-8",
    ]


def test_everything_wrong_with_the_tasks_is_said_at_once(tmp_path):
    tasks = [
        {"name": "A", "kind": "binary", "labels": ["a", "b", "c"]},
        {"name": "b", "kind": "regression", "labels": ["a", "a"], "weight": 0},
        {"name": "c", "kind": "ordinal", "labels": ["a", "b", "c"], "cuts": [2, 1], "imbalance": "some"},
        {"name": "d", "kind": "binary", "labels": ["a", "b"], "cuts": [1], "loss": 1},
        {"name": "e", "kind": "multi_label", "labels": ["a"]},
        {"name": "e", "kind": "multi_label", "labels": ["a"]},
    ]
    assert problems(tmp_path, [{"tasks": tasks}]) == [
        'list.jsonl:1: tasks[0].name: found "A", expected 1 to 32 characters of [a-z0-9_]',
        'list.jsonl:1: tasks[0].labels: found ["a", "b", "c"], expected 2 different strings of 1 to 64 bytes',
        'list.jsonl:1: tasks[1].kind: found "regression", expected one of binary, multi_class, ordinal, multi_label',
        'list.jsonl:1: tasks[1].labels: found ["a", "a"], expected 2 to 32 different strings of 1 to 64 bytes',
        "list.jsonl:1: tasks[1].weight: found 0, expected a positive number",
        "list.jsonl:1: tasks[2].cuts: found [2, 1], expected ascending numbers, one fewer than labels",
        'list.jsonl:1: tasks[2].imbalance: found "some", expected one of weights, adjustment, none',
        "list.jsonl:1: tasks[3]: found the key 'loss', expected only name, kind, labels, cuts, imbalance, weight",
        "list.jsonl:1: tasks[3].cuts: found [1], expected none, for the task is not ordinal",
        "list.jsonl:1: tasks: found 2 of the name 'e', expected one",
    ]


def test_what_five_folds_need_is_asked_for(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    task = {"name": "t", "kind": "binary", "labels": ["a", "b"]}
    lines = [{"tasks": [task]}, *({"text": "a word", "labels": {"t": "a"}, "group": g} for g in (1, 1, 2))]
    lines += [{"recording": "a.wav", "group": g} for g in (3, 4)]
    assert problems(tmp_path, lines) == [
        "list.jsonl: found 4 groups, expected at least 5, for as many folds",
        "list.jsonl:6: found the recording of line 5 in group '4', expected its group '3'",
        "list.jsonl: labels.t: found the same label in all documents that have one, expected at least two labels",
        "list.jsonl: labels.t: found labels in 2 groups, expected in at least 5",
    ]


def test_tasks_are_declared_in_the_first_line_beside_the_list_or_in_a_file_that_is_named(tmp_path):
    lines = [{"text": "a word", "labels": {"t": "ab"[i % 2]}} for i in range(6)]
    (expected,) = problems(tmp_path, lines)
    assert expected.startswith("list.jsonl:1: found no tasks, expected a first line")
    task = {"name": "t", "kind": "binary", "labels": ["a", "b"]}
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [task]}))
    (tmp_path / "other.json").write_text(json.dumps({"tasks": [{**task, "kind": "ordinal"}]}))
    targets, entries = read(tmp_path / "list.jsonl")
    assert targets[0].task.kind == "binary" and [e.targets["t"] for e in entries] == [0, 1] * 3
    assert len({e.group for e in entries}) == 6
    assert read(tmp_path / "list.jsonl", tmp_path / "other.json")[0][0].task.kind == "ordinal"
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, [{"tasks": [{**task, "weight": 2}]}, *lines])))
    assert read(tmp_path / "list.jsonl")[0][0].weight == 2
