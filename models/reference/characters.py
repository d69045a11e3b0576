"""The alphabet of the alignment head, and how a transcript is written in it."""

import re
import unicodedata

BLANK = 0
ALPHABET = " abcdefghijklmnopqrstuvwxyz'"  # classes 1 to 28; 0 is the blank
CLASSES = 1 + len(ALPHABET)
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
SPOKEN = {"&": "and", "%": "percent", "+": "plus", "@": "at", "=": "equals"}
LONGEST_NUMBER = 6  # digits; longer ones are read digit by digit


def cardinal(number: int) -> str:
    """0 to 999,999 in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f" {ONES[number % 10]}" if number % 10 else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    return f"{cardinal(number // size)} {name}" + (f" {cardinal(number % size)}" if number % size else "")


def spoken_number(digits: str, as_digits: bool) -> str:
    """A run of ASCII digits. Long ones and those with a leading zero are always read digit by digit."""
    if as_digits or len(digits) > LONGEST_NUMBER or (digits.startswith("0") and len(digits) > 1):
        return " ".join(ONES[int(d)] for d in digits)
    return cardinal(int(digits))


def spelled(text: str, as_digits: bool = False) -> str:
    """Lower case without accents, numbers and a few signs in words, all else as single spaces.

    A comma between digits is dropped when three digits follow it; a full stop between digits is read as "point".
    """
    text = unicodedata.normalize("NFD", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    text = re.sub(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", "", text)
    text = re.sub(r"(?<=[0-9])\.(?=[0-9])", " point ", text)
    text = re.sub(r"[0-9]+", lambda m: f" {spoken_number(m[0], as_digits)} ", text)
    text = re.sub(r"[&%+@=]", lambda m: f" {SPOKEN[m[0]]} ", text)
    return re.sub(r"[^a-z']+", " ", text).strip()


def readings(text: str) -> list[list[int]]:
    """The ways to read a text aloud, in classes of the alphabet: cardinal numbers, and digit by digit if that differs.

    Empty where nothing in the text can be spoken.
    """
    found = dict.fromkeys(spelled(text, as_digits) for as_digits in (False, True))
    return [[1 + ALPHABET.index(c) for c in one] for one in found if one]
