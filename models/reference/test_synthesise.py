"""Interviews become turns, turns become speech whose cue times are true, and the voice does not tell the class."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

import transcript
from corpus import EVERY, TURNS, VOICES, synthetic
from data import RATE
from interviews import LONG_TURN, TASKS, Interview, Turn, decoded, groups, interviews, turns
from metrics import macro_f1
from synthesise import SYNTHESISER, at_level, cast, claim, lay, speak, spoken, write, write_list


def interview(name="RES0001", number=0, texts=("What brings you in?", "A cough. " * 30, "OK.")):
    return Interview(name, number, [Turn("DP"[i % 2], text.strip()) for i, text in enumerate(texts)])


def tone(text, voice):
    """A stand-in for the synthesiser: as many samples as the text's characters ask for."""
    return np.full(160 * len(text), 0.5, np.float32)


@pytest.mark.parametrize(
    "line, speaker, text",
    [
        ("D: What brings you in?", "D", "What brings you in?"),
        ("D:OK.", "D", "OK."),
        ("p: No.", "P", "No."),
        ("D; And?", "D", "And?"),
        ("P:: Yeah.", "P", "Yeah."),
        ('D" OK.', "D", "OK."),
        ("D : OK.", "D", "OK."),
        ("P. Uh, no.", "P", "Uh, no."),
        ("DL OK, uh.", "D", "OK, uh."),
        ("P No.", "P", "No."),
    ],
)
def test_the_transcribers_ways_to_name_a_speaker_begin_a_turn(line, speaker, text):
    assert turns(line) == [Turn(speaker, text)]


def test_other_lines_go_on_with_the_turn_and_turns_without_words_are_left_out():
    text = "D: Do you\r\nplay sports?\n\nP:\n\nD: Pain?\nPain at night?\ndoing well?\n"
    assert turns(text) == [Turn("D", "Do you play sports?"), Turn("D", "Pain? Pain at night? doing well?")]
    with pytest.raises(ValueError, match="before the first speaker"):
        turns("Hello.\nD: Hello.")


def test_both_encodings_of_the_files_are_read():
    for content in ("D: it’s".encode(), "D: it’s".encode("utf-8-sig"), "D: it’s".encode("utf-16")):
        assert turns(decoded(content)) == [Turn("D", "it’s")]


def test_a_turn_is_one_cue_and_a_long_one_is_split_at_sentences():
    short, long = Turn("P", "No. Never."), Turn("P", " ".join(["I had a cough last week."] * 20))
    assert short.cues() == ["No. Never."]
    assert " ".join(long.cues()) == long.text
    assert all(len(c.split()) <= LONG_TURN and c.endswith(".") for c in long.cues())
    assert len(long.cues()) == 4
    endless = Turn("P", "and then " * 50 + "it hurt. A lot.")
    assert endless.cues() == [endless.text[: -len(" A lot.")], "A lot."]


def test_near_duplicates_are_one_group():
    words = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    texts = [" ".join(words), " ".join(words[:60] + words[90:]), " ".join(words[::-1])]
    every = [Interview(name, i, [Turn("D", text)]) for i, (name, text) in enumerate(zip("abc", texts))]
    assert groups(every) == ["a", "a", "c"]


def test_labels_are_the_names_first_letters_and_rare_ones_are_other():
    assert [interview(name).label for name in ("RES0001", "MSK0002", "GAS0001", "DER0001")] == [
        "RES",
        "MSK",
        "other",
        "other",
    ]


def test_the_voices_depend_on_the_number_alone_and_differ():
    for number in range(200):
        casting = cast(number, 0)
        assert casting == cast(number, 0)
        assert casting.voices["D"].variant != casting.voices["P"].variant
    a = spoken(interview("RES0001", 7), 0, tone)[0]
    assert (a == spoken(interview("MSK0009", 7), 0, tone)[0]).all()
    assert cast(0, 0) != cast(0, 1) != cast(1, 1)


def test_a_voice_does_not_tell_the_class():
    """The commonest class among the other interviews with the same doctor's voice is no better than chance."""
    labels = np.array([0] * 213 + [1] * 46 + [2] * 13)
    scores = []
    for seed in range(20):
        voices = [cast(number, seed).voices["D"].variant for number in range(len(labels))]
        votes = {v: Counter(labels[[w == v for w in voices]].tolist()) for v in set(voices)}
        decided = []
        for voice, label in zip(voices, labels.tolist()):
            others = votes[voice] - Counter([label])
            decided.append(others.most_common(1)[0][0] if others else 0)
        scores.append(macro_f1(labels, np.array(decided)))
    assert abs(np.mean(scores) - 1 / 3) < 0.05


def test_cues_lie_where_their_samples_do():
    samples, cues = spoken(interview(), 0, tone)
    assert [c.text for c in cues] == [text for t in interview().turns for text in t.cues()]
    levels = {s: 10 ** (v.level_db / 20) for s, v in cast(0, 0).voices.items()}
    inside = np.zeros(len(samples), bool)
    for cue, speaker in zip(cues, "DPPD"):
        a, b = round(cue.start_s * RATE), round(cue.end_s * RATE)
        assert b - a == 160 * len(cue.text)
        assert np.abs(samples[a:b] / levels[speaker] - 1).max() < 0.2  # the noise is on top
        inside[a:b] = True
    assert np.abs(samples[~inside]).max() < 0.5 * min(levels.values()) and samples[~inside].any()
    assert all(a.end_s < b.start_s for a, b in zip(cues, cues[1:]))


def test_a_cue_that_cannot_be_spoken_is_left_out():
    _, cues = spoken(interview(texts=("Hm.", "...", "Yes.")), 0, lambda text, voice: tone(text.strip("."), voice))
    assert [c.text for c in cues] == ["Hm.", "Yes."]


def test_pieces_are_laid_after_their_pauses():
    samples, spans = lay([np.ones(3, np.float32), np.full(2, 2.0, np.float32)], [2, 1])
    assert spans == [(2, 5), (6, 8)] and samples.tolist() == [0, 0, 1, 1, 1, 0, 2, 2]
    assert lay([], [])[1] == []


def test_silence_within_speech_does_not_change_its_level():
    speech = np.tile(np.array([0.3, -0.3], np.float32), 500)
    for samples in (speech, np.concatenate([speech, np.zeros(5000, np.float32)])):
        assert np.abs(at_level(samples, -20.0)).max() == pytest.approx(0.1, rel=1e-5)
    assert not at_level(np.zeros(4, np.float32), -20.0).any()


def test_what_is_written_is_whole_listed_and_not_made_again(tmp_path):
    every = [interview("RES0001", 0), interview("GAS0001", 1), interview("MSK0001", 2)]
    for one in every[:2]:
        write(tmp_path, one, 0, tone)
    write_list(tmp_path, every)
    (tmp_path / "MSK0001.partial").write_bytes(b"stopped here")

    first, *lines = [json.loads(line) for line in (tmp_path / "list.jsonl").read_text().splitlines()]
    assert first == {"tasks": TASKS}
    assert [line["labels"] for line in lines] == [{"specialty": "RES"}, {"specialty": "other"}]
    assert [line["group"] for line in lines] == ["RES0001", "RES0001"]  # the same text
    samples, rate = soundfile.read(tmp_path / lines[0]["recording"])
    expected, cues = spoken(every[0], 0, tone)
    assert rate == RATE and np.abs(samples - expected).max() < 1e-4
    for read, cue in zip(transcript.read(tmp_path / lines[0]["transcript"]), cues, strict=True):
        assert read.text == cue.text
        assert abs(read.start_s - cue.start_s) <= 0.0005 and abs(read.end_s - cue.end_s) <= 0.0005

    def never(text, voice):
        raise AssertionError("what is there must not be spoken again")

    write(tmp_path, every[0], 0, never)
    write(tmp_path, every[2], 0, tone)
    assert not list(tmp_path.glob("*.partial"))


needs_synthesiser = pytest.mark.skipif(not shutil.which(SYNTHESISER), reason=f"{SYNTHESISER} is not installed")


@needs_synthesiser
def test_the_synthesiser_speaks_at_the_rate_and_with_the_voice_asked_for():
    casting = cast(0, 0)
    found = {s: speak("I have had a cough for a week.", v) for s, v in casting.voices.items()}
    for samples in found.values():
        assert samples.dtype == np.float32 and 1 < len(samples) / RATE < 5 and 0.05 < np.abs(samples).max() <= 1
    shortest = min(map(len, found.values()))
    assert np.corrcoef(found["D"][:shortest], found["P"][:shortest])[0, 1] < 0.9
    assert len(speak("...", casting.voices["D"])) < RATE // 2


@needs_synthesiser
def test_a_folder_of_another_seed_is_refused(tmp_path):
    claim(tmp_path, 0)
    claim(tmp_path, 0)
    with pytest.raises(SystemExit, match="another folder"):
        claim(tmp_path, 1)


def test_interviews_are_numbered_in_the_folders_order(tmp_path):
    (tmp_path / "consultations").mkdir()
    for name in ("RES0001", "CAR0001", "README"):
        (tmp_path / "consultations" / f"{name}.txt").write_text("D: Hello.\nP: Hi.\n")
    (tmp_path / "consultations/README.txt").unlink()
    assert [(i.name, i.number) for i in interviews(tmp_path)] == [("CAR0001", 0), ("RES0001", 1)]


def test_what_is_distilled_is_the_beginning_of_every_third_interview_in_voices_that_no_consultation_has(tmp_path):
    (tmp_path / "consultations").mkdir()
    for number in range(2 * EVERY):
        lines = [f"{'DP'[turn % 2]}: interview {number} turn {turn}" for turn in range(2 * TURNS)]
        (tmp_path / "consultations" / f"RES{number:04}.txt").write_text("\n".join(lines))
    said = []

    def speak(text, voice):
        said.append((text, voice))
        return tone(text, voice)

    segments = synthetic(tmp_path, speak)
    assert [text for text, _ in said] == [f"interview {n} turn {t}" for n in (0, EVERY) for t in range(TURNS)]
    assert [voice for _, voice in said[:2]] == list(cast(0, VOICES).voices.values()) != list(cast(0, 0).voices.values())
    assert segments and all(s.dtype == np.int16 and np.abs(s).max() > 0 for s in segments)


def test_without_the_synthesiser_its_name_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="espeak-ng is not installed"):
        claim(tmp_path, 0)
