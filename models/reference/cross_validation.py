"""Repeated group cross-validation of one configuration: a pair of backbones and a variant of the method.

Each cut of the recruitment groups has five folds, and for each a speech student is distilled and a fusion trained
without it. The text student met no scored speaker at all. A fold's calibration is fitted on the held-out outputs of the
others. All weights are int8, as shipped.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from backbones import Backbones, speech_backbone, text_backbone
from calibration import MODALITIES
from checkpoint import with_int8_weights
from data import FOLDS, Fold, folds, sessions
from distill_speech import STUDENT as SPEECH
from distill_text import STUDENT as TEXT
from fit_calibration import held_out_probabilities
from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, TaskConfig
from metrics import calibration_error, correlation, macro_auc, macro_f1, over_repeats
from outline import TESTING_KINDS, TRAINING_KINDS, Outline, outlines
from rows import cached, documents, heard, labels, read
from spread import spread
from train_fusion import Schedule, predict, train
from variants import Variant

CUTS = (0, 1, 2, 3, 4)
STUDENTS = Backbones()
TEACHERS = Backbones("whisper-tiny.en", "minilm-l6")
TASKS = [
    TaskConfig("proficiency", "ordinal", ["basic", "intermediate", "proficient"]),
    TaskConfig("fluency", "binary", ["fluent", "at_risk"]),
]


def model_config() -> HilbertConfig:
    return HilbertConfig(SPEECH, TEXT, FusionConfig(), ExpertsConfig(), TASKS)


def encoded_documents(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, left_out: Fold | None = None
) -> dict[str, list]:
    """The documents of every kind of `outlines`; rows are computed once for each encoder and kind.

    With a fold left out, its sessions stand in the kinds that test and the others in those that train, where the
    speech encoder is one that never met the fold; other encoders give every document all the same.
    """
    every = sessions(data)
    drawn = outlines(every, seed)
    left_out = left_out if backbones.hears_sessions else None
    inside = np.zeros(len(every), bool) if left_out is None else left_out.holds(every)

    def needed(kind: str, outline: Outline) -> bool:
        return left_out is None or kind in (TESTING_KINDS if inside[outline.session] else TRAINING_KINDS)

    def rows(modality: str, name: str, encoder, encode, wanted: dict[str, list[Outline]]) -> dict[str, list[dict]]:
        loaded, result = None, {}
        for kind, of_kind in wanted.items():
            path = cache / f"rows-{modality}-{name}-{kind}.pt"
            if loaded is None and not path.exists():
                loaded = encoder()
            result[kind] = cached(path, encode, of_kind, loaded)
        return result

    speech = partial(speech_backbone, backbones.speech, data, cache, seed, device, left_out)
    name = backbones.speech if left_out is None else f"{backbones.speech}-{left_out}"
    heard_outlines = {kind: [o for o in of_kind if needed(kind, o)] for kind, of_kind in drawn.items()}
    audio = rows("audio", name, speech, partial(heard, data), heard_outlines)
    text = rows("text", backbones.text, partial(text_backbone, backbones.text, data, cache, seed, device), read, drawn)
    return {
        kind: documents(
            data, heard_outlines[kind], audio[kind], [t for o, t in zip(of_kind, text[kind]) if needed(kind, o)]
        )
        for kind, of_kind in drawn.items()
    }


def held_out_outputs(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, fold: Fold
) -> dict:
    """{kind: {modalities: {task: [N, C]}}} for the N sessions of a fold, by a fusion trained on the rest."""

    def build() -> dict:
        inside = fold.holds(sessions(data))
        kinds = encoded_documents(data, cache, seed, device, backbones, fold)
        training = [d for kind in TRAINING_KINDS for d in kinds[kind] if not inside[d.session]]
        testing = {kind: [d for d in kinds[kind] if inside[d.session]] for kind in TESTING_KINDS}
        of_fold = seed + 100 * fold.cut + fold.number
        config = model_config()
        config.fusion.audio_row, config.fusion.text_row = training[0].audio.shape[1], training[0].text.shape[1]
        model = with_int8_weights(train(config, training, of_fold, Schedule(), variant))
        print(f"{backbones}, {variant}: cut {fold.cut}, fold {fold.number} done", flush=True)
        return {kind: {m: predict(model, testing[kind], m) for m in MODALITIES} for kind in TESTING_KINDS}

    return cached(cache / "outputs" / f"{backbones}, {variant}, {fold}.pt", build)


def cross_validated(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, cuts: Sequence[int]
) -> dict:
    """-> {kind: {modalities: {task: [cuts, N, C]}}}: every session's outputs by what never met its fold"""
    if not backbones.hears_sessions:
        encoded_documents(data, cache, seed, device, backbones)  # once, not by every process
    every = [Fold(cut, number) for cut in cuts for number in range(FOLDS)]
    found = spread(held_out_outputs, [(data, cache, seed, device, backbones, variant, fold) for fold in every], device)

    def gather(kind, modalities, task):
        output = torch.empty(len(cuts), len(sessions(data)), found[0][kind][modalities][task].shape[1])
        for fold, outputs in zip(every, found):
            inside = torch.from_numpy(fold.holds(sessions(data)))
            output[cuts.index(fold.cut), inside] = outputs[kind][modalities][task]
        return output

    return {k: {m: {t.name: gather(k, m, t.name) for t in TASKS} for m in MODALITIES} for k in TESTING_KINDS}


def cut_folds(data: Path, cuts: Sequence[int]) -> np.ndarray:
    """The fold of each session in each cut. [cuts, N]"""
    return np.array([folds(sessions(data), cut) for cut in cuts])


def cross_fitted(task: TaskConfig, outputs: torch.Tensor, truth: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """outputs [cuts, N, C] -> probabilities [cuts, N, labels], each fold calibrated on the others"""
    return np.stack([held_out_probabilities(task, o, truth, f) for o, f in zip(outputs, fold_of)])


def f1_of(truth: np.ndarray, found: np.ndarray) -> float:
    """macro-F1 of the likeliest class; found [N, labels]"""
    return macro_f1(truth, found.argmax(1))


def judged(
    data: Path, cache: Path, seed: int, device: str, backbones: Backbones, variant: Variant, cuts: Sequence[int]
) -> tuple[dict, dict]:
    """-> report {kind: {modalities: {task: ...}}}, probabilities {(kind, modalities, task): [cuts, N, labels]}"""
    truth, total = labels(data)
    fold_of = cut_folds(data, cuts)
    report, found = {}, {}
    outputs = cross_validated(data, cache, seed, device, backbones, variant, cuts)
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
