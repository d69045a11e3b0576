"""Training of the fusion: it learns, and every variant is what its name says."""

from dataclasses import replace

import pytest
import torch

from early_stopping import PATIENCE, EarlyStopping, without_some
from hilbert import ExpertsConfig, FusionConfig, HilbertConfig, SpeechConfig, TaskConfig, TextConfig
from rows import Document, collate
from targets import Scale, Target
from train_fusion import (
    CHUNK,
    Schedule,
    Trained,
    Views,
    fused_in_chunks,
    predict,
    train,
)
from variants import OBJECTIVES, WHOLE, LinearHeads, Variant

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
TARGETS = [Target(CONFIG.tasks[0], (7.5, 8.5), scale=Scale(8.0, 1.0)), Target(CONFIG.tasks[1], weight=0.5)]


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
        targets = {"proficiency": 8.0 + level, "fluency": int(level < 0)}
        result.append(Document(i, i, audio, middles, text, [2.0, 6.0], targets, scores))
    return result


QUIET = {"audio_noise": 0.0, "text_noise": 0.0}
SHORT = Schedule(first_steps=20, second_steps=200, batch=6, second_rate=3e-3, **QUIET)
SHORTEST = Schedule(first_steps=2, second_steps=3, batch=6, **QUIET)


def test_a_short_training_run_overfits_six_documents():
    drawn = documents()
    trained = train(CONFIG, TARGETS, drawn, 0, SHORT)
    scores = predict(trained, drawn, "audio_text")["proficiency"][:, 0]
    assert (scores - torch.tensor([d.targets["proficiency"] for d in drawn])).abs().max() < 0.8
    risk = predict(trained, drawn, "audio_text")["fluency"].argmax(1)
    assert risk.tolist() == [1, 1, 1, 0, 0, 0]


def test_fusing_in_chunks_changes_nothing():
    torch.manual_seed(0)
    model, drawn = Trained(CONFIG, Variant(), 4).eval(), documents(2 * CHUNK + 3)

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
    trained = train(CONFIG, TARGETS, documents(), 0, SHORTEST, Variant(objective, head))
    outputs = predict(trained, documents(), trained.variant.modalities)
    assert outputs["proficiency"].shape == (6, 1) and outputs["fluency"].shape == (6, 2)
    assert all(torch.isfinite(o).all() for o in outputs.values())
    assert isinstance(trained.moe, LinearHeads) == (head == "linear")


def test_one_modality_alone_never_hears_the_other():
    shifted = documents()
    for d in shifted:
        d.text = d.text + 5
    a, b = (train(CONFIG, TARGETS, drawn, 0, SHORTEST, Variant("audio")) for drawn in (documents(), shifted))
    first, second = (predict(m, documents(), "audio")["proficiency"] for m in (a, b))
    assert torch.allclose(first, second, atol=1e-5)


def test_without_contrast_the_representation_is_not_trained_first():
    long = Schedule(first_steps=50, second_steps=3, batch=6, **QUIET)
    a, b = (train(CONFIG, TARGETS, documents(), 0, s, Variant("concatenation")) for s in (SHORTEST, long))
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


def test_early_stopping_keeps_the_best_state_and_waits_no_longer_than_it_should():
    model = torch.nn.Linear(1, 1)
    losses = iter([3.0, 1.0, *[2.0] * PATIENCE])
    stopping = EarlyStopping(model, lambda: torch.tensor(next(losses)))
    looks = []
    for look in range(2 + PATIENCE):
        torch.nn.init.constant_(model.weight, look)
        looks.append(stopping.goes_on())
    assert looks == [True] * (1 + PATIENCE) + [False]
    stopping.restore()
    assert model.weight.item() == 1


def test_nobody_stands_among_the_trained_on_and_the_held_out():
    drawn = [replace(d, person=i // 2) for i, d in enumerate(documents(12))]
    drawn[0].targets = drawn[1].targets = {}
    kept, unseen = without_some(drawn, 0.3, torch.Generator().manual_seed(0))
    assert len(unseen) == 4 and len(kept) == 8
    assert not {d.person for d in kept} & {d.person for d in unseen} and all(d.targets for d in unseen)
    trained = train(CONFIG, TARGETS, drawn, 0, replace(SHORTEST, second_steps=30, held_out=0.3))
    assert torch.isfinite(predict(trained, drawn, "audio_text")["proficiency"]).all()


def test_documents_without_labels_or_without_a_modality_are_learnt_from_as_far_as_they_go():
    drawn = documents(10)
    drawn[0].targets, drawn[1].targets = {}, {"fluency": 1}
    drawn[2].text, drawn[2].text_middles = torch.zeros(0, 16), []
    drawn[3].audio, drawn[3].audio_middles, drawn[3].scores = torch.zeros(0, 32), [], torch.zeros(0, 4)
    trained = train(CONFIG, TARGETS, drawn, 0, SHORTEST)
    assert all(torch.isfinite(o).all() for o in predict(trained, drawn, "audio_text").values())
    silent = [replace(d, text=torch.zeros(0, 16), text_middles=[]) for d in drawn]
    trained = train(CONFIG, TARGETS, silent, 0, SHORTEST)
    assert torch.isfinite(predict(trained, silent, "audio_text")["proficiency"]).all()
    with pytest.raises(ValueError, match="task fluency: no training document has a label"):
        train(CONFIG, TARGETS, [replace(d, targets={"proficiency": 8.0}) for d in drawn], 0, SHORTEST)


def test_a_score_is_learnt_in_units_of_its_deviation_and_given_in_its_own():
    drawn = documents(8)
    for d in drawn:
        d.targets["proficiency"] = 1000 + 50 * d.targets["proficiency"]
    targets = [Target(CONFIG.tasks[0], (1375.0, 1425.0)), TARGETS[1]]
    schedule = replace(SHORT, second_steps=60, segment_weight=0.0)
    scores = predict(train(CONFIG, targets, drawn, 0, schedule), drawn, "audio_text")["proficiency"][:, 0]
    wanted = torch.tensor([d.targets["proficiency"] for d in drawn])
    assert (scores - wanted).abs().mean() < 0.5 * (wanted - wanted.mean()).abs().mean()


def test_a_document_with_anothers_text_keeps_its_sound_and_its_labels():
    drawn = documents()
    views = Views(drawn, Schedule(swap_text=1.0), WHOLE, torch.Generator().manual_seed(0))
    found = views.with_texts_swapped(drawn)
    assert all(a.audio is b.audio and a.targets is b.targets for a, b in zip(found, drawn))
    assert all(any(a.text is b.text for b in drawn) for a in found)
    assert sum(a.text is b.text for a, b in zip(found, drawn)) < len(drawn) / 2
    silent = replace(drawn[0], text=torch.zeros(0, 16), text_middles=[])
    assert views.with_texts_swapped([silent]) == [silent]
    assert Views(drawn, Schedule(), WHOLE, torch.Generator()).with_texts_swapped(drawn) is drawn
    text_alone = Views(drawn, Schedule(swap_text=1.0), Variant("text"), torch.Generator())
    assert text_alone.with_texts_swapped(drawn) is drawn
