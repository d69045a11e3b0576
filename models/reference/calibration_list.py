"""Writes the scored sessions as recordings, transcripts and a list, for `hilbert-export --calibration`.

    python calibration_list.py --data DATA --out FOLDER

`SPEAKER.flac` (16 kHz, mono) is the session's utterances with silence after each, `SPEAKER.srt` what a recogniser
heard, `list.jsonl` the list as `train.py --data` reads it (models/README.md): labels are the experts' mean scores, and
their cuts stand in its first line.
"""

import argparse
import json
from pathlib import Path

import soundfile

from data import RATE, Session, join, sessions, utterance_audio
from spoken_english import SCORE_OF, TARGETS
from transcript import to_srt
from word_pieces import Cue


def line(session: Session) -> dict:
    labels = {task: session.mean_scores[score] for task, score in SCORE_OF.items()}
    files = {"recording": f"{session.speaker}.flac", "transcript": f"{session.speaker}.srt"}
    return {**files, "labels": labels, "group": session.group}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tasks = [{"name": t.task.name, "kind": t.task.kind, "labels": t.task.labels, "cuts": t.cuts} for t in TARGETS]
    lines, every = [{"tasks": tasks}], sessions(arguments.data)
    for session in every:
        samples, _ = join(utterance_audio(arguments.data, session), session.gap_s, None, None)
        soundfile.write(arguments.out / f"{session.speaker}.flac", samples, RATE, subtype="PCM_16")
        heard = [Cue(p["text"].strip(), p["start_s"], p["end_s"]) for p in session.transcript]
        (arguments.out / f"{session.speaker}.srt").write_text(to_srt(heard))
        lines.append(line(session))
    (arguments.out / "list.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


if __name__ == "__main__":
    main()
