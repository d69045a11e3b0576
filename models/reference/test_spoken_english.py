"""What a fold's own encoder hears, and which documents stand where when a fold is left out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

import spoken_english
from backbones import Backbones
from corpus import scored
from cross_validation import fit_name
from data import RATE, Fold, folds, sessions
from distill_speech import STUDENT_MEL
from document import audio_rows, text_rows
from hilbert import SpeechConfig, SpeechEncoder, TextConfig, TextEncoder
from outline import TESTING_KINDS, TRAINING_KINDS
from segment import SegmentConfig
from spoken_english import SpokenEnglish
from variants import WHOLE

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty sessions of eight utterances, a burst of noise each."""
    folder = tmp_path_factory.mktemp("data")
    rng, lines = np.random.default_rng(0), []
    for i in range(20):
        speaker, total = f"{i:04}", (7.0, 8.0, 8.0, 9.0)[i % 4]
        scores = {name: [total] for name in ("total", "fluency", "accuracy", "prosodic")}
        audio = folder / "spoken-english/audio" / speaker
        audio.mkdir(parents=True)
        utterances = [{"id": f"{speaker}{k}", "samples": RATE // 8, "prompt": "", "scores": scores} for k in range(8)]
        for u in utterances:
            soundfile.write(audio / f"{u['id']}.flac", rng.normal(0, 0.01 * (i + 1), RATE // 8).clip(-1, 1), RATE)
        line = {"speaker": speaker, "group": speaker, "age": 20, "gap_s": 0.05, "utterances": utterances}
        cue = {"start_s": 0.0, "end_s": 1.0, "text": "hello hello"}
        mean_scores = {"total": total, "fluency": total}
        lines.append(json.dumps(line | {"mean_scores": mean_scores, "asr_whisper_tiny_en": [cue]}))
    (folder / "spoken-english/sessions.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def encoders(monkeypatch):
    """Small ones in place of the students; what each speech encoder must not have heard."""
    torch.manual_seed(0)
    speech = SpeechEncoder(SpeechConfig(width=8, heads=2, layers=1, ffn=8, frames=STUDENT_MEL.frames)).eval()
    text = TextEncoder(TextConfig(vocabulary=5, positions=64, width=8, heads=2, layers=1, ffn=8)).eval()
    asked = []

    def speech_backbone(name, data, cache, seed, device, left_out=None):
        asked.append((name, left_out))
        return lambda samples: audio_rows(speech, samples, SegmentConfig(), STUDENT_MEL)

    monkeypatch.setattr(spoken_english, "speech_backbone", speech_backbone)
    monkeypatch.setattr(spoken_english, "text_backbone", lambda *_: lambda cues: text_rows(text, cues, WORDS))
    return asked


def test_a_folds_corpus_is_that_of_the_sessions_outside_it(data):
    every = sessions(data)
    fold = Fold(1, 3)
    assert (fold.holds(every) == (folds(every, 1) == 3)).all() and 0 < fold.holds(every).sum() < len(every)
    outside = np.flatnonzero(~fold.holds(every))
    alone = [scored(data, [i]) for i in outside]
    together = scored(data, outside)
    assert len(together) == sum(map(len, alone)) > 0
    assert all((a == b).all() for a, b in zip(together, (s for one in alone for s in one)))


def test_a_fold_left_out_tests_and_the_others_train_by_an_encoder_that_never_met_it(data, tmp_path, encoders):
    every, fold = sessions(data), Fold(0, 2)
    inside = set(np.flatnonzero(fold.holds(every)).tolist())
    kinds = SpokenEnglish(data, tmp_path, 0, "cpu").documents(fold)
    assert encoders == [("student", fold)]
    for kind, found in kinds.items():
        wanted = (inside if kind in TESTING_KINDS else set()) | (
            set(range(20)) - inside if kind in TRAINING_KINDS else set()
        )
        assert {d.recording for d in found} == wanted, kind
    assert all(len(d.text) == 1 for of_kind in kinds.values() for d in of_kind)


def test_an_encoder_that_hears_no_session_serves_every_fold(data, tmp_path, encoders):
    for fold in (None, Fold(0, 2)):
        kinds = SpokenEnglish(data, tmp_path, 0, "cpu", Backbones("student-unscored")).documents(fold)
        assert {len(of_kind) for of_kind in kinds.values()} == {20, 40}
    assert encoders == [("student-unscored", None)]


def test_a_task_learnt_in_another_way_has_fits_of_its_own(data, tmp_path):
    collection = SpokenEnglish(data, tmp_path, 0, "cpu")
    other = replace(collection, targets=[replace(t, weight=2.0) for t in collection.targets])
    assert fit_name(other, WHOLE) != fit_name(collection, WHOLE) == fit_name(replace(collection), WHOLE)


def test_the_lowest_fluency_is_at_risk_and_scores_stand_beside_the_classes(data, tmp_path):
    truth = SpokenEnglish(data, tmp_path, 0, "cpu").truth()
    assert truth["fluency"].scores[:4].tolist() == [7.0, 8.0, 8.0, 9.0]
    assert truth["fluency"].classes[:4].tolist() == [0, 1, 1, 1]
    assert truth["proficiency"].classes[:4].tolist() == [0, 1, 1, 2]
