"""Repeated group cross-validation of the shipped configuration, with its controls.

    python evaluate.py --data DIR [--cache DIR] [--out ../spoken-english/evaluation.json]

The groups are cut into five parts. For each, a speech student is tuned without it, and each repeat trains a fusion
without it on that student's rows, with another seed. A part's calibration is fitted on the held-out predictions for
the other parts.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from calibration import MODALITIES
from data import FOLDS, folds, join, parts, sessions, utterance_audio
from fit_calibration import decide, fit
from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, TaskConfig
from rows import cached_documents, cropped_documents, labels, whole_documents
from segment import SegmentConfig, frame_levels
from spread import spread
from students import prepare, speech_student, text_student, training_parts
from train_fusion import predict, train

REPEATS = 5
TASKS = [
    TaskConfig("proficiency", "ordinal", ["basic", "intermediate", "proficient"]),
    TaskConfig("fluency", "binary", ["fluent", "at_risk"]),
]


def model_config() -> HilbertConfig:
    from distill_speech import STUDENT as speech
    from distill_text import STUDENT as text

    return HilbertConfig(speech, text, FusionConfig(), ExpertsConfig(), TASKS)


def encoded_documents(data: Path, cache: Path, seed: int, device: str, left_out: int | None = None) -> dict[str, list]:
    """whole, noisy and cropped documents of all sessions, by the speech student that never met part `left_out`"""
    paths = {k: cache / f"rows-{k}-{training_parts(left_out)}.pt" for k in ("whole", "noisy", "cropped")}
    speech = text = vocabulary = None
    if not all(p.exists() for p in paths.values()):
        speech = speech_student(data, cache, seed, device, left_out)
        text, vocabulary = text_student(data, cache, seed, device)
    return {
        "whole": cached_documents(paths["whole"], lambda: whole_documents(data, speech, text, vocabulary, False)),
        "noisy": cached_documents(paths["noisy"], lambda: whole_documents(data, speech, text, vocabulary, True)),
        "cropped": cached_documents(paths["cropped"], lambda: cropped_documents(data, speech, text, vocabulary, seed)),
    }


def held_out_outputs(data: Path, cache: Path, seed: int, device: str, part: int, repeats: int) -> list[dict]:
    """Of each repeat {variant: {modalities: {task: [N, C]}}}, by a student and a fusion that never met `part`."""
    part_of = parts(sessions(data))
    documents = encoded_documents(data, cache, seed, device, part)
    outside = [d for kind in documents.values() for d in kind if part_of[d.session] != part]
    results = []
    for repeat in range(repeats):
        path = cache / f"outputs-{repeat}-{part}.pt"
        if not path.exists():
            model = train(model_config(), outside, seed + 100 * repeat + part)
            torch.save({v: {m: predict(model, documents[v], m) for m in MODALITIES} for v in ("whole", "noisy")}, path)
            print(f"part {part}, repeat {repeat} done", flush=True)
        results.append(torch.load(path, weights_only=True))
    return results


def cross_validated(data: Path, cache: Path, seed: int, device: str, repeats: int) -> dict:
    """-> {variant: {modalities: {task: [repeats, N, C]}}}: every session's outputs by what never met its part.

    `students.prepare` must have run.
    """
    tasks = [(data, cache, seed, device, part, repeats) for part in range(FOLDS)]
    by_part = spread(held_out_outputs, tasks, device)
    part_of = parts(sessions(data))

    def gather(variant, modalities, task):
        output = torch.stack([by_part[0][r][variant][modalities][task] for r in range(repeats)])
        for part in range(1, FOLDS):
            inside = torch.from_numpy(part_of == part)
            for repeat in range(repeats):
                output[repeat, inside] = by_part[part][repeat][variant][modalities][task][inside]
        return output

    return {v: {m: {t.name: gather(v, m, t.name) for t in TASKS} for m in MODALITIES} for v in ("whole", "noisy")}


def interval(statistic, *arrays) -> list[float]:
    """95 % bootstrap interval over the documents, 200 draws."""
    rng = np.random.default_rng(0)
    n = len(arrays[0])
    values = [statistic(*(a[chosen] for a in arrays)) for chosen in rng.integers(0, n, (200, n))]
    return [round(float(v), 3) for v in np.percentile(values, [2.5, 97.5])]


def macro_f1(truth, decided) -> float:
    return f1_score(truth, decided, average="macro", labels=np.unique(truth), zero_division=0)


def summary(truth: np.ndarray, decided: np.ndarray) -> dict:
    """decided [repeats, N] -> mean macro-F1, its spread over repeats, its interval over documents"""
    each = [macro_f1(truth, d) for d in decided]
    joint = interval(lambda t, d: np.mean([macro_f1(t, d[:, r]) for r in range(d.shape[1])]), truth, decided.T)
    return {"macro_f1": round(float(np.mean(each)), 3), "repeats": np.round(each, 3).tolist(), "interval": joint}


def cross_fitted(task: TaskConfig, outputs: torch.Tensor, truth: np.ndarray, part_of: np.ndarray) -> np.ndarray:
    """[repeats, N, C] -> decisions [repeats, N], each part decided by the calibration of the others."""
    decided = np.zeros(outputs.shape[:2], int)
    for repeat, output in enumerate(outputs):
        for part in range(FOLDS):
            inside = part_of == part
            calibration = fit(task, output[~inside], truth[~inside])
            decided[repeat, inside] = decide(task, output[inside], calibration)
    return decided


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
            result.setdefault(name, {})[task] = summary(y, decided)
    return result


def evaluate(data: Path, cache: Path, seed: int, device: str, repeats: int) -> dict:
    prepare(data, cache, seed, device)
    outputs = cross_validated(data, cache, seed, device, repeats)
    part_of = parts(sessions(data))
    level, risk, total = labels(data)
    truth = {"proficiency": level, "fluency": risk}
    report = {"repeats": repeats, "controls": controls(data, truth), "model": {}}
    for variant, by_modality in outputs.items():
        for modality, by_task in by_modality.items():
            entry = report["model"].setdefault(variant, {}).setdefault(modality, {})
            for task in TASKS:
                decided = cross_fitted(task, by_task[task.name], truth[task.name], part_of)
                entry[task.name] = summary(truth[task.name], decided)
            scores = by_task["proficiency"][:, :, 0].numpy()
            each = [np.corrcoef(s, total)[0, 1] for s in scores]
            entry["proficiency"]["r"] = round(float(np.mean(each)), 3)
            entry["proficiency"]["r_repeats"] = np.round(each, 3).tolist()
            entry["proficiency"]["r_interval"] = interval(
                lambda t, s: np.mean([np.corrcoef(s[:, r], t)[0, 1] for r in range(s.shape[1])]), total, scores.T
            )
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, default=Path("../spoken-english/evaluation.json"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = evaluate(arguments.data, arguments.cache, arguments.seed, device, arguments.repeats)
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
