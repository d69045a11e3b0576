"""Writes the measured tables of `models/README.md`: `evaluation.json` and what else stands beside the checkpoints.

    python card.py [--models ..] [--check]

A table stands between `<!-- NAME -->` and `<!-- end of NAME -->`. `--check` only says whether the page is right.
"""

import argparse
import json
import re
from pathlib import Path

import ablation
from ablation import with_interval, worth
from spoken_english import BUNDLES, STUDENTS, TEACHERS

INPUTS = {"audio": "audio alone", "text": "transcript alone", "audio_text": "audio and transcript"}
KINDS = {
    "whole": "",
    "noisy": ", gaps at -50 dBFS, cues of 2 to 6 s",
    "noise_10_db": ", white noise at 10 dB",
    "telephone": ", 8 kHz telephone bandwidth",
}


def inputs() -> list[tuple[str, str, str]]:
    """Kind, modalities and words of what is tested; sound does not change a transcript alone."""
    every = [(kind, m, name + words) for kind, words in KINDS.items() for m, name in INPUTS.items()]
    return [(kind, m, words) for kind, m, words in every if m != "text" or kind in ("whole", "noisy")]


def evaluation_table(report: dict, backbones: str) -> str:
    lines = [
        "| input | proficiency macro-F1 | AUC | r with the mean score | ECE | fluency macro-F1 | AUC | r | ECE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, modality, words in inputs():
        p, f = (report["model"][backbones][kind][modality][task] for task in ("proficiency", "fluency"))
        cells = [words]
        for task in (p, f):
            cells += [*worth(task), f"{task['calibration_error']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    for name, tasks in report["controls"].items():
        p, f = (with_interval(tasks[task]["macro_f1"]) for task in ("proficiency", "fluency"))
        lines.append(f"| control: {name} | {p} | | | | {f} | | | |")
    return "\n".join(lines) + "\n"


def backbones_table(report: dict) -> str:
    """Audio and transcript, a line for each pair of encoders and each condition of the sound."""
    lines = [
        "| encoders | sound | proficiency macro-F1 | AUC | r | fluency macro-F1 | AUC | r |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for pair, by_kind in report["model"].items():
        for kind, words in KINDS.items():
            p, f = (by_kind[kind]["audio_text"][task] for task in ("proficiency", "fluency"))
            cells = [pair, words.removeprefix(", ") or "as recorded", *worth(p), *worth(f)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def large_table(report: dict, costs: dict) -> str:
    """The bundle that ships and the large one: what they are worth, with audio and transcript, and what they cost."""
    lines = [
        "| bundle | proficiency macro-F1 | r | fluency macro-F1 | r | size | time of the sample | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    small = costs["bundles"][BUNDLES[STUDENTS]]
    for backbones, name in BUNDLES.items():
        p, f = (report["model"][str(backbones)]["whole"]["audio_text"][task] for task in ("proficiency", "fluency"))
        cost = costs["bundles"][name]
        cells = [f"`{name}`", *(with_interval(task[measure]) for task in (p, f) for measure in ("macro_f1", "r"))]
        cells += [f"{cost['bytes'] / 1e6:.1f} MB", f"{cost['total_s'] / small['total_s']:.2f}"]
        lines.append("| " + " | ".join([*cells, f"{cost['peak_resident_bytes'] / 2**20:.0f} MiB"]) + " |")
    return "\n".join(lines) + "\n"


def signed(difference: dict) -> str:
    low, high = difference["interval"]
    return f"{difference['mean']:+.3f} ({low:+.2f} to {high:+.2f})"


def difference_table(report: dict) -> str:
    lines = ["| | input | proficiency macro-F1 | p | fluency macro-F1 | p |", "|---|---|---|---|---|---|"]
    for pair, by_modality in report["differences"].items():
        for modality, tasks in by_modality.items():
            cells = []
            for task in ("proficiency", "fluency"):
                cells += [signed(tasks[task]), f"{tasks[task]['p']:.2f}"]
            lines.append(f"| {pair} | {INPUTS[modality]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cosine_table(report: dict) -> str:
    lines = ["| sound | audio, each segment's row | transcript, its mean row |", "|---|---|---|"]
    for kind, words in KINDS.items():
        cells = [
            words.removeprefix(", ") or "as recorded",
            *(with_interval(report[kind][m]) for m in ("audio", "text")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def conformal_table(report: dict) -> str:
    """A line for each input and task; a group of three columns for each coverage."""
    coverages = [of_set["coverage"] for of_set in report["whole"]["audio"]["proficiency"]]
    groups = "".join(f" {100 * coverage:g} %: true label held | label least held | labels |" for coverage in coverages)
    lines = [f"| input | task |{groups}", "|---|---|" + "---|---|---|" * len(coverages)]
    for kind, modality, words in inputs():
        for task, of_sets in report[kind][modality].items():
            cells = [words, task]
            for of_set in of_sets:
                least, share = min(of_set["covered_by_label"].items(), key=lambda one: one[1])
                cells += [with_interval(of_set["covered"]), f"{least} {share:.2f}", f"{of_set['labels']['mean']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def consultations_table(report: dict) -> str:
    """A line for each baseline and control, then the fusion's, with the F1 of each class."""
    every = dict(report["baselines"])
    for imbalance, by_modality in report["fusion"].items():
        every |= {f"HILBERT, {imbalance}: {INPUTS[m]}": found for m, found in by_modality.items()}
    lines = [f"| input | macro-F1 | AUC | {' | '.join(f'F1 {name}' for name in report['classes'])} |"]
    lines.append("|---|---|---|" + "---|" * len(report["classes"]))
    for name, found in every.items():
        cells = [name, with_interval(found["macro_f1"]), with_interval(found["macro_auc"])]
        lines.append("| " + " | ".join([*cells, *(f"{value:.2f}" for value in found["f1"])]) + " |")
    return "\n".join(lines) + "\n"


def consultations_against_table(report: dict) -> str:
    """A line for the encoders of each other checkpoint and each input, and those of the shipped one minus it."""
    lines = ["| encoders | input | macro-F1 | AUC | students minus it | p |", "|---|---|---|---|---|---|"]
    for name, by_modality in report.items():
        for m, found in by_modality.items():
            cells = [f"`{name}`", INPUTS[m], with_interval(found["macro_f1"]), with_interval(found["macro_auc"])]
            lines.append(
                "| " + " | ".join([*cells, signed(found["difference"])]) + f" | {found['difference']['p']:.2f} |"
            )
    return "\n".join(lines) + "\n"


TRANSCRIPTS = {
    "whole": "the recogniser's cues",
    "plain": "without punctuation and case",
    "noisy": "gaps at -50 dBFS, cues of 2 to 6 s",
    "joined": "another recogniser's, joined up to 29.5 s",
    "utterances": "another recogniser's, one cue an utterance",
    "noise_10_db": "white noise at 10 dB",
    "telephone": "8 kHz telephone bandwidth",
}


def integrity_table(report: dict) -> str:
    """Alignment in every condition, then cross-attention alone and both together where it was trained."""
    lines = [
        "| by | transcript, recording | sessions | cues | cue AUC | document macro-F1 |",
        "|---|---|---|---|---|---|",
    ]
    found = [("alignment", name, report["alignment"][name]) for name in TRANSCRIPTS]
    for system, words in (("alone", "cross-attention"), ("combined", "both")):
        found += [(words, name, by_system[system]) for name, by_system in report["cross_attention"].items()]
    for words, name, e in found:
        counted = report["alignment"][name]
        cells = [words, TRANSCRIPTS[name], str(counted["sessions"]), str(counted["cues"])]
        lines.append("| " + " | ".join([*cells, with_interval(e["cue_auc"]), with_interval(e["macro_f1"])]) + " |")
    return "\n".join(lines) + "\n"


def integrity_against_table(report: dict) -> str:
    """A line for each other speech encoder and condition: alignment on its frames, and the shipped one's minus it."""
    lines = [
        "| encoder | transcript, recording | cue AUC | student minus it | document macro-F1 | student minus it | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for encoder, by_condition in report.items():
        for name, words in TRANSCRIPTS.items():
            e = by_condition[name]
            cells = [encoder, words]
            for measure in ("cue_auc", "macro_f1"):
                cells += [with_interval(e[measure]), signed(e[f"{measure}_difference"])]
            lines.append("| " + " | ".join([*cells, f"{e['macro_f1_difference']['p']:.2f}"]) + " |")
    return "\n".join(lines) + "\n"


def tables(models: Path) -> dict[str, str]:
    """What is measured so far, by the name of its place on the page."""
    report = json.loads((models / "spoken-english/evaluation.json").read_text())
    result = {"evaluation": evaluation_table(report, next(iter(report["model"])))}
    if "conformal" in report:
        result["conformal"] = conformal_table(report["conformal"])
    if "row_cosine" in report:
        result["cosine"] = cosine_table(report["row_cosine"])
    if report["differences"]:
        result["backbones"] = backbones_table(report)
        result["differences"] = difference_table(report)
    path = models / "spoken-english/large.json"
    if path.exists() and str(TEACHERS) in report["model"]:
        result["large"] = large_table(report, json.loads(path.read_text()))
    path = models / "spoken-english/ablation.json"
    if path.exists():
        result["ablation"] = ablation.table(json.loads(path.read_text()))
    path = models / "consultations/comparison.json"
    if path.exists():
        report = json.loads(path.read_text())
        result["consultations"] = consultations_table(report)
        if report["against"]:
            result["consultations against"] = consultations_against_table(report["against"])
    path = models / "spoken-english/integrity.json"
    if path.exists():
        report = json.loads(path.read_text())
        result["integrity"] = integrity_table(report)
        if report["against"]:
            result["integrity against"] = integrity_against_table(report["against"])
    return result


def filled(page: str, tables: dict[str, str]) -> str:
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not place.search(page):
            raise SystemExit(f"the page has no place for the table {name!r}")
        page = place.sub(lambda m, table=table: f"{m[1]}{table}{m[2]}", page)
    return page


def pages(models: Path) -> dict[Path, str]:
    """The pages that carry tables, with what is measured so far."""
    found = tables(models)
    of_page = {models / "README.md": found, models.parent / "README.md": {k: found[k] for k in {"large"} & {*found}}}
    return {path: filled(path.read_text(), mine) for path, mine in of_page.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path(".."))
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for path, wanted in pages(arguments.models.resolve()).items():
        if arguments.check and path.read_text() != wanted:
            raise SystemExit(f"{path} differs from what was measured: run card.py")
        path.write_text(wanted)


if __name__ == "__main__":
    main()
