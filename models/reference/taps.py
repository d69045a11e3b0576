"""The taps of the parity ledger: what every module of the model gives for one fixed sample, at a few of its elements.

    python taps.py --wav ../../examples/data/session.wav --out ../../examples/data/session.mel

writes the sample: the first 6 s of the recording as log-mel, 80 bands of 600 frames, one byte each, so that every
program that reads it has the same numbers to the last bit. `docs/parity-ledger.md` is normative for all of this.
"""

import argparse
import re
from math import gcd
from pathlib import Path

import soundfile
import torch
from torch import Tensor, nn

from data import RATE
from document import cue_inputs, one_document
from hilbert import Fused, Hilbert
from log_mel import LogMelConfig, log_mel
from word_pieces import Cue, token_rows

SAMPLE = Path(__file__).parents[2] / "examples/data/session.mel"
SENTENCE = "It's just so hard to picture."
BANDS, FRAMES = 80, 600
ZERO, LEVELS = 128, 64  # a byte b stands for (b - 128) / 64
MOST_INPUT = 96 << 10  # bytes of log-mel
MIDDLE_S = 3.0  # of the segment; the sentence is untimed
ALIGNED_FRAMES = 16  # frames that the alignment head reads, zeros behind them
MOST = 256  # elements of a tap
TAPS = re.compile(
    r"speech(\.conv\d|\.layers\.\d+|\.norm)?|text(\.tokens|\.norm|\.layers\.\d+)?|alignment(\.\w+)?"
    r"|fusion(\.(joint|\w+_norm)|\.project_\w+?(\.(linear|norm|pool))?|\.cross_\w+?(\.(query|key|value|output|pool))?)?"
    r"|moe\.(router|experts\.\d+(\.expand)?|heads\.\w+)"
)


def sample_inputs(config: dict, vocabulary: list[str]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """-> log-mel [1, M, T], its mask [1, T], ids [1, L], their mask [1, L]"""
    speech, most = config["model"]["speech"], config["model"]["text"]["max_tokens"]
    bands, frames = speech["n_mels"], speech["frames"]
    real = min(FRAMES, frames, MOST_INPUT // bands)
    levels = torch.frombuffer(bytearray(SAMPLE.read_bytes()), dtype=torch.uint8).view(BANDS, FRAMES)
    chosen = levels[[band * BANDS // bands for band in range(bands)], :real]
    mel = torch.zeros(1, bands, frames)
    mel[0, :, :real] = (chosen.float() - ZERO) / LEVELS
    mask = (torch.arange(frames) < real).float()[None]
    return mel, mask, *cue_inputs(token_rows([Cue(SENTENCE)], vocabulary, most)[:1], most)


def positions(shape: tuple[int, ...], axis: int | None, real: int, most: int = MOST) -> list[int]:
    """Flat indices of at most `most` elements of the first `real` rows along `axis`, by steps of a golden section."""
    kept = [real if i == axis else n for i, n in enumerate(shape)]
    index = torch.arange(torch.Size(shape).numel()).view(shape)
    flat = (index if axis is None else index.narrow(axis, 0, real)).flatten().tolist()
    n = torch.Size(kept).numel()
    if n <= most:
        return flat
    step = max(1, n // 1_000_000 * 618_034 + n % 1_000_000 * 618_034 // 1_000_000)
    while gcd(step, n) != 1:
        step -= 1
    return [flat[j * step % n] for j in range(most)]


def taps(model: Hilbert, config: dict, vocabulary: list[str]) -> dict[str, Tensor]:
    """Module -> a few elements of what it gives for the sample, which is one segment and one row of tokens."""
    mel, mask, ids, id_mask = sample_inputs(config, vocabulary)
    found = {}

    def keep(name: str, module: nn.Module, rows: tuple[float, float]):
        def hook(_, __, out):
            out = out.document if isinstance(out, Fused) else out[0] if isinstance(out, tuple) else out
            value = out[0] if out.dim() > 1 else out
            axis = None if value.dim() < 2 or value.shape[0] == 1 else 1 if isinstance(module, nn.Conv1d) else 0
            real = 1 if axis is None else -(-int(rows[0]) * value.shape[axis] // rows[1])
            found[name] = value.flatten()[positions(tuple(value.shape), axis, real)].clone()

        return module.register_forward_hook(hook)

    aligned = min(ALIGNED_FRAMES, -(-int(mask.sum()) // model.config.speech.reduction))
    counts = {
        "speech": (mask.sum(), mask.shape[1]),
        "text": (id_mask.sum(), id_mask.shape[1]),
        "alignment": (aligned, mask.shape[1] // model.config.speech.reduction),
    }
    modules = [(n, m) for n, m in model.named_modules() if TAPS.fullmatch(n)]
    hooks = [keep(n, m, counts.get(n.split(".")[0], (1, 1))) for n, m in modules]
    try:
        with torch.inference_mode():
            audio, text = model.speech(mel, mask), model.text(ids, id_mask)
            model(one_document(audio, [MIDDLE_S], audio.shape[1]), one_document(text, [float("nan")], text.shape[1]))
            if model.alignment is not None:
                _, frames, _ = model.speech.rows_and_frames(mel, mask)
                model.alignment(frames * (torch.arange(frames.shape[1]) < aligned)[:, None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wav", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    samples, _ = soundfile.read(arguments.wav, dtype="float32", frames=FRAMES * 160)
    mel = log_mel(torch.from_numpy(samples), LogMelConfig(sample_rate=RATE, n_mels=BANDS, frames=FRAMES))
    levels = (mel * LEVELS + ZERO).round().clamp(0, 255).to(torch.uint8)
    arguments.out.write_bytes(levels.numpy().tobytes())


if __name__ == "__main__":
    main()
