"""The other recogniser's texts as cues: their times, and that nothing heard is heard twice."""

import json

import recogniser
from data import Session
from recogniser import joined, recognised, utterance_cues
from word_pieces import Cue


def session(speaker="0001"):
    return Session(speaker, "00", 20, 0.5, {}, [{"samples": 16000}, {"samples": 32000}, {"samples": 8000}], [])


def test_each_utterance_in_which_words_were_heard_is_a_cue_at_its_place():
    assert utterance_cues(session(), ["one", "", "two"]) == [Cue("one", 0.0, 1.0), Cue("two", 4.0, 4.5)]


def test_neighbours_are_joined_as_long_as_the_cue_stays_short():
    cues = [Cue("a", 0.0, 10.0), Cue("b", 11.0, 29.0), Cue("c", 29.2, 29.6), Cue("d", 40.0, 80.0)]
    assert joined(cues) == [Cue("a b", 0.0, 29.0), Cue("c", 29.2, 29.6), Cue("d", 40.0, 80.0)]


def test_what_was_heard_is_not_heard_again_and_a_line_that_was_cut_off_is(tmp_path, monkeypatch):
    every = [session("0001"), session("0002")]
    monkeypatch.setattr(recogniser, "sessions", lambda data: every)
    monkeypatch.setattr(recogniser, "SESSIONS", 1)
    (index,) = recogniser.chosen(every)
    line = json.dumps({"speaker": every[index].speaker, "texts": ["x", "", "y"]}) + "\n"
    (tmp_path / "pocketsphinx.jsonl").write_text(line + '{"speaker": "00')
    assert recognised(tmp_path, tmp_path) == {index: [Cue("x", 0.0, 1.0), Cue("y", 4.0, 4.5)]}
