"""The alignment scores against brute force over every path, and what they say of right and wrong texts."""

import itertools

import numpy as np
import pytest
import torch

from alignment import WORST_FIT, Posteriors, cue_fits, fits, posteriors, settings
from characters import ALPHABET, readings
from checkpoint import load, save
from golden import integrity_stages
from hilbert import (
    AlignmentConfig,
    AlignmentHead,
    ExpertsConfig,
    FusionConfig,
    Hilbert,
    HilbertConfig,
    SpeechConfig,
    SpeechEncoder,
    TextConfig,
)
from train_alignment import NOBODY, Clips, clips, train
from word_pieces import Cue


def collapsed(path):
    return [c for c, _ in itertools.groupby(path) if c]


def brute_force(log, text):
    """The best of all paths that read the text and count whatever is before and after it as the best there is."""
    relative = log - log.max(1, keepdims=True)
    paths = (
        relative[first:last][range(last - first), path].sum()
        for first, last in itertools.combinations(range(len(log) + 1), 2)
        for path in itertools.product(range(log.shape[1]), repeat=last - first)
        if collapsed(path) == text
    )
    return max(paths, default=-np.inf) / len(text)


@pytest.mark.parametrize("text", [[1], [1, 1], [2, 1], [1, 2, 1], [2, 2, 2, 2]])
def test_the_fit_is_that_of_the_best_place_and_path_of_a_text(text):
    log = torch.randn(5, 3, generator=torch.Generator().manual_seed(len(text))).log_softmax(1).double().numpy()
    assert fits([log], [text]) == pytest.approx(brute_force(log, text), abs=1e-9)


def test_texts_and_windows_of_any_length_are_as_each_by_itself():
    rng = np.random.default_rng(0)
    windows = [rng.normal(size=(n, 4)) for n in (6, 0, 3, 9)]
    texts = [[1, 2], [3], [1, 1, 1], [2, 3, 3, 1, 2]]
    assert fits(windows, texts).tolist() == [fits([w], [t])[0] for w, t in zip(windows, texts)]
    assert fits(windows, texts)[1:3].tolist() == [-np.inf, -np.inf]  # repeats need a blank between them


def says(text, sure=0.9):
    """Frames that say a text, two a character and a blank after each."""
    classes = [c for letter in text for c in (1 + ALPHABET.index(letter),) * 2 + (0,)]
    log = torch.full((len(classes), 29), np.log((1 - sure) / 28), dtype=torch.float32)
    log[torch.arange(len(classes)), classes] = np.log(sure)
    return log


def fit_of(log, text):
    middles = np.arange(len(log)) * 0.04
    return cue_fits(Posteriors(middles, log), [Cue(text, 0.0, 99.0)])[0]


def test_the_right_text_fits_better_than_another_and_numbers_by_their_better_reading():
    log = says("well it was forty two i think")
    assert fit_of(log, "It was 42!") == 0 and fit_of(log, "So many apples") < -4
    assert fit_of(says("one one zero eight"), "1108") == 0
    assert fit_of(log, "it was forty five") < fit_of(log, "it was forty two") - 0.5


def test_a_cue_is_found_where_it_is_said_as_far_as_the_margin():
    log = torch.cat([says("hello"), says("y" * 80), says("hello")])
    end_s = len(log) * 0.04
    cues = [Cue("hello", start_s, start_s + 1) for start_s in (0.0, 2.0, 4.0, end_s - 3)]
    found = cue_fits(Posteriors(np.arange(len(log)) * 0.04, log), cues)
    assert found[[0, 1, 3]].tolist() == [0, 0, 0] and found[2] < -5


def test_what_has_no_times_or_cannot_be_spoken_has_no_fit_and_the_worst_is_bounded():
    heard = Posteriors(np.arange(3) * 0.04, says("a"))
    found = cue_fits(heard, [Cue("...", 0.0, 1.0), Cue("hello", 0.0, 1.0), Cue("a"), Cue("a", 0.0, 1.0)])
    assert np.isnan(found[[0, 2]]).all() and found[[1, 3]].tolist() == [WORST_FIT, 0]


def test_a_cue_reads_the_frames_under_it_with_a_margin():
    posteriors = Posteriors(np.arange(20) + 0.5, torch.arange(20.0)[:, None])
    assert posteriors.between(5.1, 6.9)[:, 0].tolist() == [3, 4, 5, 6, 7, 8]


SPEECH = SpeechConfig(n_mels=8, frames=40, width=16, heads=2, layers=2, ffn=8, halve_after=1)


def test_each_segment_is_heard_by_itself_with_zeros_beyond_its_end():
    torch.manual_seed(0)
    head = AlignmentHead(16, AlignmentConfig(hidden=8)).eval()
    frames = [torch.randn(n, 16) for n in (4, 10, 1)] * 7
    found = posteriors(head, frames, [1600 * 100 * i for i in range(21)], SPEECH, 160)
    padded = torch.cat([frames[0], torch.zeros(6, 16)])
    assert torch.allclose(found.log[:4], head(padded[None])[0, :4], atol=1e-6)
    assert torch.allclose(found.log[4:14], head(frames[1][None])[0], atol=1e-6)
    assert found.middle_s[:6].round(3).tolist() == [0.02, 0.06, 0.1, 0.14, 10.02, 10.06]
    assert len(found.log) == len(found.middle_s) == 15 * 7
    assert len(posteriors(head, [], [], SPEECH, 160).between(0, 1)) == 0


def tiny(alignment):
    torch.manual_seed(0)
    config = HilbertConfig(
        SPEECH,
        TextConfig(vocabulary=6, positions=8, width=16, heads=2, layers=1, ffn=8, max_tokens=8),
        FusionConfig(audio_row=32, text_row=16, width=16, heads=2, pooling=4, contrast=4),
        ExpertsConfig(2, 4),
    )
    return Hilbert(config, alignment).eval()


INTEGRITY = {
    "labels": ["intact", "partly_swapped", "all_swapped"],
    "cue": {"weight": -1.0, "bias": 2.0},
    "document": {"summaries": ["mean", "smallest", "largest"], "weight": [[-1.0, 0, 0], [0, 1, 0], [0, 0, 1]]},
}
INTEGRITY["document"]["bias"] = [0.0, 1.0, 2.0]


@pytest.mark.parametrize("head", [None, AlignmentConfig(hidden=8)])
def test_a_checkpoint_carries_its_alignment_head_if_it_has_one(tmp_path, head):
    model = tiny(head)
    facts = {"alignment": {"hidden": 8, **settings(), "integrity": INTEGRITY}} if head else {}
    save(tmp_path, model, list("abcdef"), facts)
    again, _, config = load(tmp_path)
    assert (again.alignment is None) == (head is None) and ("alignment" in config) == (head is not None)
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float())


def test_the_golden_file_says_of_every_cue_what_is_known():
    model = tiny(AlignmentConfig(hidden=8))
    mask = torch.ones(2, 40)
    mask[1, 20:] = 0
    inputs = {"log_mel": torch.randn(2, 8, 40), "mel_mask": mask, "segments": [(0, 6400), (16000, 19200)]}
    config = {"alignment": {"integrity": INTEGRITY}, "log_mel": {"hop": 160}}
    cues = [Cue("ab", 0.0, 0.5), Cue("...", 0.0, 1.0), Cue("a"), Cue("c", 1.0, 1.2)]
    found = integrity_stages(model, config, inputs, cues, 2)
    assert found["alignment_log_posteriors"].shape == (10 + 5, 29)
    unknown = [False, True, True, False]
    assert found["cue_fits"].isnan().tolist() == found["cue_scores"].isnan().tolist() == unknown
    logits = 2 - found["cue_fits"][[0, 3]]
    assert torch.allclose(found["cue_scores"][[0, 3]], logits.sigmoid())
    of_document = torch.stack([-logits.mean(), logits.min() + 1, logits.max() + 2])
    assert torch.allclose(found["integrity"], of_document.softmax(0))
    assert integrity_stages(model, config, inputs, cues, 1)["alignment_log_posteriors"].shape == (10, 29)
    assert integrity_stages(model, config, inputs, cues[1:3], 2)["integrity"].isnan().all()


def test_the_head_gives_distributions_and_a_batch_changes_nothing():
    torch.manual_seed(0)
    head = AlignmentHead(16, AlignmentConfig(hidden=8)).eval()
    frames = torch.randn(2, 7, 16)
    log = head(frames)
    assert log.shape == (2, 7, 29) and torch.allclose(log.exp().sum(2), torch.ones(2, 7))
    assert torch.allclose(head(frames[:1]), log[:1], atol=1e-6)


def beep(classes, per=4):
    """Frames that say classes plainly: one direction a class, silence between."""
    frames = [torch.zeros(2, 12)]
    for c in classes:
        frames += [torch.eye(12)[c].repeat(per, 1) * 3, torch.zeros(2, 12)]
    return torch.cat(frames)


def test_the_head_learns_to_read_frames_and_a_stopped_training_is_the_same(tmp_path):
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, 9, rng.integers(2, 6)).tolist() for _ in range(40)]
    frames = [beep(t).half() for t in texts]
    ends = torch.tensor([0, *map(len, frames)]).cumsum(0)
    made = Clips(torch.cat(frames), torch.stack([ends[:-1], ends[1:]], 1), texts, torch.full((40,), NOBODY))
    head = train(made, 12, 0, tmp_path / "head.pt", "cpu", passes=60)
    with torch.inference_mode():
        assert collapsed(head(beep([3, 7, 7, 2])[None])[0].argmax(1).tolist()) == [3, 7, 7, 2]
    again = train(made, 12, 0, tmp_path / "head.pt", "cpu", passes=60)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters()))


def test_clips_are_heard_as_they_are_and_spoiled_and_kept(tmp_path):
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechConfig(frames=1000, width=16, heads=2, layers=1, ffn=8, halve_after=1)).eval()
    noise = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    spoken = [(noise, "Hello 12", 4), (noise[:16000], "bye", NOBODY), (noise[:16000], "too long a text " * 9, 0)]
    made = clips(tmp_path / "clips.safetensors", spoken, lambda: encoder, 0)
    assert made.session.tolist() == [4, 4, NOBODY, NOBODY]
    assert made.classes[0] == made.classes[1] == readings("hello twelve")[0]
    (a, b), (c, d) = made.spans[:2].tolist()
    assert not torch.equal(made.frames[a:b], made.frames[c:d])
    again = clips(tmp_path / "clips.safetensors", [], lambda: encoder, 0)
    assert torch.equal(again.frames, made.frames) and again.classes == made.classes
    assert made.select([2]).session.tolist() == [NOBODY]
