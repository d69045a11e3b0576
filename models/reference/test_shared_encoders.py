"""A checkpoint that names another one's encoders is the whole one, and knows when they have changed."""

import json

import pytest
import torch
from safetensors import safe_open

from checkpoint import encoders_sha256, load, save
from hilbert import ExpertsConfig, FusionConfig, Hilbert, HilbertConfig, SpeechConfig, TaskConfig, TextConfig
from word_pieces import SPECIAL

CONFIG = HilbertConfig(
    SpeechConfig(n_mels=16, frames=100, width=16, heads=2, layers=1, ffn=16),
    TextConfig(vocabulary=6, positions=16, width=16, heads=2, layers=1, ffn=16, max_tokens=16),
    FusionConfig(audio_row=32, text_row=16, width=16, heads=2, pooling=8, contrast=8),
    ExpertsConfig(2, 8),
    [TaskConfig("task", "binary", ["no", "yes"])],
)
VOCABULARY = [*SPECIAL, "a", "b"]


@pytest.fixture
def folders(tmp_path):
    torch.manual_seed(0)
    model = Hilbert(CONFIG)
    save(tmp_path / "whole", model, VOCABULARY, {"name": "whole"})
    save(tmp_path / "models/part", model, VOCABULARY, {"name": "part"}, tmp_path / "whole")
    return tmp_path / "whole", tmp_path / "models/part", model


def test_it_holds_no_encoder_and_loads_as_the_whole_model(folders):
    whole, part, _ = folders
    assert sorted(p.name for p in part.iterdir()) == ["config.json", "model.safetensors"]
    with safe_open(part / "model.safetensors", "pt") as file:
        assert not [name for name in file.keys() if name.startswith(("speech.", "text."))]
    assert json.loads((part / "config.json").read_text())["encoders"]["checkpoint"] == "../../whole"
    (ours, vocabulary, _), (theirs, _, _) = load(part), load(whole)
    assert vocabulary == VOCABULARY
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values()):
        assert torch.equal(a, b), name


def test_another_fusion_beside_the_encoders_changes_nothing_and_other_encoders_are_refused(folders):
    whole, part, model = folders
    before = encoders_sha256(whole)
    with torch.no_grad():
        model.moe.router.weight += 1
    save(whole, model, VOCABULARY, {"name": "whole"})
    assert encoders_sha256(whole) == before and load(part)
    save(whole, model, [*VOCABULARY[:-1], "c"], {"name": "whole"})
    assert encoders_sha256(whole) != before
    with torch.no_grad():
        model.speech.norm.bias += 1
    save(whole, model, VOCABULARY, {"name": "whole"})
    with pytest.raises(SystemExit, match=f"expects {before}"):
        load(part)
