"""Repeated group cross-validation of one configuration: a pair of backbones and a variant of the method.

Each repeat cuts the recruitment groups anew into five folds, and for each a fusion is trained without it. The students
met no scored speaker at all. A fold's calibration is fitted on the held-out outputs of the others. All weights are
int8, as shipped.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from backbones import Backbones, speech_backbone, text_backbone
from calibration import MODALITIES
from checkpoint import with_int8_weights
from data import FOLDS, folds, sessions
from distill_speech import STUDENT as SPEECH
from distill_text import STUDENT as TEXT
from fit_calibration import held_out_probabilities
from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, TaskConfig
from metrics import calibration_error, correlation, macro_auc, macro_f1, over_repeats
from outline import TESTING_KINDS, TRAINING_KINDS, outlines
from rows import cached, documents, heard, labels, read
from spread import spread
from train_fusion import Schedule, predict, train
from variants import Variant

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
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, repeat: int, fold: int
) -> dict:
    """{kind: {modalities: {task: [N, C]}}} for the N sessions of a fold, by a fusion trained on the rest."""

    def build() -> dict:
        fold_of = folds(sessions(data), repeat)
        kinds = encoded_documents(data, cache, seed, device, backbones)
        outside = [d for kind in TRAINING_KINDS for d in kinds[kind] if fold_of[d.session] != fold]
        inside = {kind: [d for d in kinds[kind] if fold_of[d.session] == fold] for kind in TESTING_KINDS}
        model = with_int8_weights(train(model_config(), outside, seed + 100 * repeat + fold, Schedule(), variant))
        print(f"{backbones}, {variant}: repeat {repeat}, fold {fold} done", flush=True)
        return {kind: {m: predict(model, inside[kind], m) for m in MODALITIES} for kind in TESTING_KINDS}

    return cached(cache / "outputs" / f"{backbones}, {variant}, {repeat}-{fold}.pt", build)


def cross_validated(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, repeats: int
) -> dict:
    """-> {kind: {modalities: {task: [repeats, N, C]}}}: every session's outputs by what never met its fold"""
    encoded_documents(data, cache, seed, device, backbones)
    cuts = [(repeat, fold) for repeat in range(repeats) for fold in range(FOLDS)]
    tasks = [(data, cache, seed, device, backbones, variant, *cut) for cut in cuts]
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
    return np.stack([held_out_probabilities(task, o, truth, f) for o, f in zip(outputs, fold_of)])


def f1_of(truth: np.ndarray, found: np.ndarray) -> float:
    """macro-F1 of the likeliest class; found [N, labels]"""
    return macro_f1(truth, found.argmax(1))


def judged(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, repeats: int
) -> tuple[dict, dict]:
    """-> report {kind: {modalities: {task: ...}}}, probabilities {(kind, modalities, task): [repeats, N, labels]}"""
    truth, total = labels(data)
    fold_of = cut_folds(data, repeats)
    report, found = {}, {}
    outputs = cross_validated(data, cache, seed, device, backbones, variant, repeats)
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
