"""Writes conformal_sets.json beside itself: outputs of tasks' heads, and the conformal sets of models/reference."""

import json
import random
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "models" / "reference"))

import torch  # noqa: E402

from calibration import probabilities  # noqa: E402
from conformal import sets  # noqa: E402
from hilbert import TaskConfig  # noqa: E402

LABELS = {"ordinal": range(2, 8), "binary": [2], "multi_class": range(2, 8)}
EACH = 8  # cases of each kind and number of labels


def cases() -> list[dict]:
    """Cuts are drawn close and far, so that inner labels may be the least likely; some outputs and thresholds are
    equal or at their bounds."""
    generator, result = random.Random(0), []

    def fitted() -> dict:
        low, middle, high = sorted(round(generator.random(), 4) for _ in range(3))
        thresholds = generator.choice([0.0, low]), middle, generator.choice([high, 1.0])
        of_each = [{"coverage": c, "threshold": t} for c, t in zip((0.5, 0.8, 0.9), thresholds)]
        return {"documents": 1000, "sets": of_each}

    def calibrated_output(kind: str, labels: int) -> tuple[dict, list[float]]:
        if kind == "ordinal":
            cuts = sorted(round(generator.uniform(0, 4), 4) for _ in range(labels - 1))
            calibration = {"cuts": cuts, "slope": round(generator.uniform(0.5, 5), 4)}
            return calibration, [generator.choice([round(generator.uniform(-1, 5), 4), cuts[0]])]
        output = [generator.choice([round(generator.gauss(0, 2), 4), 1.0]) for _ in range(labels)]
        return {"temperature": round(generator.uniform(0.3, 3), 4)}, output

    for kind, counts in LABELS.items():
        for labels in (count for count in counts for _ in range(EACH)):
            task, conformal = TaskConfig("t", kind, [str(i) for i in range(labels)]), fitted()
            calibration, output = calibrated_output(kind, labels)
            p = probabilities(task, torch.tensor([output], dtype=torch.float64), calibration).numpy()  # [1, labels]
            held = [of_coverage.nonzero()[0].tolist() for of_coverage in sets(task, p, conformal)[0]]
            case = {"kind": kind, "labels": labels, "calibration": calibration, "output": output}
            result.append(case | {"conformal": conformal, "held": held})
    return result


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case) for case in cases())
    (here / "conformal_sets.json").write_text(f"[\n{lines}\n]\n", encoding="ascii")
