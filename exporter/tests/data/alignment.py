"""Writes alignment.json beside itself: log posteriors of hilbert.AlignmentHead, weights and frames by a formula.

`exporter/tests/export/alignment.rs` has the same formula: numbers that float16 holds exactly.
"""

import json
import sys
from pathlib import Path

import torch

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[2] / "models" / "reference"))

from hilbert import AlignmentConfig, AlignmentHead  # noqa: E402

from checkpoint import with_int8_weights  # noqa: E402

WIDTH, HIDDEN, FRAMES = 32, 40, 250
REAL = 100  # frames; zeros beyond
KEPT = [0, 1, 50, 98, 99]  # the frames that are written, the first and the last real ones among them


def numbers(seed: int, shape: torch.Size) -> torch.Tensor:
    """From -2 to 2 in steps of 1/512, in no order that a mistake could keep."""
    at = torch.arange(shape.numel(), dtype=torch.int64)
    return ((at * 7919 + seed * 104729) % 2001 - 1000).reshape(shape) / 512


head = AlignmentHead(WIDTH, AlignmentConfig(hidden=HIDDEN))
state = {name: numbers(seed, value.shape) / 8 for seed, (name, value) in enumerate(sorted(head.state_dict().items()))}
head.load_state_dict(state)
frames = numbers(len(state), torch.Size([1, FRAMES, WIDTH]))
frames[:, REAL:] = 0
with torch.inference_mode():
    log = {"f32": head.eval()(frames)[0, KEPT], "int8": with_int8_weights(head)(frames)[0, KEPT]}
table = {
    "frames": KEPT,
    **{name: [[round(x, 6) for x in row] for row in values.tolist()] for name, values in log.items()},
}
(here / "alignment.json").write_text(json.dumps(table) + "\n", encoding="ascii")
