"""Transcripts of a user's list: what SubRip files hold, and what is no SubRip."""

import pytest

from transcript import parse, read

SRT = """\ufeff1
00:00:01,500 --> 00:00:03,000
<i>Two</i> lines
of text

2
01:02.25 --> 01:03 position:50%
{\\an8}42

5
"""


def test_cues_have_times_and_text_without_markup_and_numbers():
    first, second = parse(SRT)
    assert (first.text, first.start_s, first.end_s) == ("Two lines\nof text", 1.5, 3.0)
    assert (second.start_s, second.end_s) == (62.25, 63.0) and second.text == "42"


def test_cues_are_sorted_and_empty_ones_left_out():
    text = "00:05 --> 00:06\nlater\n\n00:01 --> 00:02\n\n00:03 --> 00:04\nsooner\n"
    assert [c.text for c in parse(text)] == ["sooner", "later"]


def test_plain_text_is_cut_into_sentences():
    assert [(c.text, c.start_s) for c in parse("One. Two!\n\nThree")] == [
        ("One.", None),
        ("Two!", None),
        ("Three", None),
    ]


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "a.srt").write_text("no times")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    for name, message in (("a.srt", "no cue: no line like"), ("b.txt", "no UTF-8 at byte 3")):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / name)
    with pytest.raises(ValueError, match="a cue that ends before it starts in line 1"):
        parse("00:02 --> 00:01\na")
