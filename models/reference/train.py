"""From recordings to a checkpoint: encoder rows, alignment, cross-validation, fusion, calibration.

    python train.py --data DIR [--backbones SPEECH+TEXT] [--cache DIR] [--out ../spoken-english/checkpoint] [--seed 0]
    python train.py --data LIST.jsonl [--tasks FILE] [--encoders CHECKPOINT] [--out LIST/checkpoint] [--cuts 0]

With the data folder, the built-in `spoken-english`, whose encoders are distilled first; or `--backbones`, as
whisper-tiny.en+minilm-l6, the teachers themselves, of which `spoken-english-large` is made. With a list of your own
documents (document_list.py says its form), any label set on frozen encoders. Its cross-validation is printed and
written to `evaluation.json` beside the checkpoint.

Every stage leaves its result in the cache, each fit of the cross-validation too, so that a stopped run goes on where it
was. Uses a GPU if there is one, and several, or several processes on CPUs, to the same result up to rounding:

    torchrun --nproc-per-node 2 train.py --data ...
"""

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import command
import devices
from backbones import Backbones
from checkpoint import save
from collection import Collection
from cross_validation import calibrations, cross_validated, cut_folds, fitted, judged
from hilbert import AlignmentHead, Hilbert, SpeechEncoder, TextEncoder
from listed import Listed
from spoken_english import CALIBRATED_ON, STUDENTS, SpokenEnglish
from train_fusion import Schedule, Trained
from variants import WHOLE

HELD_OUT = 0.2  # of the training documents' groups, for early stopping


def assemble(
    collection: Collection, speech: SpeechEncoder, text: TextEncoder, head: AlignmentHead | None, trained: Trained
) -> Hilbert:
    model = Hilbert(collection.config())
    model.alignment = head
    model.speech.load_state_dict(speech.state_dict())
    model.text.load_state_dict(text.state_dict())
    model.fusion.load_state_dict(trained.fusion.state_dict())
    model.moe.load_state_dict(trained.moe.state_dict())
    return model


def train(
    collection: Collection, out: Path, cuts: Sequence[int], seconds: Callable[[], float], shared: Path | None = None
):
    """Writes the checkpoint, calibrated on the first of the cuts. `seconds` says what training has taken so far.

    `shared`: the checkpoint whose encoders it names instead of holding them.
    """
    speech, text, vocabulary = collection.encoders()
    head, alignment = collection.alignment() or (None, None)
    kinds = collection.documents()
    outputs = cross_validated(collection, WHOLE, cuts)["whole"]
    trained = fitted(collection, [d for kind in collection.training_kinds for d in kinds[kind]], collection.seed)
    first = {m: {task: every[0] for task, every in of_tasks.items()} for m, of_tasks in outputs.items()}
    facts = collection.facts() | calibrations(collection, first, cut_folds(collection, cuts)[0])
    facts["provenance"] |= {
        "device": devices.name(collection.device),
        "processes": devices.count(),
        "seed": collection.seed,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "wall_time_s": round(seconds()),
    }
    if alignment:
        facts["alignment"] = alignment
    if not devices.rank():
        save(out, assemble(collection, speech, text, head, trained), vocabulary, facts, shared)


def evaluation(collection: Collection, cuts: Sequence[int]) -> dict:
    """What its cross-validation says of a list."""
    report, _ = judged(collection, cuts=cuts)
    counts = {}
    for target in collection.targets:
        truth = collection.truth()[target.name]
        known = truth.classes[truth.known()]
        each = (
            known.sum(0)
            if target.task.kind == "multi_label"
            else [(known == c).sum() for c in range(len(target.task.labels))]
        )
        counts[target.name] = {label: int(n) for label, n in zip(target.task.labels, each)}
    return {"cuts": list(cuts), "labels": counts, "model": report["whole"]}


def table(report: dict) -> str:
    """A line for each task and input, with 95 % intervals."""
    lines = []
    for modalities, tasks in report["model"].items():
        for task, measured in tasks.items():
            cells = [f"{task}, {modalities}:"]
            for name in ("macro_f1", "macro_auc", "r"):
                if name in measured:
                    low, high = measured[name]["interval"]
                    cells.append(f"{name} {measured[name]['mean']:.3f} ({low:.2f} to {high:.2f})")
            lines.append(" ".join([*cells, f"calibration error {measured['calibration_error']:.3f}"]))
    return "\n".join(lines)


def main(argv: list[str] | None = None):
    parser = command.parser(__doc__, None)
    parser.add_argument(
        "--precision", choices=devices.PRECISIONS, help="of distillation; on a CPU bfloat16, else float32"
    )
    folder = parser.add_argument_group("with the data folder")
    folder.add_argument("--backbones", type=Backbones.named, help=f"the encoders, SPEECH+TEXT; else {STUDENTS}")
    lists = parser.add_argument_group("with a list")
    lists.add_argument(
        "--tasks", type=Path, help="the file that declares them, if neither the list nor tasks.json does"
    )
    lists.add_argument("--encoders", type=Path, default=Path("../spoken-english/checkpoint"))
    lists.add_argument(
        "--share-encoders", action="store_true", help="the checkpoint names the encoders' instead of holding them"
    )
    lists.add_argument("--name", help="of the bundle; else from the list's name")
    lists.add_argument("--licence", default="NOASSERTION", help="SPDX expression of the weights' licence")
    lists.add_argument("--credit", action="append", default=[], help="a source to credit; may be repeated")
    lists.add_argument(
        "--cuts", type=int, nargs="+", default=[0], help="of the groups into folds; the first calibrates"
    )
    lists.add_argument("--early-stopping", action="store_true", help="on a fifth of the groups of what is trained on")
    a = parser.parse_args(argv)
    if a.precision:
        os.environ[devices.CHOSEN] = a.precision
    collection, cuts, out = asked_for(a, command.device())
    with command.stopwatch(a.cache / f"wall-time-{collection.bundle}.json") as seconds:
        train(collection, out, cuts, seconds, a.encoders if a.share_encoders else None)
        if isinstance(collection, Listed):
            write_evaluation(collection, cuts, out.parent / "evaluation.json")
        if not devices.rank():
            print(f"checkpoint in {out} after {seconds():.0f} s")


def asked_for(a: argparse.Namespace, device: str) -> tuple[SpokenEnglish | Listed, Sequence[int], Path]:
    """What to train, over which cuts, and where its checkpoint goes."""
    if a.data.is_dir():
        collection = SpokenEnglish(a.data, a.cache, a.seed, device, a.backbones or STUDENTS)
        return collection, CALIBRATED_ON, a.out or Path("..") / collection.bundle / "checkpoint"
    if a.data.suffix != ".jsonl" or not a.data.is_file():
        raise SystemExit(f"--data: found {a.data}, expected the data folder or a list that ends in .jsonl")
    if a.backbones:
        raise SystemExit(f"--backbones: found {a.backbones} and a list, whose encoders are those of --encoders")
    name = a.name or re.sub("[^a-z0-9]+", "-", a.data.stem.lower()).strip("-")[:64] or "list"
    if not re.fullmatch("[a-z0-9-]{1,64}", name):
        raise SystemExit(f"--name: found {name!r}, expected 1 to 64 characters of [a-z0-9-]")
    schedule = Schedule(held_out=HELD_OUT if a.early_stopping else 0.0)
    facts = {"schedule": schedule, "licence": a.licence, "credits": a.credit}
    collection = Listed(a.data, a.tasks, a.encoders, name, a.cache, a.seed, device, **facts)
    if not devices.rank():
        print(f"{len(collection.entries)} documents in {len({e.group for e in collection.entries})} groups, {device}")
    return collection, a.cuts, a.out or a.data.with_suffix("") / "checkpoint"


def write_evaluation(collection: Listed, cuts: Sequence[int], out: Path):
    """Writes what its cross-validation says, and prints it."""
    report = evaluation(collection, cuts)
    if not devices.rank():
        out.write_text(json.dumps(report, indent=2) + "\n")
        print(table(report))


if __name__ == "__main__":
    main()
