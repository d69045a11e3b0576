"""What each part of HILBERT is worth on this data: every objective with either head, then one thing at a time.

    python ablation.py --data DIR [--cache DIR] [--out ../spoken-english/ablation]

Writes `ablation.json`, of which `card.py` makes the table, and `ablation.svg`. Every fit leaves its outputs in the
cache, so that a stopped run goes on where it was.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from backbones import Backbones
from command import device, parser
from cross_validation import CUTS, f1_of, judged
from metrics import paired_difference
from spoken_english import STUDENTS, SpokenEnglish
from variants import HEADS, OBJECTIVES, WHOLE, Variant

ONE_AT_A_TIME = [
    (STUDENTS, Variant(reading="B")),
    (STUDENTS, Variant(biased_cka=True)),
    (Backbones("student-unscored", STUDENTS.text), WHOLE),
    (Backbones("whisper-tiny.en", STUDENTS.text), WHOLE),
    (Backbones("ge2e", STUDENTS.text), WHOLE),
    (Backbones(STUDENTS.speech, "minilm-l6"), WHOLE),
    (Backbones(STUDENTS.speech, "minilm-l3"), WHOLE),
]


def configurations() -> list[tuple[Backbones, Variant]]:
    """The shipped one first, then the grid of objectives and heads, then one change at a time."""
    grid = [(STUDENTS, Variant(objective, head)) for head in HEADS for objective in OBJECTIVES]
    return list(dict.fromkeys([(STUDENTS, WHOLE), *grid, *ONE_AT_A_TIME]))


def ablate(data: Path, cache: Path, seed: int, device: str, cuts: Sequence[int]) -> list[dict]:
    """Of each configuration how good it is, and its difference in macro-F1 to the shipped one."""
    result, shipped = [], None
    for backbones, variant in configurations():
        collection = SpokenEnglish(data, cache, seed, device, backbones)
        report, found = judged(collection, variant, cuts)
        shipped = shipped or found
        entry = {"backbones": str(backbones), "variant": str(variant), **report["whole"][variant.modalities]}
        for task, truth in collection.truth().items():
            mine, theirs = found["whole", variant.modalities, task], shipped["whole", WHOLE.modalities, task]
            entry[task]["minus_shipped"] = paired_difference(f1_of, truth.classes, mine, theirs)
        result.append(entry)
        print(json.dumps({k: entry[k] for k in ("backbones", "variant")}), flush=True)
    return result


def with_interval(statistic: dict) -> str:
    low, high = statistic["interval"]
    return f"{statistic['mean']:.3f} ({low:.2f} to {high:.2f})"


def worth(task: dict) -> list[str]:
    """macro-F1, AUC and r of an ordinal task: three cells"""
    return [with_interval(task["macro_f1"]), f"{task['macro_auc']['mean']:.3f}", with_interval(task["r"])]


def table(entries: list[dict]) -> str:
    """Markdown, one line a configuration."""
    lines = [
        "| backbones | variant | proficiency macro-F1 | AUC | r | minus shipped, p | fluency macro-F1 | AUC | r |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for e in entries:
        p, f = e["proficiency"], e["fluency"]
        difference = f"{p['minus_shipped']['mean']:+.3f}, {p['minus_shipped']['p']:.2f}"
        lines.append("| " + " | ".join([e["backbones"], e["variant"], *worth(p), difference, *worth(f)]) + " |")
    return "\n".join(lines) + "\n"


ROW, LEFT, WIDTH = 22, 330, 420  # of the plot, in pixels
LOW, HIGH = 0.2, 0.9  # of macro-F1 on its axis


def plot(entries: list[dict]) -> str:
    """SVG: the macro-F1 of `proficiency` of each configuration, with its interval."""

    def x(value: float) -> float:
        return round(LEFT + WIDTH * (value - LOW) / (HIGH - LOW), 1)

    height = ROW * (len(entries) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{LEFT}" y="14">macro-F1 of proficiency</text>',
    ]
    for tick in range(2, 10):
        at = x(tick / 10)
        parts.append(f'<path d="M{at} 20V{height - ROW}" stroke="#ddd"/>')
        parts.append(f'<text x="{at}" y="{height - 6}" text-anchor="middle">{tick / 10}</text>')
    for i, e in enumerate(entries):
        y, statistic = ROW * (i + 1.5), e["proficiency"]["macro_f1"]
        name = e["variant"] if e["backbones"] == str(STUDENTS) else e["backbones"]
        low, high = map(x, statistic["interval"])
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{name}</text>')
        parts.append(f'<path d="M{low} {y}H{high}" stroke="#47c"/>')
        parts.append(f'<circle cx="{x(statistic["mean"])}" cy="{y}" r="4" fill="#47c"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main():
    command = parser(__doc__, "../spoken-english/ablation")
    command.add_argument("--cuts", type=int, nargs="+", default=CUTS, help="of the groups into folds")
    arguments = command.parse_args()
    entries = ablate(arguments.data, arguments.cache, arguments.seed, device(), arguments.cuts)
    arguments.out.with_suffix(".json").write_text(json.dumps(entries, indent=2) + "\n")
    arguments.out.with_suffix(".svg").write_text(plot(entries))


if __name__ == "__main__":
    main()
