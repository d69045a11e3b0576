"""Writes the sample recording and its transcript: one adult's session, as WAV and SRT.

python sample.py --data DIR --out ../../examples/data
"""

import argparse
from pathlib import Path

import soundfile

from data import RATE, join, sessions, utterance_audio
from outline import session_cues
from transcript import to_srt

SPEAKER = "0036"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    (session,) = [s for s in sessions(arguments.data) if s.speaker == SPEAKER]
    if session.age < 18:
        raise SystemExit(f"speaker {SPEAKER} is {session.age}; only adults are shipped")
    samples, _ = join(utterance_audio(arguments.data, session), session.gap_s, None, None)
    arguments.out.mkdir(parents=True, exist_ok=True)
    soundfile.write(arguments.out / "session.wav", samples, RATE, subtype="PCM_16")
    (arguments.out / "session.srt").write_text(to_srt(session_cues(session)), encoding="utf-8")


if __name__ == "__main__":
    main()
