"""What the class of the synthetic consultations can be told from, in repeated cross-validation by group.

    python evaluate_interviews.py --data DIR --speech FOLDER [--against CHECKPOINT ...]

`FOLDER` is what `synthesise.py` wrote from the data folder. Linear baselines over all cuts, then the fusion with either
way to meet the imbalance of the classes over `--cuts`; fits that `train.py` has left in the cache are taken. The
controls say what the drawn voices and the length alone tell: near chance, no voice carries the label. `--against` tells
what the encoders of other checkpoints are worth in the place of those of `--encoders`, as the students' teachers.
"""

import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import soundfile
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import command
from calibration import MODALITIES
from cross_validation import CUTS, cut_folds, f1_of, judged
from data import FOLDS
from interviews import CLASSES, TASK, interviews
from listed import Listed, loaded
from metrics import f1, macro_auc, over_repeats, paired_difference
from synthesise import cast

IMBALANCE = ("adjustment", "weights")


def probed(first: Callable, x: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Logistic regression on what `first()` makes of x [N, ...], classes weighted alike. -> [cuts, N, C]"""
    result = np.zeros((len(fold_of), len(labels), labels.max() + 1))
    for found, of_cut in zip(result, fold_of):
        for fold in range(FOLDS):
            inside = of_cut == fold
            model = make_pipeline(first(), LogisticRegression(class_weight="balanced", max_iter=2000))
            found[inside] = model.fit(x[~inside], labels[~inside]).predict_proba(x[inside])
    return result


def judged_by(labels: np.ndarray, p: np.ndarray) -> dict:
    """Of probabilities [cuts, N, C]"""
    return {
        "macro_f1": over_repeats(f1_of, labels, p),
        "macro_auc": over_repeats(macro_auc, labels, p),
        "f1": [round(float(np.mean([f1(labels, one.argmax(1), c) for one in p])), 3) for c in range(len(CLASSES))],
    }


def features(data: Path, speech: Listed) -> dict[str, tuple[Callable, np.ndarray]]:
    """What the baselines and controls read: what makes features of x, and x [N, ...]."""
    every, documents = {i.name: i for i in interviews(data)}, speech.documents()["whole"]
    casting = [cast(every[e.recording.stem].number, speech.seed) for e in speech.entries]
    voices = np.array([[f"{v.accent}+{v.variant}" for v in c.voices.values()] for c in casting])
    drawn = [[x for v in c.voices.values() for x in astuple(v)[2:]] + [c.noise_db] for c in casting]
    texts = np.array([" ".join(c.text for c in e.cues) for e in speech.entries])
    audio, text = (np.stack([getattr(d, m).mean(0).numpy() for d in documents]) for m in ("audio", "text"))
    return {
        "transcript: TF-IDF": (lambda: TfidfVectorizer(sublinear_tf=True), texts),
        "transcript: mean row": (StandardScaler, text),
        "audio: mean row": (StandardScaler, audio),
        "audio and transcript: mean rows": (StandardScaler, np.hstack([audio, text])),
        "control: the two voices": (lambda: OneHotEncoder(handle_unknown="ignore"), voices),
        "control: rates, pitches, levels, noise": (StandardScaler, np.array(drawn, float)),
        "control: length": (StandardScaler, minutes(speech)[:, None]),
    }


def minutes(speech: Listed) -> np.ndarray:
    """[N]"""
    return np.array([soundfile.info(e.recording).duration / 60 for e in speech.entries])


def met_by(imbalance: str, speech: Listed) -> Listed:
    """The same list, its task's classes met in another way."""
    result = copy(speech)
    result.targets = [replace(t, imbalance=imbalance) for t in speech.targets]
    return result


def beside(others: Sequence[Listed], labels: np.ndarray, found: dict, cuts: Sequence[int]) -> dict:
    """What other encoders are worth, and by modalities the macro-F1 of probabilities `found` minus theirs."""
    result = {}
    for other in others:
        _, theirs = judged(other, cuts=cuts)
        result[loaded(other.checkpoint)[2]["name"]] = {
            m: judged_by(labels, theirs["whole", m, TASK])
            | {"difference": paired_difference(f1_of, labels, found["whole", m, TASK], theirs["whole", m, TASK])}
            for m in MODALITIES
        }
    return result


def evaluate(data: Path, speech: Listed, others: Sequence[Listed], cuts: Sequence[int]) -> dict:
    labels, fold_of = speech.truth()[TASK].classes, cut_folds(speech, CUTS)
    documents, length = speech.documents()["whole"], minutes(speech)
    report = {
        "cuts": {"baselines": len(CUTS), "fusion": len(cuts)},
        "classes": {name: int((labels == c).sum()) for c, name in enumerate(CLASSES)},
        "hours": round(float(length.sum()) / 60, 2),
        "minutes": spread_of(length),
        "segments": spread_of([len(d.audio) for d in documents]),
        "text_rows": spread_of([len(d.text) for d in documents]),
        "baselines": {},
        "fusion": {},
    }
    for name, (first, x) in features(data, speech).items():
        report["baselines"][name] = judged_by(labels, probed(first, x, labels, fold_of))
        print(name, report["baselines"][name], flush=True)
    found = {}
    for imbalance in IMBALANCE:
        _, found[imbalance] = judged(met_by(imbalance, speech), cuts=cuts)
        report["fusion"][imbalance] = {m: judged_by(labels, found[imbalance]["whole", m, TASK]) for m in MODALITIES}
    first, second = (found[imbalance]["whole", "audio_text", TASK] for imbalance in IMBALANCE)
    report["difference"] = paired_difference(f1_of, labels, first, second)
    report["against"] = beside(others, labels, found[IMBALANCE[0]], cuts)
    return report


def spread_of(values) -> dict:
    return {
        "least": round(float(min(values)), 2),
        "mean": round(float(np.mean(values)), 2),
        "most": round(float(max(values)), 2),
    }


def main():
    parser = command.parser(__doc__, "../consultations/comparison.json")
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--encoders", type=Path, default=Path("../spoken-english/checkpoint"))
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="checkpoints of other encoders")
    parser.add_argument("--cuts", type=int, nargs="+", default=[0], help="of the groups into folds, for the fusion")
    a = parser.parse_args()
    path, device = a.speech / "list.jsonl", command.device()
    speech, *others = (
        Listed(path, None, encoders, "consultations", a.cache, a.seed, device) for encoders in (a.encoders, *a.against)
    )
    report = evaluate(a.data, speech, others, a.cuts)
    a.out.parent.mkdir(exist_ok=True)
    a.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
