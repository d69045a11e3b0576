"""What the shipped configuration is worth: cross-validation, its controls, and what distillation costs.

python evaluate.py --data DIR [--cache DIR] [--out ../spoken-english/evaluation.json]
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backbones import Backbones
from calibration import MODALITIES
from command import device, parser
from cross_validation import CUTS, f1_of, judged
from data import FOLDS, folds, join, sessions, utterance_audio
from metrics import macro_f1, over_repeats, paired_difference
from row_cosine import row_cosine
from segment import SegmentConfig, frame_levels
from set_coverage import set_coverage
from spoken_english import STUDENTS, TEACHERS, SpokenEnglish


def controls(data: Path, truth: dict[str, np.ndarray]) -> dict:
    """What the prompts alone and the noise of the pauses alone give: the model's number means something above them."""
    every = sessions(data)
    prompts = [" ".join(u["prompt"] for u in s.utterances) for s in every]
    floors = []
    for session in every:
        samples, _ = join(utterance_audio(data, session), 0.0, None, None)
        levels = frame_levels(samples, SegmentConfig().frame)
        floors.append(np.percentile(levels[levels > -99], [1, 2, 5, 10, 15, 20]))
    features = {
        "prompt text": (np.array(prompts), lambda: TfidfVectorizer(sublinear_tf=True)),
        "noise floor": (np.array(floors), StandardScaler),
    }
    result = {}
    for name, (x, first) in features.items():
        for task, y in truth.items():
            decided = np.zeros((len(CUTS), len(y)), int)
            for repeat, cut in enumerate(CUTS):
                fold_of = folds(every, cut)
                for fold in range(FOLDS):
                    inside = fold_of == fold
                    model = make_pipeline(first(), LogisticRegression(class_weight="balanced", max_iter=2000))
                    decided[repeat, inside] = model.fit(x[~inside], y[~inside]).predict(x[inside])
            result.setdefault(name, {})[task] = {"macro_f1": over_repeats(macro_f1, y, decided)}
    return result


def evaluate(data: Path, cache: Path, seed: int, device: str, pairs: list[Backbones], cuts: Sequence[int]) -> dict:
    """Every pair by itself, the first one's conformal sets, and its difference in macro-F1 to each of the others.

    With the teachers among the others, also how much of their rows the first one keeps.
    """
    collections = [SpokenEnglish(data, cache, seed, device, pair) for pair in pairs]
    truth = {task: t.classes for task, t in collections[0].truth().items()}
    report = {"cuts": list(cuts), "controls": controls(data, truth), "model": {}, "differences": {}}
    found = {}
    for pair, collection in zip(pairs, collections):
        report["model"][str(pair)], found[pair] = judged(collection, cuts=cuts)
    report["conformal"] = set_coverage(collections[0], cuts)
    if TEACHERS in pairs[1:]:
        report["row_cosine"] = row_cosine(collections[0], collections[pairs.index(TEACHERS)], cuts)
    for other in pairs[1:]:
        against = report["differences"].setdefault(f"{pairs[0]} minus {other}", {})
        for modality in MODALITIES:
            for task, y in truth.items():
                key = ("whole", modality, task)
                difference = paired_difference(f1_of, y, found[pairs[0]][key], found[other][key])
                against.setdefault(modality, {})[task] = difference
    return report


def main():
    command = parser(__doc__, "../spoken-english/evaluation.json")
    command.add_argument("--cuts", type=int, nargs="+", default=CUTS, help="of the groups into folds")
    default = [str(STUDENTS), str(TEACHERS)]
    command.add_argument(
        "--backbones", nargs="+", default=default, help="SPEECH+TEXT, the first is compared with the rest"
    )
    arguments = command.parse_args()
    pairs = [Backbones.named(name) for name in arguments.backbones]
    report = evaluate(arguments.data, arguments.cache, arguments.seed, device(), pairs, arguments.cuts)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
