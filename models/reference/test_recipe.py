"""The recipe stores what the exporter's recipe does: the rows are those of exporter/src/recipe.rs."""

import json

import pytest
import torch

import recipe
from checkpoint import load, round_trip_int8, with_int8_weights
from test_checkpoint import MODELS


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("speech.layers.0.expand.weight", (64, 64), False),
        ("speech.layers.1.expand.weight", (64, 64), True),
        ("speech.layers.1.expand.weight", (8, 8), False),
        ("speech.layers.1.expand.bias", (4096,), False),
        ("text.tokens.weight", (64, 64), True),
        ("speechXlayers.0.expand.weight", (64, 64), True),
    ],
)
def test_the_last_rule_that_names_a_tensor_holds_and_small_tensors_stay_float(name, shape, expected):
    found = recipe.Recipe("int8", [("speech.*", "f32"), ("speech.layers.1.*", "int8")])
    assert found.is_int8(name, torch.zeros(shape)) == expected


def test_another_schema_is_refused(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"schema": "hilbert.recipe/2", "weights": "int8", "rules": []}))
    with pytest.raises(SystemExit, match="expected hilbert.recipe/1"):
        recipe.read(path)


def test_what_the_shipped_recipe_leaves_float_keeps_its_values_and_all_else_is_rounded():
    model, _, _ = load(MODELS / "spoken-english/checkpoint")
    shipped = recipe.read(MODELS / "spoken-english/recipe.json")
    floats = shipped.floats(model)
    assert floats and floats == sorted(pattern for pattern, _ in shipped.rules)
    stored = dict(recipe.weights_of(with_int8_weights(model, shipped)))
    for name, weight in recipe.weights_of(model):
        rounded = recipe.can_be_int8(weight) and name not in floats
        assert torch.equal(stored[name], round_trip_int8(weight) if rounded else weight), name
