"""Distillation: what the student starts from, and that a stopped run goes on as if it had not stopped."""

import pytest
import torch

from distill_speech import STUDENT, Batches, Distillation, augment, feature_scales, student_from_teacher, train
from hilbert import SpeechConfig, SpeechEncoder


def teacher():
    torch.manual_seed(0)
    return SpeechEncoder(SpeechConfig()).eval().requires_grad_(False)


def segments(count=4, seconds=1):
    generator = torch.Generator().manual_seed(1)
    n, frames = seconds * 16000, seconds * 25
    noise = torch.randn(count * n, generator=generator) * 3000
    return {
        "samples": noise.to(torch.int16),
        "spans": torch.tensor([(i * n, (i + 1) * n) for i in range(count)]),
        "third": torch.randn(count * frames, 384, generator=generator).half(),
        "fourth": torch.randn(count * frames, 384, generator=generator).half(),
        "frames": torch.tensor([(i * frames, (i + 1) * frames) for i in range(count)]),
        "scores": torch.tensor([[0.5] * 4, *[[float("nan")] * 4] * (count - 1)]),
    }


def test_the_student_keeps_the_teachers_convolutions_attention_and_strongest_neurons():
    source = teacher()
    source.layers[1].expand.bias[::2] = 50.0  # every second neuron of layer 1 is by far the strongest
    student = student_from_teacher(source, torch.randn(1, 80, 200))
    assert sum(p.numel() for p in student.parameters()) < 4.5e6
    assert torch.equal(student.conv2.weight, source.conv2.weight)
    assert torch.equal(student.layers[2].attention.key.weight, source.layers[2].attention.key.weight)
    assert torch.equal(student.layers[1].expand.weight, source.layers[1].expand.weight[::2])
    assert torch.equal(student.layers[1].contract.weight, source.layers[1].contract.weight[:, ::2])
    assert student.layers[1].expand.out_features == STUDENT.ffn


def test_augmentation_keeps_the_length_and_the_range():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        out = augment(torch.randn(1, 1600, generator=generator)[0].clamp(-1, 1), generator)
        assert out.shape == (1600,) and out.abs().max() <= 1


class Stopping(Batches):
    """Is interrupted at the start of its second epoch."""

    started = 0

    def epoch(self):
        self.started += 1
        if self.started == 2:
            raise KeyboardInterrupt
        return super().epoch()


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    data = segments()

    def run(batches, state):
        torch.manual_seed(0)
        model = Distillation(student_from_teacher(teacher(), torch.randn(1, 80, 200)), feature_scales(data))
        train(model, batches, 2, 1e-3, state, "cpu")
        return model.state_dict()

    whole = run(Batches([data], 2, 0), tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(Stopping([data], 2, 0), tmp_path / "stopped.pt")
    resumed = run(Batches([data], 2, 0), tmp_path / "stopped.pt")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
