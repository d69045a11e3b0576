"""From the data folder to a checkpoint: teacher features, distillation, fusion, calibration.

    python train.py --data DIR [--cache DIR] [--out ../spoken-english/checkpoint] [--seed 0]

Every stage leaves its result in the cache, so that a stopped run goes on where it was. Uses a GPU if there is one.
"""

import platform
import time
from pathlib import Path

import torch

import command
import conformal
from calibration import MODALITIES
from checkpoint import save
from cross_validation import STUDENTS, TASKS, cross_validated, cut_folds, encoded_documents, model_config
from data import data_hash, sessions
from fit_calibration import fit
from hilbert import Hilbert, TaskConfig
from outline import TRAINING_KINDS
from rows import labels
from students import speech_student, text_student
from train_fusion import Trained, train
from variants import WHOLE

CALIBRATED_ON = (2,)  # the cut on which r was nearest to its mean over five (docs/decisions/0001)
CREDITS = [
    "speechocean762 (Zhang et al. 2021), CC BY 4.0",
    "LibriSpeech train-clean-100, speakers 19, 26, 27 (Panayotov et al. 2015), CC BY 4.0",
    "Picovoice speech-to-intent-benchmark, Apache-2.0",
    "Simulated doctor-patient interviews (Fareez et al. 2022), CC BY 4.0",
    "whisper-tiny.en (OpenAI), MIT",
    "all-MiniLM-L6-v2 (sentence-transformers), Apache-2.0",
]


def calibrations(data: Path, cache: Path, seed: int, device: str) -> dict:
    """`calibration` and `conformal`, fitted on the predictions for held-out sessions of one cross-validation."""
    truth, _ = labels(data)
    (fold_of,) = cut_folds(data, CALIBRATED_ON)
    outputs = cross_validated(data, cache, seed, device, STUDENTS, WHOLE, CALIBRATED_ON)["whole"]

    def for_each(fit_one, task: TaskConfig, *rest) -> dict:
        return {m: fit_one(task, outputs[m][task.name][0], truth[task.name], *rest) for m in MODALITIES}

    return {
        "calibration": {t.name: for_each(fit, t) for t in TASKS},
        "conformal": {t.name: for_each(conformal.fit, t, fold_of) for t in TASKS if conformal.has_sets(t)},
    }


def assemble(speech, text, trained: Trained) -> Hilbert:
    model = Hilbert(model_config())
    model.speech.load_state_dict(speech.state_dict())
    model.text.load_state_dict(text.state_dict())
    model.fusion.load_state_dict(trained.fusion.state_dict())
    model.moe.load_state_dict(trained.moe.state_dict())
    return model


def main():
    arguments = command.parser(__doc__, "../spoken-english/checkpoint").parse_args()
    data, cache, seed = arguments.data, arguments.cache, arguments.seed
    device = command.device()
    began = time.time()
    print(f"{len(sessions(data))} sessions, device {device}", flush=True)
    kinds = encoded_documents(data, cache, seed, device, STUDENTS)
    trained = train(model_config(), [d for kind in TRAINING_KINDS for d in kinds[kind]], seed)
    facts = {
        "name": "spoken-english",
        "licence": "CC-BY-4.0",
        "credits": CREDITS,
        **calibrations(data, cache, seed, device),
        "provenance": {
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "seed": seed,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "data_sha256": data_hash(data),
        },
    }
    speech = speech_student(data, cache, seed, device)
    text, vocabulary = text_student(data, cache, seed, device)
    save(arguments.out, assemble(speech, text, trained), vocabulary, facts)
    print(f"checkpoint in {arguments.out} after {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
