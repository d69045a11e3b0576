"""Encoders by name: a teacher stands where a student does, as a bundle ships it. Teachers are small and random here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import backbones
from backbones import SPEECH, Backbones, speech_backbone, speech_encoder, text_backbone, text_encoder
from checkpoint import with_int8_weights
from distill_speech import STUDENT_MEL
from document import audio_rows, text_rows
from hilbert import SpeechConfig, SpeechEncoder, TextConfig, TextEncoder
from segment import SegmentConfig
from spoken_english import TEACHERS, SpokenEnglish
from word_pieces import SPECIAL, Cue

NOWHERE = Path(), Path(), 0, "cpu"  # data, cache, seed, device: a teacher needs none
WORDS = [*SPECIAL, "hello"]
SMALL = {"width": 32, "heads": 2, "ffn": 64}


@pytest.fixture
def teachers(monkeypatch):
    """Narrow ones, with as many layers and positions as whisper-tiny.en and MiniLM-L6 have."""
    torch.manual_seed(0)
    speech = SpeechEncoder(SpeechConfig(**SMALL)).eval()
    text = TextEncoder(TextConfig(vocabulary=len(WORDS), **SMALL)).eval()
    monkeypatch.setitem(
        SPEECH, "whisper-tiny.en", backbones.Backbone(SpeechConfig(frames=STUDENT_MEL.frames, **SMALL), "MIT", "")
    )
    monkeypatch.setattr(backbones, "whisper_tiny", lambda: speech)
    monkeypatch.setattr(backbones, "minilm", lambda: text)
    monkeypatch.setattr(backbones, "minilm_vocabulary", lambda: WORDS)
    return speech, text


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * 16000)).astype(np.float32)


def test_a_bundle_has_the_teachers_of_as_many_positions_as_a_segment_has_frames():
    config = SpokenEnglish(*NOWHERE, TEACHERS).config()
    assert config.speech == SpeechConfig(frames=1000) and config.speech.frames == STUDENT_MEL.frames
    assert config.text == TextConfig()
    assert (config.fusion.audio_row, config.fusion.text_row) == (2 * config.speech.width, config.text.width)


def test_whisper_without_the_positions_that_no_segment_reaches_gives_the_same_rows(teachers):
    cut = speech_encoder("whisper-tiny.en", *NOWHERE)
    assert cut.positions.shape == (500, SMALL["width"]) and teachers[0].positions.shape == (1500, SMALL["width"])
    rows, whole = (audio_rows(e, noise(10), SegmentConfig(), STUDENT_MEL)[0] for e in (cut, teachers[0]))
    assert len(rows) and torch.equal(rows, whole)


def test_a_teachers_rows_are_those_of_the_int8_weights_that_ship(teachers):
    speech = speech_encoder("whisper-tiny.en", *NOWHERE)
    text, vocabulary = text_encoder("minilm-l6", *NOWHERE)
    rows, _ = speech_backbone("whisper-tiny.en", *NOWHERE)(noise(3))
    shipped, plain = (
        audio_rows(e, noise(3), SegmentConfig(), STUDENT_MEL)[0] for e in (with_int8_weights(speech), speech)
    )
    assert torch.equal(rows, shipped) and not torch.equal(rows, plain)
    cues = [Cue("hello")]
    rows, _ = text_backbone("minilm-l6", *NOWHERE)(cues)
    shipped, plain = (text_rows(e, cues, vocabulary)[0] for e in (with_int8_weights(text), text))
    assert torch.equal(rows, shipped) and not torch.equal(rows, plain)


def test_minilm_cut_to_three_layers_has_the_first_three_and_says_so(teachers):
    text, _ = text_encoder("minilm-l3", *NOWHERE)
    assert text.config.layers == len(text.layers) == 3 and text.layers[2] is teachers[1].layers[2]


def test_what_no_bundle_can_hold_trains_a_fusion_but_no_checkpoint():
    collection = SpokenEnglish(*NOWHERE, Backbones("ge2e"))
    assert collection.config().speech is None
    with pytest.raises(SystemExit, match="'ge2e', expected one that a bundle can hold: student,.* whisper-tiny.en"):
        collection.encoders()


def test_a_pair_is_named_as_it_is_written_and_another_name_refused():
    assert Backbones.named(str(TEACHERS)) == TEACHERS
    for name in ("student", "student+ge2e", "whisper+student", "student+student+student"):
        with pytest.raises(SystemExit, match="expected SPEECH\\+TEXT"):
            Backbones.named(name)


def test_a_checkpoint_credits_what_its_encoders_were_made_of(tmp_path):
    def facts(*names: str) -> dict:
        return SpokenEnglish(tmp_path, tmp_path, 0, "cpu", Backbones(*names)).facts()

    shipped = json.loads((Path(__file__).parent.parent / "spoken-english/checkpoint/config.json").read_text())
    for key in ("name", "licence", "credits"):
        assert facts()[key] == shipped[key]
    large = facts(TEACHERS.speech, TEACHERS.text)
    assert large["name"] == "spoken-english-large" and large["licence"] == "CC-BY-4.0 AND MIT AND Apache-2.0"
    assert [credit.split()[0] for credit in large["credits"]] == [
        "speechocean762",
        "LibriSpeech",
        "whisper-tiny.en",
        "all-MiniLM-L6-v2",
    ]
    assert "precision" in facts()["provenance"] and "precision" not in large["provenance"]
    mixed = facts("whisper-tiny.en", "student")
    assert mixed["name"] == "spoken-english-whisper-tiny-en-student" and "precision" in mixed["provenance"]
    assert [credit.split()[0] for credit in mixed["credits"]][1:3] == ["LibriSpeech", "Simulated"]


def test_the_large_bundles_data_are_the_scored_sessions_and_what_its_alignment_head_reads(tmp_path):
    def sha256(*names: str) -> str:
        return SpokenEnglish(tmp_path, tmp_path, 0, "cpu", Backbones(*names)).facts()["provenance"]["data_sha256"]

    teachers = [TEACHERS.speech, TEACHERS.text]
    for folder, read_by_teachers in (("distill", True), ("consultations", False)):
        before = sha256(), sha256(*teachers)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("said")
        assert sha256() != before[0] and (sha256(*teachers) != before[1]) == read_by_teachers
