"""Repeated group cross-validation of a collection of recordings and a variant of the method.

Each cut of the groups has five folds, and for each a fusion is trained without it, on the rows of encoders that never
met it either. A fold's calibration is fitted on the held-out outputs of the others. All weights are int8, as shipped.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import torch

import conformal
from calibration import MODALITIES
from checkpoint import with_int8_weights
from collection import Collection, Truth
from data import FOLDS, Fold
from fit_calibration import fit, held_out_probabilities
from hilbert import TaskConfig
from metrics import (
    calibration_error,
    correlation,
    label_auc,
    label_calibration_error,
    label_f1,
    macro_auc,
    macro_f1,
    over_repeats,
)
from rows import Document, cached
from spread import spread
from train_fusion import Trained, predict, train
from variants import WHOLE, Variant

CUTS = (0, 1, 2, 3, 4)


def fit_name(collection: Collection, variant: Variant) -> str:
    """Tells cached fits apart: by which parts of the method, what is learnt, on which schedule, from which kinds."""
    trained = repr((collection.targets, collection.schedule, collection.training_kinds))
    return f"{collection.name}, {variant}, {zlib.crc32(trained.encode()):08x}"


def fitted(
    collection: Collection, documents: list[Document], seed: int, name: str = "whole", variant: Variant = WHOLE
) -> Trained:
    """A fusion trained on some of a collection's documents; its curve is kept by `name`."""
    c, config, one = collection, collection.config(), documents[0]
    config.fusion.audio_row, config.fusion.text_row = one.audio.shape[1], one.text.shape[1]
    curve = c.cache / "outputs" / f"{fit_name(c, variant)}, {name}.jsonl"
    return train(config, c.targets, documents, seed, c.schedule, variant, c.device, curve)


def held_out_outputs(collection: Collection, variant: Variant, fold: Fold) -> dict:
    """{kind: {modalities: {task: [N, C]}}} for the N recordings of a fold, by a fusion trained on the rest."""

    def build() -> dict:
        inside, kinds = collection.folds(fold.cut) == fold.number, collection.documents(fold)
        training = [d for kind in collection.training_kinds for d in kinds[kind] if not inside[d.recording]]
        testing = {kind: [d for d in kinds[kind] if inside[d.recording]] for kind in collection.testing_kinds}
        seed = collection.seed + 100 * fold.cut + fold.number
        model = with_int8_weights(fitted(collection, training, seed, str(fold), variant))
        print(f"{collection.name}, {variant}: cut {fold.cut}, fold {fold.number} done", flush=True)
        return {kind: {m: predict(model, testing[kind], m) for m in MODALITIES} for kind in collection.testing_kinds}

    return cached(collection.cache / "outputs" / f"{fit_name(collection, variant)}, {fold}.pt", build)


def cross_validated(collection: Collection, variant: Variant, cuts: Sequence[int]) -> dict:
    """-> {kind: {modalities: {task: [cuts, N, C]}}}: every recording's outputs by what never met its fold"""
    if not collection.encoders_by_fold:
        collection.documents()  # once, not by every process
    every = [Fold(cut, number) for cut in cuts for number in range(FOLDS)]
    found = spread(held_out_outputs, [(collection, variant, fold) for fold in every], collection.device)
    fold_of = torch.from_numpy(cut_folds(collection, cuts))

    def gather(kind, modalities, task):
        output = torch.empty(*fold_of.shape, found[0][kind][modalities][task].shape[1])
        for fold, outputs in zip(every, found):
            cut = cuts.index(fold.cut)
            output[cut, fold_of[cut] == fold.number] = outputs[kind][modalities][task]
        return output

    names = [t.name for t in collection.targets]
    return {k: {m: {t: gather(k, m, t) for t in names} for m in MODALITIES} for k in collection.testing_kinds}


def cut_folds(collection: Collection, cuts: Sequence[int]) -> np.ndarray:
    """The fold of each recording in each cut. [cuts, N]"""
    return np.array([collection.folds(cut) for cut in cuts])


def calibrations(collection: Collection, outputs: dict, fold_of: np.ndarray) -> dict:
    """`calibration` and `conformal`, fitted on held-out outputs {modalities: {task: [N, C]}} of folds [N].

    Of a task, on the recordings with a label and the modalities; where none has them, on what the model says without.
    """
    having, result = collection.having(), {"calibration": {}, "conformal": {}}
    for target in collection.targets:
        truth, task = collection.truth()[target.name], target.task
        for m in MODALITIES:
            known = truth.known() & having[m]
            known = known if known.any() else truth.known()
            seen, y = outputs[m][task.name][known], truth.classes[known]
            result["calibration"].setdefault(task.name, {})[m] = fit(task, seen, y)
            if conformal.has_sets(task):
                result["conformal"].setdefault(task.name, {})[m] = conformal.fit(task, seen, y, fold_of[known])
    return result


def cross_fitted(
    task: TaskConfig, whole: torch.Tensor, tested: torch.Tensor, truth: np.ndarray, fold_of: np.ndarray
) -> np.ndarray:
    """tested [cuts, N, C] -> probabilities [cuts, N, labels], each fold calibrated on the others' whole recordings

    As what ships: noise or a telephone line has no calibration of its own.
    """
    every = zip(whole, fold_of, tested)
    return np.stack([held_out_probabilities(task, o, truth, f, t) for o, f, t in every])


def f1_of(truth: np.ndarray, found: np.ndarray) -> float:
    """macro-F1 of the likeliest class; found [N, labels]"""
    return macro_f1(truth, found.argmax(1))


def scored(task: TaskConfig, truth: Truth, outputs: np.ndarray, p: np.ndarray) -> dict:
    """What recordings with labels say of outputs [cuts, N, C] and probabilities [cuts, N, labels].

    What is not defined for these labels, as the AUC of one class, is left out.
    """
    f1, area, error = f1_of, macro_auc, calibration_error
    if task.kind == "multi_label":
        f1, area, error = label_f1, label_auc, label_calibration_error
    measures = {"macro_f1": (f1, truth.classes, p), "macro_auc": (area, truth.classes, p)}
    if truth.scores is not None and np.ptp(truth.scores):
        measures["r"] = (correlation, truth.scores, outputs[:, :, 0])
    result = {n: over_repeats(*m) for n, m in measures.items() if not np.isnan(m[0](m[1], m[2][0]))}
    result["calibration_error"] = round(float(np.mean([error(truth.classes, one) for one in p])), 3)
    return result


def judged(collection: Collection, variant: Variant = WHOLE, cuts: Sequence[int] = CUTS) -> tuple[dict, dict]:
    """-> report {kind: {modalities: {task: ...}}}, probabilities {(kind, modalities, task): [cuts, N, labels]}

    Of a task, the recordings that have both a label and the modalities; what none has is left out.
    """
    every_truth, having = collection.truth(), collection.having()
    fold_of = cut_folds(collection, cuts)
    report, found, outputs_of = {}, {}, cross_validated(collection, variant, cuts)
    for kind, by_modality in outputs_of.items():
        for modality, by_task in by_modality.items():
            entry = report.setdefault(kind, {}).setdefault(modality, {})
            for target in collection.targets:
                truth = every_truth[target.name]
                chosen = truth.known() & having[modality]
                if not chosen.any():
                    continue
                truth = Truth(truth.classes[chosen], None if truth.scores is None else truth.scores[chosen])
                outputs = by_task[target.name][:, chosen]
                whole = outputs_of["whole"][modality][target.name][:, chosen]
                p = cross_fitted(target.task, whole, outputs, truth.classes, fold_of[:, chosen])
                found[kind, modality, target.name] = p
                entry[target.name] = scored(target.task, truth, outputs.numpy(), p)
    return report, found
