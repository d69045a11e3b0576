"""A user's list of documents: `LIST.jsonl`, one JSON object a line, and the tasks that its labels answer.

    {"recording": "a.wav", "transcript": "a.srt", "labels": {"mood": "low"}, "group": "p01"}

`recording` (WAV or FLAC, any rate) and `transcript` (SubRip or plain text) are relative to the list; `text` stands in
place of `transcript`; one of the two modalities may be missing. `labels` may lack tasks. Documents of one `group` (a
speaker, a family, a site) are never on both sides of a split; without it, each is its own.

The tasks are the list's first line, `{"tasks": [...]}`, or a file of the same form: the one given, else `tasks.json`
beside the list. Each has `name`, `kind` (binary, multi_class, ordinal, multi_label), `labels`, and may have
`imbalance` (weights, adjustment, none), `weight` (of its loss) and, if it is ordinal, `cuts`: what documents have is
then a score, and class k begins at cut k. Else they have one of the `labels`, of a multi-label task a list of them.

Everything that is wrong with a list is said at once: where, what was found, what was expected.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

import transcript
from data import FOLDS
from hilbert import TaskConfig
from targets import IMBALANCE, KINDS, Target
from word_pieces import Cue

MOST_TASKS, MOST_LABELS = 16, 32  # of a bundle
SHORTEST_S = 0.1
KEYS = ("recording", "transcript", "text", "labels", "group")
TASK_KEYS = ("name", "kind", "labels", "cuts", "imbalance", "weight")


@dataclass
class Entry:
    """One line."""

    line: int
    recording: Path | None
    transcript: Path | None
    cues: list[Cue]
    targets: dict
    group: str


class Problems:
    def __init__(self):
        self.lines: list[str] = []

    def add(self, where: str, found, expected: str):
        self.lines.append(f"{where}: found {found}, expected {expected}")

    def end(self):
        """Says all of them, if there are any, and ends the program."""
        if self.lines:
            raise SystemExit("\n".join(self.lines))


def shown(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def read(path: Path, tasks: Path | None = None) -> tuple[list[Target], list[Entry]]:
    """The tasks and the documents of a list."""
    problems, lines = Problems(), []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            lines.append((number, parsed(line, f"{path.name}:{number}", problems)))
    lines = [(number, value) for number, value in lines if value is not None]
    where, declared = f"{path.name}:1", None
    if lines and "tasks" in lines[0][1]:
        declared = lines.pop(0)[1]
    sidecar = tasks or path.with_name("tasks.json")
    if tasks or (declared is None and sidecar.exists()):
        where, declared = sidecar.name, parsed(sidecar.read_text(encoding="utf-8"), sidecar.name, problems)
    if declared is None:
        problems.add(where, "no tasks", 'a first line {"tasks": [...]}, tasks.json beside the list, or --tasks FILE')
        problems.end()
    targets = read_tasks(declared, where, problems)
    if targets is None:  # labels mean nothing without their tasks
        problems.end()
    entries = [read_entry(number, value, path, targets, problems) for number, value in lines]
    entries = [e for e in entries if e is not None]
    if not problems.lines:
        check_together(path.name, targets, entries, problems)
    problems.end()
    return targets, entries


def parsed(text: str, where: str, problems: Problems) -> dict | None:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        problems.add(where, f"no JSON ({error.msg} at column {error.colno})", "one object")
        return None
    if not isinstance(value, dict):
        problems.add(where, shown(value), "one object")
        return None
    return value


def read_tasks(declared: dict, where: str, problems: Problems) -> list[Target] | None:
    every, before = declared.get("tasks"), len(problems.lines)
    if not isinstance(every, list) or not 1 <= len(every) <= MOST_TASKS:
        problems.add(f"{where}: tasks", shown(every), f"a list of 1 to {MOST_TASKS}")
        return None
    targets = [read_task(task, f"{where}: tasks[{i}]", problems) for i, task in enumerate(every)]
    targets = [t for t in targets if t is not None]
    names = [t.name for t in targets]
    for name in sorted({n for n in names if names.count(n) > 1}):
        problems.add(f"{where}: tasks", f"{names.count(name)} of the name {name!r}", "one")
    return targets if len(problems.lines) == before else None


def read_task(task, where: str, problems: Problems) -> Target | None:
    if not isinstance(task, dict):
        problems.add(where, shown(task), "an object")
        return None
    before = len(problems.lines)

    def need(good: bool, key: str, expected: str):
        if not good:
            problems.add(f"{where}.{key}", shown(task.get(key)), expected)

    for key in sorted(task.keys() - set(TASK_KEYS)):
        problems.add(where, f"the key {key!r}", "only " + ", ".join(TASK_KEYS))
    name, kind, labels = (task.get(key) for key in ("name", "kind", "labels"))
    need(isinstance(name, str) and re.fullmatch("[a-z0-9_]{1,32}", name), "name", "1 to 32 characters of [a-z0-9_]")
    need(kind in KINDS, "kind", "one of " + ", ".join(KINDS))
    fewest = 1 if kind == "multi_label" else 2
    most = 2 if kind == "binary" else MOST_LABELS
    good = isinstance(labels, list) and fewest <= len(labels) <= most and all(map(printable, labels))
    numbers = str(most) if fewest == most else f"{fewest} to {most}"
    need(good and len(set(labels)) == len(labels), "labels", f"{numbers} different strings of 1 to 64 bytes")
    cuts, imbalance, weight = task.get("cuts"), task.get("imbalance", "weights"), task.get("weight", 1.0)
    if cuts is not None:
        need(kind == "ordinal", "cuts", "none, for the task is not ordinal")
        ascending = isinstance(cuts, list) and all(map(number, cuts)) and sorted(set(cuts)) == cuts
        need(ascending and good and len(cuts) == len(labels) - 1, "cuts", "ascending numbers, one fewer than labels")
    need(imbalance in IMBALANCE, "imbalance", "one of " + ", ".join(IMBALANCE))
    need(number(weight) and weight > 0, "weight", "a positive number")
    if len(problems.lines) > before:
        return None
    return Target(TaskConfig(name, kind, labels), tuple(cuts or ()), imbalance, float(weight))


def printable(label) -> bool:
    return isinstance(label, str) and label.strip() and len(label.encode()) <= 64 and label.isprintable()


def number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def read_entry(line: int, value: dict, path: Path, targets: list[Target], problems: Problems) -> Entry | None:
    where, before = f"{path.name}:{line}", len(problems.lines)
    for key in sorted(value.keys() - set(KEYS)):
        problems.add(where, f"the key {key!r}", "only " + ", ".join(KEYS))
    for key in ("recording", "transcript", "text"):
        if not isinstance(value.get(key, ""), str | None):
            problems.add(f"{where}: {key}", shown(value[key]), "a string")
    if len(problems.lines) > before:
        return None
    recording, said, text = (value.get(key) for key in ("recording", "transcript", "text"))
    if recording is None and said is None and text is None:
        problems.add(where, "neither recording nor transcript nor text", "at least one")
    if said is not None and text is not None:
        problems.add(where, "both transcript and text", "one of them")
    recording = None if recording is None else path.parent / recording
    said = None if said is None else path.parent / said
    if recording is not None:
        check_recording(recording, f"{where}: recording", problems)
    cues = read_cues(said, text, where, problems)
    if recording is None and not cues and len(problems.lines) == before:
        problems.add(where, "no words and no recording", "at least one of them")
    group = value.get("group", f"line {line}")
    if not isinstance(group, str | int) or isinstance(group, bool):
        problems.add(f"{where}: group", shown(group), "a string or an integer")
    found = read_labels(value.get("labels", {}), targets, f"{where}: labels", problems)
    return Entry(line, recording, said, cues, found, str(group)) if len(problems.lines) == before else None


def read_cues(path: Path | None, text: str | None, where: str, problems: Problems) -> list[Cue]:
    try:
        return transcript.parse(text) if text is not None else transcript.read(path) if path is not None else []
    except OSError:
        problems.add(f"{where}: transcript", f"{path}, which cannot be read", "SubRip or plain text, UTF-8")
    except ValueError as error:
        problems.add(f"{where}: {'text' if path is None else 'transcript'}", error, "SubRip or plain text, UTF-8")
    return []


def check_recording(path: Path, where: str, problems: Problems):
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError):
        found = f"{path}, which cannot be read as audio" if path.is_file() else f"{path}, which is no file"
        problems.add(where, found, "a WAV or FLAC file")
        return
    if info.duration < SHORTEST_S:
        problems.add(where, f"{info.duration:.3f} s", f"at least {SHORTEST_S} s")


def read_labels(labels, targets: list[Target], where: str, problems: Problems) -> dict:
    """{task: target}, as `targets.py` says"""
    if not isinstance(labels, dict):
        problems.add(where, shown(labels), "an object of labels by task")
        return {}
    result = {}
    for name in sorted(labels.keys() - {t.name for t in targets}):
        problems.add(where, f"the task {name!r}", "only " + ", ".join(t.name for t in targets))
    for target in targets:
        label, known = labels.get(target.name), target.task.labels
        if label is None:
            continue
        if target.cuts:
            good, expected = number(label), "a score"
            value = float(label) if good else None
        elif target.task.kind == "multi_label":
            good = isinstance(label, list) and all(one in known for one in label)
            expected, value = f"a list of {', '.join(known)}", [int(one in label) for one in known] if good else None
        else:
            good, expected = label in known, f"one of {', '.join(known)}"
            value = known.index(label) if good else None
        if not good:
            problems.add(f"{where}.{target.name}", shown(label), expected)
        result[target.name] = value
    return result


def check_together(name: str, targets: list[Target], entries: list[Entry], problems: Problems):
    """What five folds by group need, and that no recording stands in two groups."""
    groups = {e.group for e in entries}
    if len(groups) < FOLDS:
        problems.add(name, f"{len(groups)} groups", f"at least {FOLDS}, for as many folds")
    first = {}
    for e in entries:
        if e.recording is None:
            continue
        other = first.setdefault(e.recording.resolve(), e)
        if other.group != e.group:
            found = f"the recording of line {other.line} in group {e.group!r}"
            problems.add(f"{name}:{e.line}", found, f"its group {other.group!r}")
    for target in targets:
        labelled = [e for e in entries if target.name in e.targets]
        classes = target.classes([e.targets[target.name] for e in labelled])
        where = f"{name}: labels.{target.name}"
        if len(np.unique(classes, axis=0)) < 2:
            problems.add(where, "the same label in all documents that have one", "at least two labels")
        if len({e.group for e in labelled}) < FOLDS:
            problems.add(where, f"labels in {len({e.group for e in labelled})} groups", f"in at least {FOLDS}")
