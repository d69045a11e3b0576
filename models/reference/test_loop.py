"""The training loop: it learns, and a run that is killed goes on as if it had not been."""

import json

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from loop import Schedule, run

SCHEDULE = Schedule(steps=40, rate=0.05, warm_up=4)


class Numbers(Dataset):
    def __init__(self, stop_at=None):
        self.stop_at = stop_at

    def __getitem__(self, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        return (torch.randn(16, 4, generator=torch.Generator().manual_seed(step)),)


def trained(path, stop_at=None, save_every_s=0.0, workers=0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def loss_of(x):
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        return loss, {"error": loss.item()}

    run("test", model, Numbers(stop_at), loss_of, SCHEDULE, path, workers, save_every_s)
    return model


def curve(path):
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


@pytest.mark.parametrize("save_every_s", [0.0, 1e9])
def test_a_run_that_is_killed_and_resumed_ends_as_one_that_was_not(tmp_path, save_every_s):
    whole = trained(tmp_path / "whole.pt")
    for stop_at in (17, 31):
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "stopped.pt", stop_at, save_every_s)
    resumed = trained(tmp_path / "stopped.pt")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters()))
    assert curve(tmp_path / "whole.pt") == curve(tmp_path / "stopped.pt")


def test_batches_made_ahead_by_other_processes_change_nothing(tmp_path):
    here, ahead = trained(tmp_path / "here.pt"), trained(tmp_path / "ahead.pt", workers=2)
    assert all(torch.equal(a, b) for a, b in zip(here.parameters(), ahead.parameters()))


def test_the_loss_falls_and_the_curve_says_so(tmp_path):
    model = trained(tmp_path / "model.pt")
    lines = curve(tmp_path / "model.pt")
    assert lines[-1]["step"] == SCHEDULE.steps and lines[-1]["error"] < 0.5 * lines[0]["error"]
    assert not model.training


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path):
    whole = trained(tmp_path / "model.pt")
    again = trained(tmp_path / "model.pt", stop_at=0)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters()))


def test_the_rate_warms_up_and_decays():
    factors = [SCHEDULE.factor(s) for s in range(SCHEDULE.steps)]
    assert factors[0] == 0.25 and max(factors) <= 1 + 1e-3 and factors[-1] < 0.01
    assert factors[4:] == sorted(factors[4:], reverse=True)
