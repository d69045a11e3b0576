"""SRT as this folder's programs write it, and read it back."""

from pathlib import Path

from word_pieces import Cue


def srt(cues: list[Cue]) -> str:
    """Times are rounded to milliseconds."""
    return "\n".join(f"{i}\n{stamp(c.start_s)} --> {stamp(c.end_s)}\n{c.text}\n" for i, c in enumerate(cues, 1))


def stamp(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def read_srt(path: Path) -> list[Cue]:
    """Well-formed SRT: number, times, lines of text, cues parted by empty lines."""
    cues = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        _, times, *lines = block.splitlines()
        start, end = (
            sum(float(p) * f for p, f in zip(t.replace(",", ".").split(":"), (3600, 60, 1)))
            for t in times.split(" --> ")
        )
        cues.append(Cue(" ".join(lines), start, end))
    return cues
