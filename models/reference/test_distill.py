"""Distillation: what the student starts from, what it hears, and what it is compared with."""

import numpy as np
import torch

from augment import Augmentation, by_telephone, faster, in_room, spoiled, with_noise
from compression import LeastSquares, compress
from distill_speech import STUDENT, Batches, Distillation, inputs
from hilbert import SpeechConfig, SpeechEncoder

SMALL = SpeechConfig(width=24, heads=2, layers=3, ffn=48)


def teacher(config=SMALL):
    torch.manual_seed(0)
    return SpeechEncoder(config).eval().requires_grad_(False)


def corpus(count=5, seconds=0.4):
    rng = np.random.default_rng(1)
    return [rng.normal(0, 3000, int(seconds * 16000)).astype(np.int16) for _ in range(count)]


def example():
    return [inputs([s.astype(np.float32) / 32768 for s in corpus()])]


def test_the_shipped_student_has_at_most_four_and_a_half_million_parameters():
    assert sum(p.numel() for p in SpeechEncoder(STUDENT).parameters()) <= 4.5e6


def test_a_student_of_the_teachers_size_starts_as_the_teacher():
    source = teacher()
    student = compress(source, SMALL, example())
    mel, mask = example()[0]
    assert torch.allclose(student(mel, mask), source(mel, mask), atol=2e-2)


def test_refitting_keeps_more_of_the_teacher_than_leaving_neurons_out():
    source = teacher()
    for layer in source.layers:
        layer.contract.weight.mul_(4)
    config = SpeechConfig(**{**vars(SMALL), "ffn": 24})
    refitted = compress(source, config, example())
    state = {k: v.clone() for k, v in source.state_dict().items()}
    for i in range(SMALL.layers):
        state[f"layers.{i}.expand.weight"] = state[f"layers.{i}.expand.weight"][:24]
        state[f"layers.{i}.expand.bias"] = state[f"layers.{i}.expand.bias"][:24]
        state[f"layers.{i}.contract.weight"] = state[f"layers.{i}.contract.weight"][:, :24]
    cut = SpeechEncoder(config).eval()
    cut.load_state_dict(state)
    mel, mask = example()[0]

    def error(student):
        return (student.hidden(mel, mask)[0][-1] - source.hidden(mel, mask)[0][-1]).square().mean()

    assert error(refitted) < 0.5 * error(cut)


def test_least_squares_finds_the_map_and_eliminates_the_inputs_that_it_does_not_use():
    torch.manual_seed(0)
    x = torch.randn(400, 12)
    weight = torch.randn(3, 12)
    weight[:, [2, 5, 6, 11]] = 0
    fit = LeastSquares(x, x @ weight.T + 0.5)
    chosen = fit.best(8)
    assert chosen.tolist() == [0, 1, 3, 4, 7, 8, 9, 10]
    found, bias = fit.solve(chosen)
    assert torch.allclose(found, weight[:, chosen], atol=1e-2) and torch.allclose(
        bias, torch.full((3,), 0.5), atol=1e-2
    )


def test_the_students_targets_are_the_teachers_frames_in_pairs_once_it_halves_them():
    source = teacher()
    config = SpeechConfig(**{**vars(SMALL), "ffn": 24, "halve_after": 2})
    model = Distillation(source, config, example())
    mel, mask = example()[0]
    targets, row = model.targets(source, mel, mask)
    layers, frames = source.hidden(mel, mask)
    assert [t.shape[1] for t in targets] == [mel.shape[2] // 2, mel.shape[2] // 2, mel.shape[2] // 4]
    assert torch.allclose(targets[2][:, 3], (layers[2][:, 6] + layers[2][:, 7]) / 2)
    real = targets[2][0, frames[0, ::2] > 0]
    assert torch.allclose(row[0], torch.cat([real.mean(0), real.std(0, correction=0)]), atol=1e-5)


def test_a_batch_depends_on_its_number_alone_and_a_pass_hears_every_segment_once():
    data = corpus(40)
    first, second = Batches(data, 7), Batches(data, 7)
    second[0]
    assert all(torch.equal(a, b) for a, b in zip(first[4], second[4]))
    assert not torch.equal(first[4][1], first[1][1])
    for epoch in (0, 1):
        heard = np.concatenate([first.chosen(epoch * first.a_pass() + i) for i in range(first.a_pass())])
        assert sorted(heard.tolist()) == list(range(40))


def test_the_teacher_hears_what_the_student_hears_without_noise_room_and_line():
    quiet = Augmentation(room=0, noise=0, telephone=0, level_db=(0, 0))
    clean, heard, mask = Batches(corpus(), 3, quiet)[0]
    assert torch.allclose(clean, heard, atol=1e-4) and mask.sum() > 0
    clean, heard, _ = Batches(corpus(), 3, Augmentation(noise=1.0))[0]
    assert clean.shape == heard.shape and not torch.allclose(clean, heard, atol=1e-2)


def test_augmentations_do_what_they_say():
    rng = np.random.default_rng(0)
    time = np.arange(16000) / 16000
    tone = (0.3 * np.sin(2 * np.pi * 400 * time)).astype(np.float32)

    def peak(samples):
        return np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples)

    assert len(faster(tone, 1.25)) == 12800 and abs(peak(faster(tone, 1.25)) - 500) < 2
    noise = with_noise(tone, 10, False, rng) - tone
    assert abs(10 * np.log10(np.square(tone).mean() / np.square(noise).mean()) - 10) < 0.1
    high = np.sin(2 * np.pi * 6000 * time).astype(np.float32)
    assert np.square(by_telephone(high)).mean() < 1e-3 * np.square(high).mean()
    assert np.square(by_telephone(tone) - tone).mean() < 1e-3 * np.square(tone).mean()
    click = np.zeros(8000, np.float32)
    click[100] = 0.5
    tail = in_room(click, 0.3, 0.3, rng)
    assert np.abs(tail[:100]).max() < 1e-6
    assert np.square(tail[101:1500]).sum() > 100 * np.square(tail[4000:]).sum() > 0
    for _ in range(20):
        out = spoiled(rng.normal(0, 0.5, 1600).clip(-1, 1).astype(np.float32), Augmentation(), rng)
        assert out.shape == (1600,) and out.dtype == np.float32 and np.abs(out).max() <= 1
