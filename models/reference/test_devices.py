"""Devices: two processes are one, and a GPU computes what a CPU does."""

import os
import socket
from pathlib import Path

import pytest
import soundfile
import torch
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

import devices
import transcript
from checkpoint import load
from golden import documents, inputs_of, integrity_stages, stages
from loop import Schedule, my_share, run
from targets import Goal
from test_train_fusion import CONFIG, TARGETS
from test_train_fusion import documents as drawn_documents
from train_fusion import Schedule as FusionSchedule
from train_fusion import Trained, Views, fused_in_chunks, representation_loss, task_loss
from variants import Variant

ROOT = Path(__file__).parents[2]
PROCESSES = 2
LOOSE = 1e-5


def fusion_losses() -> dict[str, torch.Tensor]:
    """Both stages' losses on nine documents, an uneven share, and their gradients; nothing is drawn at random."""
    drawn, schedule = drawn_documents(9), FusionSchedule()
    torch.manual_seed(0)
    model = Trained(CONFIG, Variant(), 4).eval()
    views = Views(drawn, schedule, Variant(), torch.Generator())
    goals, result = [Goal(t, drawn) for t in TARGETS], {}
    for name, loss_of in (
        ("first", lambda d: representation_loss(model, fused_in_chunks(model, d, views.plain), schedule)),
        ("second", lambda d: task_loss(model, fused_in_chunks(model, d, views.plain), schedule, goals)),
    ):
        model.zero_grad()
        step_loss = devices.averaged(model, loss_of, some_unused=True)
        loss = step_loss(drawn)
        loss.backward()
        result[name] = loss.detach()
        grads = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
        result |= {f"{name}/{k}": g.clone() for k, g in grads.items() if g.any()}
    return result


class Numbers(Dataset):
    def __getitem__(self, step):
        return (torch.randn(7, 4, generator=torch.Generator().manual_seed(step)),)


def looped(folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss_of(x):
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        return loss, {"error": loss.item()}

    run("test", model, Numbers(), loss_of, Schedule(steps=12, rate=0.05, warm_up=2), folder / "loop.pt")
    return {f"loop/{k}": v for k, v in model.state_dict().items()}


def everything(folder: Path) -> dict[str, torch.Tensor]:
    return fusion_losses() | looped(folder)


def process(rank: int, port: int, folder: Path):
    torch.set_num_threads(1)
    os.environ |= {"WORLD_SIZE": str(PROCESSES), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    assert devices.start() == "cpu" and devices.count() == PROCESSES
    assert devices.agreed(rank) == 0
    torch.save(everything(folder), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_losses_gradients_and_weights_of_one(tmp_path):
    (tmp_path / "one").mkdir()
    alone = everything(tmp_path / "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(process, (port, tmp_path), PROCESSES)
    for rank in range(PROCESSES):
        together = torch.load(tmp_path / f"{rank}.pt")
        assert together.keys() == alone.keys() and len(alone) > 60
        for name, value in alone.items():
            assert (together[name] - value).abs().max() <= LOOSE * max(1, value.abs().max()), name
    assert sum(1 for _ in tmp_path.glob("*.jsonl")) == 1


def test_a_gpu_distils_in_float32_and_a_cpu_as_what_ships_was_unless_it_is_said(monkeypatch):
    monkeypatch.delenv(devices.CHOSEN, raising=False)
    assert (devices.precision("cuda"), devices.precision("cpu")) == ("float32", "bfloat16")
    x = torch.ones(2, 2)
    for chosen, found in ((None, torch.bfloat16), ("float32", torch.float32)):
        if chosen:
            monkeypatch.setenv(devices.CHOSEN, chosen)
        with devices.activations("cpu"):
            assert (x @ x).dtype == found


def test_a_batch_smaller_than_the_processes_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "count", lambda: 4)
    with pytest.raises(ValueError, match=r"a batch of \[3\] examples, expected one number, at least 4"):
        my_share([torch.zeros(3, 2)])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_golden_stage_is_computed_on_the_cpu_and_on_a_gpu(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: that it agrees with the CPU was not tested")
    if device == "cuda":
        devices.start()
    model, vocabulary, config = load(ROOT / "models/spoken-english/checkpoint")
    golden = load_file(ROOT / "models/spoken-english/golden.safetensors")
    samples, _ = soundfile.read(ROOT / "examples/data/session.wav", dtype="float32")
    cues = transcript.read(ROOT / "examples/data/session.srt")
    model, compared = model.to(device), 0
    for name, (span, of_document) in documents(samples, cues).items():
        with torch.inference_mode():
            inputs = inputs_of(samples, span, of_document, vocabulary, config)
            found = stages(model, config, inputs)
            if span and of_document:
                kept = 1 if name == "typical" else len(inputs["segments"])
                found |= integrity_stages(model, config, inputs, of_document, kept)
        assert {k.removeprefix(f"f32/{name}/") for k in golden if k.startswith(f"f32/{name}/")} == found.keys()
        for stage, value in found.items():
            unknown = golden[f"f32/{name}/{stage}"].isnan()
            difference = (value.cpu() - golden[f"f32/{name}/{stage}"])[~unknown].abs().max() if (~unknown).any() else 0
            assert difference <= 1e-4 and torch.equal(value.cpu().isnan(), unknown), f"{name}/{stage}: {difference}"
            compared += value.numel()
    assert compared > 10_000
