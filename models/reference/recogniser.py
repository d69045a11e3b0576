"""Transcripts by another recogniser, pocketsphinx with its own model of American English, utterance by utterance.

    pip install --no-deps -r requirements-recogniser.lock

It takes about half as long as the speech lasts and mishears most words of accented children, so it hears some of the
sessions only. What it heard is kept in the cache, a line a session, and it goes on where it was stopped.
"""

import json
from pathlib import Path

import numpy as np

from data import RATE, Session, places, sessions, utterance_audio
from word_pieces import Cue

SESSIONS = 36  # drawn with seed 0
LONGEST_S = 29.5  # of a joined cue, as the data's own recogniser made them


def chosen(every: list[Session]) -> list[int]:
    """Which sessions it hears."""
    return sorted(np.random.default_rng(0).permutation(len(every))[:SESSIONS].tolist())


def hear(decoder, samples: np.ndarray) -> str:
    """Words in lower case, without fillers; empty if none was heard."""
    decoder.start_utt()
    decoder.process_raw(np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


def recognised(data: Path, cache: Path) -> dict[int, list[Cue]]:
    """Of each chosen session a cue for every utterance in which words were heard."""
    path, every = cache / "pocketsphinx.jsonl", sessions(data)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    lines = [line for line in lines if line.endswith("\n")]  # without one that was cut off
    texts = {d["speaker"]: d["texts"] for d in map(json.loads, lines)}
    missing = [every[i] for i in chosen(every) if every[i].speaker not in texts]
    if missing:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise SystemExit("pocketsphinx is needed: pip install --no-deps -r requirements-recogniser.lock") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))
        with path.open("a") as out:
            for session in missing:
                decoder = Decoder(samprate=RATE, loglevel="FATAL")  # it adapts to what it heard before
                texts[session.speaker] = [hear(decoder, samples) for samples in utterance_audio(data, session)]
                out.write(json.dumps({"speaker": session.speaker, "texts": texts[session.speaker]}) + "\n")
                out.flush()
    return {i: utterance_cues(every[i], texts[every[i].speaker]) for i in chosen(every)}


def utterance_cues(session: Session, texts: list[str]) -> list[Cue]:
    """One text an utterance -> cues with the utterances' times; no cue for an empty text"""
    spans = places([u["samples"] for u in session.utterances], session.gap_s)
    return [Cue(text, a / RATE, b / RATE) for text, (a, b) in zip(texts, spans) if text]


def joined(cues: list[Cue]) -> list[Cue]:
    """Neighbours made one cue as long as it lasts no longer than `LONGEST_S`."""
    result = []
    for cue in cues:
        if result and cue.end_s - result[-1].start_s <= LONGEST_S:
            last = result.pop()
            cue = Cue(f"{last.text} {cue.text}", last.start_s, cue.end_s)
        result.append(cue)
    return result
