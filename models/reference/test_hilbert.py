"""What the model promises: padding, order of batching and absent modalities change nothing they should not."""

import torch
from pytest import fixture

from document import one_document
from hilbert import (
    ExpertsConfig,
    FusionConfig,
    Hilbert,
    HilbertConfig,
    Rows,
    SpeechConfig,
    TaskConfig,
    TextConfig,
)

CONFIG = HilbertConfig(
    SpeechConfig(n_mels=8, frames=40, width=16, heads=2, layers=2, ffn=24, halve_after=1),
    TextConfig(vocabulary=30, positions=12, width=16, heads=2, layers=2, ffn=24, max_tokens=12),
    FusionConfig(audio_row=32, text_row=16, width=16, heads=2, pooling=8, contrast=8),
    ExpertsConfig(3, 8),
    [
        TaskConfig("proficiency", "ordinal", ["a", "b", "c"]),
        TaskConfig("fluency", "binary", ["fluent", "at_risk"]),
    ],
)


@fixture
def model():
    torch.manual_seed(0)
    result = Hilbert(CONFIG).eval()
    for name in ("null_audio", "null_text", "null_cross_audio", "null_cross_text"):
        torch.nn.init.normal_(getattr(result.fusion, name))
    return result


def rows(batch, count, width, mask=None):
    mask = torch.ones(batch, count) if mask is None else mask
    return Rows(torch.randn(batch, count, width), torch.rand(batch, count) * 60, mask)


def test_the_speech_row_does_not_depend_on_what_stands_in_the_padding_far_from_the_audio(model):
    mel, mask = torch.randn(1, 8, 40), torch.zeros(1, 40)
    mask[:, :20] = 1
    other = mel.clone()
    other[:, :, 24:] = torch.randn(1, 8, 16)  # beyond the reach of the two convolutions
    with torch.inference_mode():
        assert torch.allclose(model.speech(mel, mask), model.speech(other, mask), atol=1e-5)


def test_the_text_row_does_not_depend_on_padding_tokens(model):
    ids, mask = torch.randint(1, 30, (1, 12)), torch.zeros(1, 12)
    mask[:, :5] = 1
    short = model.text(ids[:, :5], mask[:, :5])
    assert torch.allclose(model.text(ids, mask), short, atol=1e-5)


def test_a_document_in_a_padded_batch_equals_the_document_alone(model):
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    audio, text = rows(2, 4, 32, mask), rows(2, 4, 16, mask)
    together, _ = model(audio, text)

    def alone(r):
        return Rows(r.rows[1:, :2], r.middle_s[1:, :2], r.mask[1:, :2])

    apart, _ = model(alone(audio), alone(text))
    for task in together:
        assert torch.allclose(together[task][1:], apart[task], atol=1e-5)


def test_an_absent_modality_gives_finite_answers_that_its_masked_rows_cannot_change(model):
    audio = rows(1, 3, 32)
    nothing = one_document(torch.zeros(0, 16), [], 16)
    outputs, fused = model(audio, nothing)
    assert all(torch.isfinite(v).all() for v in outputs.values())
    assert torch.equal(fused.text[0], model.fusion.null_text)
    hidden = Rows(torch.randn(1, 5, 16), torch.rand(1, 5), torch.zeros(1, 5))
    again, _ = model(audio, hidden)
    for task in outputs:
        assert torch.allclose(outputs[task], again[task], atol=1e-6)


def test_untimed_rows_get_no_position(model):
    untimed = torch.full((1, 2), torch.nan)
    assert torch.equal(model.fusion.position(untimed), torch.zeros(1, 2, 16))


def test_gates_under_the_threshold_are_dropped_and_the_rest_sum_to_one(model):
    model.moe.config = ExpertsConfig(3, 8, 0.34)
    gates, _ = model.moe.gates(torch.randn(4, 48))
    assert ((gates == 0) | (gates >= 0.34)).all()
    assert torch.allclose(gates.sum(2), torch.ones(4, 2))
