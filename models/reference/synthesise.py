"""Speaks the simulated doctor-patient interviews with a synthesiser: synthetic speech, with true cue times.

    python synthesise.py --data DIR --out FOLDER [--first N] [--seed 0]

Needs Debian's `espeak-ng`. Writes `NAME.flac` (16 kHz, mono) and `NAME.srt` for each interview and `list.jsonl`: the
task, then a line for each finished interview. What is there is kept, so that a stopped run goes on where it was. The
order is drawn by the seed: `--first N` is a random sample.

Voices, rates, levels, pauses and noise are drawn by the seed and the interview's number alone, so that none of them
tells the class.
"""

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

from data import RATE
from interviews import TASK, TASKS, Interview, groups, interviews
from transcript import to_srt
from word_pieces import Cue

SYNTHESISER = "espeak-ng"
SYNTHESISER_RATE = 22050
ACCENTS = ["en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us", "en-us-nyc", "en-029"]
# espeak-ng's variants that sound like persons: no robots, no whispers
WOMEN = ["Alicia", "Andrea", "Annie", "anika", "belinda", "f1", "f2", "f3", "f4", "f5", "grandma", "linda", "steph"]
MEN = ["Alex", "Andy", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mike"]
MEN += ["Nguyen", "ed", "gustave", "iven", "john", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max"]
MEN += ["michel", "miguel", "pablo", "paul", "pedro", "quincy", "robert", "travis", "victor", "boris"]
VARIANTS = WOMEN + MEN

WORDS_PER_MINUTE = (125, 170)  # as espeak-ng counts them; with the pauses, interviews run at about 150
PITCH = (35, 65)  # of 0 to 99, 50 the variant's own
LEVEL_DB = (-32.0, -18.0)  # dBFS of an interview's louder speaker, mean power while speaking
SOFTER_DB = 6.0  # the other is softer by up to this
TURN_PAUSE_S = (0.2, 1.2)
CUE_PAUSE_S = (0.1, 0.4)  # within a turn
NOISE_DB = (-75.0, -55.0)  # dBFS of white noise under everything: a pause is never digital silence


@dataclass(frozen=True)
class Voice:
    accent: str
    variant: str
    words_per_minute: int
    pitch: int
    level_db: float


@dataclass(frozen=True)
class Casting:
    """Who speaks an interview, and in what room."""

    voices: dict[str, Voice]  # D, P
    noise_db: float


def cast(number: int, seed: int) -> Casting:
    """Two different voices, by the interview's number and the seed."""
    rng = np.random.default_rng([seed, number])
    variants = rng.choice(VARIANTS, 2, replace=False).tolist()
    level = rng.uniform(*LEVEL_DB)
    levels = rng.permutation([level, level - rng.uniform(0, SOFTER_DB)]).tolist()
    voices = {
        speaker: Voice(
            str(rng.choice(ACCENTS)),
            variant,
            int(rng.integers(*WORDS_PER_MINUTE, endpoint=True)),
            int(rng.integers(*PITCH, endpoint=True)),
            level,
        )
        for speaker, variant, level in zip("DP", variants, levels)
    }
    return Casting(voices, rng.uniform(*NOISE_DB))


def speak(text: str, voice: Voice) -> np.ndarray:
    """Mono samples at 16 kHz, at the synthesiser's own level; empty when nothing in the text can be spoken."""
    options = ["-v", f"{voice.accent}+{voice.variant}", "-s", str(voice.words_per_minute), "-p", str(voice.pitch), "-z"]
    wav = synthesiser(*options, "--stdin", "--stdout", says=text)
    # the header of a stream has no true length: samples are what follows its 44 bytes
    samples = np.frombuffer(wav[44 : len(wav) // 2 * 2], "<i2") / 32768
    return resample_poly(samples, 320, 441).astype(np.float32)  # 22,050 to 16,000 Hz


def synthesiser(*options: str, says: str = "") -> bytes:
    """What it writes to its standard output."""
    try:
        done = subprocess.run([SYNTHESISER, *options], input=says.encode(), stdout=subprocess.PIPE, check=True)
    except FileNotFoundError:
        raise SystemExit(f"{SYNTHESISER} is not installed") from None
    return done.stdout


def at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    """Scaled so that the mean power of what is not silence is `level_db` dBFS."""
    loud = samples[np.abs(samples) > 1e-3]
    return samples * (10 ** (level_db / 20) / np.sqrt(np.mean(loud**2))) if len(loud) else samples


def lay(pieces: list[np.ndarray], pauses: list[int]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Pieces with a pause of so many samples before each. -> samples, where each piece lies"""
    ends = np.cumsum([pause + len(piece) for pause, piece in zip(pauses, pieces)]).tolist()
    samples = np.zeros(ends[-1] if ends else 0, np.float32)
    spans = [(end - len(piece), end) for end, piece in zip(ends, pieces)]
    for (start, end), piece in zip(spans, pieces):
        samples[start:end] = piece
    return samples, spans


def spoken(interview: Interview, seed: int, speak=speak) -> tuple[np.ndarray, list[Cue]]:
    """-> samples at 16 kHz, in [-1, 1]; cues with the times at which they are spoken"""
    casting = cast(interview.number, seed)
    rng = np.random.default_rng([seed, interview.number, 1])
    texts, pieces, pauses = [], [], []
    for turn in interview.turns:
        for place, text in enumerate(turn.cues()):
            voice = casting.voices[turn.speaker]
            piece = speak(text, voice)
            pause = rng.uniform(*(CUE_PAUSE_S if place else TURN_PAUSE_S))
            if len(piece):
                texts.append(text)
                pieces.append(at_level(piece, voice.level_db))
                pauses.append(round(pause * RATE))
    samples, spans = lay(pieces, pauses)
    samples = samples + rng.normal(0, 10 ** (casting.noise_db / 20), len(samples)).astype(np.float32)
    return np.clip(samples, -1, 1), [Cue(t, a / RATE, b / RATE) for t, (a, b) in zip(texts, spans)]


def write(folder: Path, interview: Interview, seed: int, speak=speak):
    """The transcript first: where there is a recording, both are whole."""
    recording = folder / f"{interview.name}.flac"
    if recording.exists():
        return
    samples, cues = spoken(interview, seed, speak)
    replace(folder / f"{interview.name}.srt", to_srt(cues).encode())
    partial = recording.with_suffix(".partial")
    soundfile.write(partial, samples, RATE, format="FLAC", subtype="PCM_16")
    partial.rename(recording)


def replace(path: Path, content: bytes):
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(path)


def write_list(folder: Path, every: list[Interview]):
    """`list.jsonl` of the finished interviews, as `train.py` reads it; paths are relative to it."""
    lines = [{"tasks": TASKS}]
    lines += [
        {
            "recording": f"{interview.name}.flac",
            "transcript": f"{interview.name}.srt",
            "labels": {TASK: interview.label},
            "group": group,
        }
        for interview, group in zip(every, groups(every))
        if (folder / f"{interview.name}.flac").exists()
    ]
    replace(folder / "list.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())


def claim(folder: Path, seed: int):
    """A folder holds what one seed and one version of the synthesiser spoke."""
    made = {"synthesiser": synthesiser("--version").decode().split("Data at")[0].strip(), "seed": seed}
    path = folder / "synthesis.json"
    if path.exists() and json.loads(path.read_text()) != made:
        raise SystemExit(
            f"{path} says {path.read_text().strip()}, this run is {json.dumps(made)}: choose another folder"
        )
    replace(path, (json.dumps(made) + "\n").encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, help="only so many, in the order that the seed draws")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    every = interviews(arguments.data)
    order = np.random.default_rng(arguments.seed).permutation(len(every))[: arguments.first]
    arguments.out.mkdir(parents=True, exist_ok=True)
    claim(arguments.out, arguments.seed)
    for index in tqdm(order, "interviews", mininterval=10, disable=None):
        write(arguments.out, every[index], arguments.seed)
    write_list(arguments.out, every)


if __name__ == "__main__":
    main()
