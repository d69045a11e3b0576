"""Writes the synthetic sample: the first half minute of a simulated interview, spoken by a synthesiser, as WAV and SRT.

python sample_interview.py --data DIR --out ../../examples/data
"""

import argparse
from dataclasses import replace
from pathlib import Path

import soundfile

from data import RATE
from interviews import interviews
from synthesise import spoken
from transcript import to_srt

NAME = "MSK0001"
TURNS = 12  # more than half a minute
LONGEST_S = 31.0  # just below a megabyte


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    (interview,) = [i for i in interviews(arguments.data) if i.name == NAME]
    samples, cues = spoken(replace(interview, turns=interview.turns[:TURNS]), seed=0)
    cues = [c for c in cues if c.end_s <= LONGEST_S]
    arguments.out.mkdir(parents=True, exist_ok=True)
    samples = samples[: round(cues[-1].end_s * RATE)]
    soundfile.write(arguments.out / "synthetic-interview.wav", samples, RATE, subtype="PCM_16")
    (arguments.out / "synthetic-interview.srt").write_text(to_srt(cues), encoding="utf-8")


if __name__ == "__main__":
    main()
