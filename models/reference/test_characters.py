"""How a transcript is spelled for the alignment head."""

import pytest

from characters import ALPHABET, CLASSES, readings, spelled


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Don’t stop, CAFÉ!", "don't stop cafe"),
        ("Route 66", "route sixty six"),
        (
            "1,204,000 of 3,000 at 7.5%",
            "one two zero four zero zero zero of three thousand at seven point five percent",
        ),
        ("room 007 & 10,20", "room zero zero seven and ten twenty"),
        (
            "1900 115 999999",
            "one thousand nine hundred one hundred fifteen nine hundred ninety nine thousand nine hundred ninety nine",
        ),
        ("a1b2", "a one b two"),
        ("…—[Music]\n", "music"),
        ("谢谢 ¿", ""),
        ("", ""),
    ],
)
def test_a_text_is_spelled_as_it_is_read_aloud(text, expected):
    assert spelled(text) == expected


def test_numbers_are_also_read_digit_by_digit():
    assert spelled("call 1108, 42", as_digits=True) == "call one one zero eight four two"
    assert len(readings("call 1108")) == 2
    assert len(readings("call 7")) == len(readings("call me")) == len(readings("007")) == 1
    assert readings("?!") == []


def test_every_letter_has_a_class_of_its_own_and_none_is_the_blank():
    assert readings(ALPHABET.strip()) == [list(range(2, CLASSES))]
    assert readings("a b") == [[2, 1, 3]]
    assert min(readings("it's 9 o'clock")[0]) >= 1
