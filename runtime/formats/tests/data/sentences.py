"""Writes sentences.json beside itself: texts, and what `split_sentences` of models/reference makes of them."""

import json
import random
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[3] / "models" / "reference"))

from word_pieces import split_sentences  # noqa: E402

BY_HAND = [
    "",
    " \n\t ",
    "One. Two! Three? Four",
    "No end mark",
    "Wait... what?! Yes.",
    "3.14 is not two sentences. e.g. this is three.",
    "A paragraph\nof two lines\n\nand another\n \t\n\n one.",
    "Ends.\n\n\nStarts.",
    "A.\u00a0B.\u3000C.\u2028D.\u0085E.\u001cF",
    "A.\u200bB. \u200b C",
    "line\u2028\u2028line",
    "tab\n\u001f\nseparator",
    "\n\nleading",
    "trailing\n\n",
    " . . . ",
    "!\n?",
    'He said "stop." Then left.',
    "日本。語! テスト",
    "\ufeffmark. next",
]
ALPHABET = ["a", "é", ".", "!", "?", " ", "\n", "\t", "\u000b", "\u000c", "\u001c", "\u001f", "\u0085", "\u00a0",
            "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u180e", "\u200b", "\ufeff"]  # fmt: skip

generator = random.Random(0)
texts = BY_HAND + ["".join(generator.choices(ALPHABET[:7], k=generator.randint(1, 24))) for _ in range(200)]
texts += ["".join(generator.choices(ALPHABET, k=generator.randint(1, 24))) for _ in range(200)]
cases = [{"text": text, "sentences": split_sentences(text)} for text in texts]
lines = ",\n".join(json.dumps(case) for case in cases)
(here / "sentences.json").write_text(f"[\n{lines}\n]\n", encoding="ascii")
