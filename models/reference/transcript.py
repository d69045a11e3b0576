"""Transcripts: SubRip or plain text to cues. What the runtime would read with a warning is an error here."""

import re
from pathlib import Path

from word_pieces import Cue, split_sentences

TIME = r"(?:(\d+):)?(\d+):(\d+)(?:[,.](\d+))?"  # [h:]m:s[,f]
TIMES = re.compile(rf"^\s*{TIME}\s*-->\s*{TIME}(?:\s|$)")
MARKUP = re.compile(r"</?[A-Za-z0-9][^<>\n]*>|\{\\[^{}\n]*\}")


def seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction or 0}")


def parse(text: str, srt: bool | None = None) -> list[Cue]:
    """Cues by ascending start; untimed ones, sentences, of plain text. `ValueError`s say what was found instead.

    Unless `srt` says, text is SubRip if times stand in one of its first three lines that are not blank.
    """
    text = text.removeprefix("\ufeff")
    if srt is None:
        srt = any(TIMES.match(line) for line in [s for s in text.splitlines() if s.strip()][:3])
    return parse_srt(text) if srt else [Cue(sentence) for sentence in split_sentences(text)]


def parse_srt(text: str) -> list[Cue]:
    """A cue lasts from a line with times to the next; the number above the times is no part of it."""
    lines, cues = text.splitlines(), []
    starts = [i for i, line in enumerate(lines) if TIMES.match(line)]
    if not starts:
        raise ValueError("no cue: no line like 00:00:01,000 --> 00:00:02,500")
    for i, end in zip(starts, [*starts[1:], len(lines)]):
        times = TIMES.match(lines[i]).groups()
        start_s, end_s = seconds(*times[:4]), seconds(*times[4:])
        if end_s < start_s:
            raise ValueError(f"a cue that ends before it starts in line {i + 1}")
        body = "\n".join(line.strip() for line in lines[i + 1 : end])
        number = r"(^|\n)\d+\s*$" if end < len(lines) else r"\n\n\d+\s*$"  # the next cue's, or of one that was cut off
        said = MARKUP.sub("", re.sub(r"\n+", "\n", re.sub(number, "", body))).strip()
        if said:
            cues.append(Cue(said, start_s, end_s))
    return sorted(cues, key=lambda c: c.start_s)


def read(path: Path) -> list[Cue]:
    """SubRip by the file's name, else by what it holds."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 at byte {error.start}") from error
    return parse(text, True if path.suffix.lower() == ".srt" else None)


def to_srt(cues: list[Cue]) -> str:
    """SubRip of timed cues, times rounded to milliseconds."""
    return "\n".join(f"{i}\n{stamp(c.start_s)} --> {stamp(c.end_s)}\n{c.text}\n" for i, c in enumerate(cues, 1))


def stamp(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"
