"""Training of the fusion: it learns, and every variant is what its name says."""

import pytest
import torch

from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, SpeechConfig, TaskConfig, TextConfig
from rows import Document, collate
from train_fusion import CHUNK, Schedule, Trained, fused_in_chunks, predict, train
from variants import OBJECTIVES, LinearHeads, Variant

CONFIG = HilbertConfig(
    SpeechConfig(),
    TextConfig(),
    FusionConfig(audio_row=32, text_row=16, width=16, heads=2, pooling=8, contrast=8),
    ExpertsConfig(3, 8),
    [
        TaskConfig("proficiency", "ordinal", ["a", "b", "c"]),
        TaskConfig("fluency", "binary", ["fluent", "at_risk"]),
    ],
)


def documents(count=6, informative="audio"):
    """Documents whose level shows in one modality."""
    torch.manual_seed(1)
    result = []
    for i in range(count):
        level = i - count // 2
        audio, text = torch.randn(4 + i % 3, 32), torch.randn(2, 16)
        if informative == "audio":
            audio = audio + level * 0.5
        else:
            text = text + level * 0.5
        middles = [1.0 + 2 * j for j in range(len(audio))]
        scores = torch.full((len(audio), 4), float(level))
        result.append(Document(i, audio, middles, scores, text, [2.0, 6.0], 8.0 + level, 8.0 + level))
    return result


QUIET = {"audio_noise": 0.0, "text_noise": 0.0}
SHORT = Schedule(first_steps=20, second_steps=200, batch=6, second_rate=3e-3, **QUIET)
SHORTEST = Schedule(first_steps=2, second_steps=3, batch=6, **QUIET)


def test_a_short_training_run_overfits_six_documents():
    drawn = documents()
    trained = train(CONFIG, drawn, 0, SHORT)
    scores = predict(trained, drawn, "audio_text")["proficiency"][:, 0]
    assert (scores - torch.tensor([d.total for d in drawn])).abs().max() < 0.8
    risk = predict(trained, drawn, "audio_text")["fluency"].argmax(1)
    assert risk.tolist() == [1, 1, 1, 0, 0, 0]


def test_fusing_in_chunks_changes_nothing():
    torch.manual_seed(0)
    model, drawn = Trained(CONFIG, Variant()).eval(), documents(2 * CHUNK + 3)

    def rows_of(chunk):
        return collate(chunk, "audio"), collate(chunk, "text")

    chunked = fused_in_chunks(model, drawn, rows_of)
    whole = model.fusion(*rows_of(chunked.documents))
    assert torch.allclose(chunked.document, whole.document, atol=1e-5)
    assert torch.allclose(chunked.joint, whole.joint, atol=1e-5)
    one = fused_in_chunks(model, drawn[:1], rows_of)
    place = chunked.documents.index(drawn[0])
    assert torch.allclose(one.segment_error[0], chunked.segment_error[place], atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("head", ["experts", "linear"])
def test_every_objective_trains_with_either_head(objective, head):
    trained = train(CONFIG, documents(), 0, SHORTEST, Variant(objective, head))
    outputs = predict(trained, documents(), trained.variant.modalities)
    assert outputs["proficiency"].shape == (6, 1) and outputs["fluency"].shape == (6, 2)
    assert all(torch.isfinite(o).all() for o in outputs.values())
    assert isinstance(trained.moe, LinearHeads) == (head == "linear")


def test_one_modality_alone_never_hears_the_other():
    shifted = documents()
    for d in shifted:
        d.text = d.text + 5
    a, b = (train(CONFIG, drawn, 0, SHORTEST, Variant("audio")) for drawn in (documents(), shifted))
    first, second = (predict(m, documents(), "audio")["proficiency"] for m in (a, b))
    assert torch.allclose(first, second, atol=1e-5)


def test_without_contrast_the_representation_is_not_trained_first():
    long = Schedule(first_steps=50, second_steps=3, batch=6, **QUIET)
    a, b = (train(CONFIG, documents(), 0, s, Variant("concatenation")) for s in (SHORTEST, long))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))


def test_concatenation_has_no_joint_vector_and_reading_b_mixes_the_modalities():
    drawn = documents()
    rows = {m: collate(drawn, m) for m in ("audio", "text")}
    other = collate(documents(informative="text"), "text")
    for variant, depends in ((Variant(), False), (Variant(reading="B"), True)):
        torch.manual_seed(0)
        model = Trained(CONFIG, variant).eval()
        one, two = model.fusion(**rows), model.fusion(rows["audio"], other)
        assert torch.allclose(one.audio, two.audio, atol=1e-6) != depends
    model = Trained(CONFIG, Variant("concatenation")).eval()
    assert not model.fusion(**rows).joint.any() and not model.fusion(**rows).document[:, 32:].any()


def test_an_unknown_variant_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="'triple', expected one of audio, text, concatenation"):
        Variant("triple")
