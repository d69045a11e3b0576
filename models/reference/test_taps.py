"""The taps: which elements, of which input, and that they are what the modules give."""

from pathlib import Path

import pytest
import torch

import taps
from checkpoint import load

MODELS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("shape", "axis", "real", "most", "expected"),
    [
        ((2, 3), None, 1, 6, [0, 1, 2, 3, 4, 5]),
        ((4, 3), 0, 2, 99, [0, 1, 2, 3, 4, 5]),
        ((1, 2, 5), 2, 3, 99, [0, 1, 2, 5, 6, 7]),
        ((10,), None, 1, 4, [0, 3, 6, 9]),  # the runtime's own example
    ],
)
def test_positions_are_those_of_the_runtime(shape, axis, real, most, expected):
    assert taps.positions(shape, axis, real, most) == expected


def test_taps_are_what_the_modules_give():
    model, vocabulary, config = load(MODELS / "spoken-english/checkpoint")
    found = taps.taps(model, config, vocabulary)
    mel, mask, ids, id_mask = taps.sample_inputs(config, vocabulary)
    assert mask.sum() == taps.FRAMES and mel[0, :, taps.FRAMES :].abs().max() == 0
    with torch.inference_mode():
        row = model.speech(mel, mask)[0]
        first = model.speech.conv1(mel)[0]  # [D, T]
        head = model.moe.heads["fluency"]
    assert torch.equal(found["speech"], row[taps.positions((768,), None, 1)])
    where = taps.positions(tuple(first.shape), 1, taps.FRAMES)
    assert torch.equal(found["speech.conv1"], first.flatten()[where])
    assert all(w % mel.shape[2] < taps.FRAMES for w in where)
    assert found["moe.heads.fluency"].shape == (head.out_features,)
    assert {"text.tokens", "alignment.context", "fusion.joint", "moe.router", "moe.experts.3"} <= found.keys()
    assert not [name for name, value in found.items() if not value.isfinite().all()]
