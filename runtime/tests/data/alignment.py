"""Writes alignment.json beside itself: what characters.py and alignment.py of models/reference make of their inputs."""

import json
import math
import random
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "models" / "reference"))

from alignment import Posteriors, cue_fits, fits  # noqa: E402
from characters import ALPHABET, CLASSES, spelled  # noqa: E402
from word_pieces import Cue  # noqa: E402

BY_HAND = [
    "",
    "Don’t stop, CAFÉ!",
    "Route 66",
    "1,204,000 of 3,000 at 7.5%",
    "room 007 & 10,20",
    "1900 115 999999 1000000 100000 20 21 0 00 19",
    "a1b2",
    "…—[Music]\n",
    "谢谢 ¿",
    "1,2345 1,234,56 1,234,567.8 ,123 1,,234 12,345,",
    "3.14.15 .5 5. 1..2 1.a",
    "1,000.5,000 1.234,567",
    "1\u0301,\u0301234\u0301 e\u0301e\u0300 \u212bngstro\u0308m \u212a \u0130stanbul \u01c4 stra\u00dfe",
    "' ' rock 'n' roll o’clock ‘quoted’",
    "5% of 8+1=9 me@home AT&T",
    "٣ ３ ² ½ 1½",
    "nul\0nul tab\ttab \u00ad\u200b\u2028",
]
PIECES = ["1", "2", "0", "12", "345", "345", ",", ",", ".", ".", " ", "a", "é", "Z", "'", "’", "%", "\u0301", "-", "谢"]

generator = random.Random(0)
texts = BY_HAND + ["".join(generator.choices(PIECES, k=generator.randint(1, 16))) for _ in range(300)]


def readings(text: str) -> list[str]:
    """`characters.readings` before letters become classes."""
    return [one for one in dict.fromkeys(spelled(text, as_digits) for as_digits in (False, True)) if one]


def between_letters() -> list:
    """First and last of each run of characters that are no gap between an a and a b, and what stands there instead."""
    characters = (c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    found = [(c, spelled(f"a{chr(c)}b")) for c in characters]
    found = enumerate((c, text) for c, text in found if text != "a b")
    runs = (
        [c for _, c in run]
        for _, run in groupby(found, lambda numbered: (numbered[1][0] - numbered[0], numbered[1][1]))
    )
    return [[run[0][0], run[-1][0], run[0][1]] for run in runs]


def random_fits() -> list[dict]:
    """Random frames of four classes and short texts."""
    torch.manual_seed(0)
    cases = []
    for frames, text in [
        (0, [1]),
        (1, [1]),
        (1, [1, 2]),
        (2, [1, 1]),
        (3, [1, 1]),
        (5, [2, 1, 3]),
        (40, [1, 2, 2, 3, 1] * 3),
    ]:
        log = (3 * torch.randn(frames, 4)).log_softmax(1)
        (fit,) = fits([log.numpy()], [text]).tolist()
        cases.append({"log": log.tolist(), "text": text, "fit": fit if fit > -1e30 else None})
    return cases


SURE = 0.9  # probability of the class that a frame says


def says(text: str) -> torch.Tensor:
    """Frames that say a text: two of each character and one of the blank after them. [3 characters, CLASSES]"""
    classes = [c for letter in text for c in (1 + ALPHABET.index(letter),) * 2 + (0,)]
    log = torch.full((len(classes), CLASSES), (1 - SURE) / (CLASSES - 1)).log()
    log[torch.arange(len(classes)), classes] = torch.tensor(SURE).log()
    return log


def cues() -> list[dict]:
    said = ["it was forty two", "one one zero eight", "", "a", "hello hello"]
    texts = [
        "It was 42!",
        "1108",
        "So many apples",
        "no",
        "...",
        "hello hello",
        "a longer text than what was said, by far",
    ]
    rows = []
    for one in said:
        log = says(one)
        heard = Posteriors(np.arange(len(log)) * 0.04, log)
        rows += zip([one] * len(texts), texts, cue_fits(heard, [Cue(text, 0.0, 99.0) for text in texts]).tolist())
    return [{"said": one, "text": text, "fit": None if math.isnan(fit) else fit} for one, text, fit in rows]


table = {
    "readings": [{"text": text, "readings": readings(text)} for text in texts],
    "between_letters": between_letters(),
    "fits": random_fits(),
    "cues": cues(),
}
parts = (f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, part)) + "\n]" for name, part in table.items())
(here / "alignment.json").write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="ascii")
