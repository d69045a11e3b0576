"""The simulated doctor-patient interviews as turns, classes and groups: text alone, `DIR/consultations/*.txt`."""

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from word_pieces import split_sentences

CLASSES = ["RES", "MSK", "other"]  # respiratory, musculoskeletal, the rest: 213, 46, 13
TASK = "specialty"
TASKS = [{"name": TASK, "kind": "multi_class", "labels": CLASSES, "imbalance": "adjustment"}]
LONG_TURN = 40  # words: about 54 word pieces, which one row of 64 tokens holds
RUN = 5  # words in a row by which texts are compared
NEAR_DUPLICATE = 0.3  # share of runs in common; here one pair has 0.73, the next 0.09

# the transcribers' "D:" and "P:", with the slips that occur: "D;", "P::", "p:", 'D"', "P.", "DL ", "P "
SPEAKER = re.compile(r"([DP])L?(?:\s*[:;.\"]+\s*|\s+)", re.IGNORECASE)


@dataclass(frozen=True)
class Turn:
    speaker: str  # D or P
    text: str

    def cues(self) -> list[str]:
        """The turn; a long one as runs of sentences of at most `LONG_TURN` words, a longer sentence by itself."""
        if len(self.text.split()) <= LONG_TURN:
            return [self.text]
        result = []
        for sentence in split_sentences(self.text):
            if result and len(f"{result[-1]} {sentence}".split()) <= LONG_TURN:
                result[-1] += f" {sentence}"
            else:
                result.append(sentence)
        return result


@dataclass(frozen=True)
class Interview:
    name: str
    number: int  # in the folder's order
    turns: list[Turn]

    @property
    def label(self) -> str:
        return self.name[:3] if self.name[:3] in CLASSES else "other"

    @property
    def text(self) -> str:
        return " ".join(t.text for t in self.turns)


def decoded(content: bytes) -> str:
    """UTF-8, or UTF-16 where a byte order mark says so."""
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def turns(text: str) -> list[Turn]:
    """A line that begins with a speaker begins a turn, other lines go on with it. Turns without words are left out."""
    found = []
    for line in map(str.strip, text.splitlines()):
        begin = SPEAKER.match(line)
        if begin:
            found.append((begin[1].upper(), [line[begin.end() :]]))
        elif found:
            found[-1][1].append(line)
        elif line:
            raise ValueError(f"{line!r} stands before the first speaker, expected a line that begins with D: or P:")
    spoken = ((speaker, " ".join(" ".join(lines).split())) for speaker, lines in found)
    return [Turn(speaker, text) for speaker, text in spoken if text]


def interviews(data: Path) -> list[Interview]:
    paths = sorted((data / "consultations").glob("[A-Z]*.txt"))
    return [Interview(p.stem, i, turns(decoded(p.read_bytes()))) for i, p in enumerate(paths)]


def groups(every: list[Interview]) -> list[str]:
    """Each interview's own name, or that of the first one whose text it nearly repeats. [N]"""

    def runs(interview: Interview) -> set[tuple[str, ...]]:
        words = re.findall(r"[a-z']+", interview.text.lower())
        return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}

    by_name, result = [runs(i) for i in every], [i.name for i in every]
    for a, b in combinations(range(len(every)), 2):
        if len(by_name[a] & by_name[b]) > NEAR_DUPLICATE * min(len(by_name[a]), len(by_name[b])):
            result[b] = result[a]
    return result
