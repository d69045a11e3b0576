"""Repeated group cross-validation of the shipped configuration, with its controls.

    python evaluate.py --data DIR [--cache DIR] [--out ../spoken-english/evaluation.json]

Each repeat cuts the recruitment groups anew into five folds, and for each a fusion is trained without it. The students
met no scored speaker at all. A fold's calibration is fitted on the held-out outputs of the others. All weights are
int8, as shipped. The same on the teachers' rows says what distillation costs.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backbones import Backbones, speech_backbone, text_backbone
from calibration import MODALITIES, probabilities
from checkpoint import with_int8_weights
from data import FOLDS, folds, join, sessions, utterance_audio
from distill_speech import STUDENT as SPEECH
from distill_text import STUDENT as TEXT
from fit_calibration import fit
from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, TaskConfig
from metrics import calibration_error, correlation, macro_auc, macro_f1, over_repeats, paired_difference
from outline import TESTING_KINDS, TRAINING_KINDS, outlines
from rows import cached, documents, heard, labels, read
from segment import SegmentConfig, frame_levels
from spread import spread
from train_fusion import predict, train

REPEATS = 5
STUDENTS = Backbones()
TEACHERS = Backbones("whisper-tiny.en", "minilm-l6")
TASKS = [
    TaskConfig("proficiency", "ordinal", ["basic", "intermediate", "proficient"]),
    TaskConfig("fluency", "binary", ["fluent", "at_risk"]),
]


def model_config() -> HilbertConfig:
    return HilbertConfig(SPEECH, TEXT, FusionConfig(), ExpertsConfig(), TASKS)


def encoded_documents(data: Path, cache: Path, seed: int, device: str, backbones: Backbones) -> dict[str, list]:
    """The documents of every kind of `outlines`; rows are computed once for each encoder and kind."""
    drawn = outlines(sessions(data), seed)

    def rows(modality: str, name: str, encoder, encode) -> dict[str, list[dict]]:
        loaded, result = None, {}
        for kind, of_kind in drawn.items():
            path = cache / f"rows-{modality}-{name}-{kind}.pt"
            if loaded is None and not path.exists():
                loaded = encoder(name, data, cache, seed, device)
            result[kind] = cached(path, encode, of_kind, loaded)
        return result

    audio = rows("audio", backbones.speech, speech_backbone, partial(heard, data))
    text = rows("text", backbones.text, text_backbone, read)
    return {kind: documents(data, of_kind, audio[kind], text[kind]) for kind, of_kind in drawn.items()}


def held_out_outputs(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, repeat: int, fold: int
) -> dict:
    """{kind: {modalities: {task: [N, C]}}} for the N sessions of a fold, by a fusion trained on the rest."""

    def build() -> dict:
        fold_of = folds(sessions(data), repeat)
        kinds = encoded_documents(data, cache, seed, device, backbones)
        outside = [d for kind in TRAINING_KINDS for d in kinds[kind] if fold_of[d.session] != fold]
        inside = {kind: [d for d in kinds[kind] if fold_of[d.session] == fold] for kind in TESTING_KINDS}
        model = with_int8_weights(train(model_config(), outside, seed + 100 * repeat + fold))
        print(f"{backbones}, repeat {repeat}, fold {fold} done", flush=True)
        return {kind: {m: predict(model, inside[kind], m) for m in MODALITIES} for kind in TESTING_KINDS}

    return cached(cache / f"outputs-{backbones}-{repeat}-{fold}.pt", build)


def cross_validated(data: Path, cache: Path, seed: int, device: str, backbones: Backbones, repeats: int) -> dict:
    """-> {kind: {modalities: {task: [repeats, N, C]}}}: every session's outputs by what never met its fold"""
    encoded_documents(data, cache, seed, device, backbones)
    cuts = [(repeat, fold) for repeat in range(repeats) for fold in range(FOLDS)]
    tasks = [(data, cache, seed, device, backbones, *cut) for cut in cuts]
    found = dict(zip(cuts, spread(held_out_outputs, tasks, device)))
    fold_of = torch.from_numpy(cut_folds(data, repeats))

    def gather(kind, modalities, task):
        output = torch.empty(*fold_of.shape, found[0, 0][kind][modalities][task].shape[1])
        for (repeat, fold), outputs in found.items():
            output[repeat, fold_of[repeat] == fold] = outputs[kind][modalities][task]
        return output

    return {k: {m: {t.name: gather(k, m, t.name) for t in TASKS} for m in MODALITIES} for k in TESTING_KINDS}


def cut_folds(data: Path, repeats: int) -> np.ndarray:
    """The fold of each session in each repeat. [repeats, N]"""
    return np.array([folds(sessions(data), repeat) for repeat in range(repeats)])


def cross_fitted(task: TaskConfig, outputs: torch.Tensor, truth: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """outputs [repeats, N, C] -> probabilities [repeats, N, labels], each fold calibrated on the others"""
    found = np.zeros((*outputs.shape[:2], len(task.labels)))
    for repeat, output in enumerate(outputs):
        for fold in range(FOLDS):
            inside = fold_of[repeat] == fold
            calibration = fit(task, output[~inside], truth[~inside])
            found[repeat, inside] = probabilities(task, output[inside].double(), calibration).numpy()
    return found


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
            decided = np.zeros((REPEATS, len(y)), int)
            for repeat in range(REPEATS):
                fold_of = folds(every, repeat)
                for fold in range(FOLDS):
                    inside = fold_of == fold
                    model = make_pipeline(first(), LogisticRegression(class_weight="balanced", max_iter=2000))
                    decided[repeat, inside] = model.fit(x[~inside], y[~inside]).predict(x[inside])
            result.setdefault(name, {})[task] = {"macro_f1": over_repeats(macro_f1, y, decided)}
    return result


def f1_of(truth: np.ndarray, found: np.ndarray) -> float:
    """macro-F1 of the likeliest class; found [N, labels]"""
    return macro_f1(truth, found.argmax(1))


def judged(data: Path, cache: Path, seed: int, device: str, backbones: Backbones, repeats: int) -> tuple[dict, dict]:
    """-> report {kind: {modalities: {task: ...}}}, probabilities {(kind, modalities, task): [repeats, N, labels]}"""
    level, risk, total = labels(data)
    truth = {"proficiency": level, "fluency": risk}
    fold_of = cut_folds(data, repeats)
    report, found = {}, {}
    outputs = cross_validated(data, cache, seed, device, backbones, repeats)
    for kind, by_modality in outputs.items():
        for modality, by_task in by_modality.items():
            entry = report.setdefault(kind, {}).setdefault(modality, {})
            for task in TASKS:
                y = truth[task.name]
                p = found[kind, modality, task.name] = cross_fitted(task, by_task[task.name], y, fold_of)
                entry[task.name] = {
                    "macro_f1": over_repeats(f1_of, y, p),
                    "macro_auc": over_repeats(macro_auc, y, p),
                    "calibration_error": round(float(np.mean([calibration_error(y, one) for one in p])), 3),
                }
            scores = by_task["proficiency"][:, :, 0].numpy()
            entry["proficiency"]["r"] = over_repeats(correlation, total, scores)
    return report, found


def evaluate(data: Path, cache: Path, seed: int, device: str, pairs: list[Backbones], repeats: int) -> dict:
    """Every pair by itself, and the difference in macro-F1 of the first to each of the others."""
    level, risk, _ = labels(data)
    truth = {"proficiency": level, "fluency": risk}
    report = {"repeats": repeats, "controls": controls(data, truth), "model": {}, "differences": {}}
    found = {}
    for pair in pairs:
        report["model"][str(pair)], found[pair] = judged(data, cache, seed, device, pair, repeats)
    for other in pairs[1:]:
        against = report["differences"].setdefault(f"{pairs[0]} minus {other}", {})
        for modality in MODALITIES:
            for task, y in truth.items():
                key = ("whole", modality, task)
                difference = paired_difference(f1_of, y, found[pairs[0]][key], found[other][key])
                against.setdefault(modality, {})[task] = difference
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, default=Path("../spoken-english/evaluation.json"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    default = [str(STUDENTS), str(TEACHERS)]
    parser.add_argument(
        "--backbones", nargs="+", default=default, help="SPEECH+TEXT, the first is compared with the rest"
    )
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pairs = [Backbones(*name.split("+")) for name in arguments.backbones]
    report = evaluate(arguments.data, arguments.cache, arguments.seed, device, pairs, arguments.repeats)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
