"""What a student keeps of its teacher's rows."""

import numpy as np
import pytest
import torch

from data import FOLDS
from row_cosine import kept, row_cosine
from rows import Document


def test_rows_that_point_the_same_way_from_the_centre_are_kept_however_long_they_are():
    centre = torch.tensor([10.0, 10.0])
    theirs = centre + torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert kept(centre + 3 * (theirs - centre), theirs, centre) == pytest.approx(1)
    assert kept(centre + torch.tensor([[0.0, 1.0], [0.0, -1.0]]), theirs, centre) == pytest.approx(-0.5)


class Made:
    """Ten recordings whose audio rows are the teacher's, or their opposite where the student heard them."""

    testing_kinds = ("whole",)

    def folds(self, cut):
        return (np.arange(10) + cut) % FOLDS

    def documents(self, left_out=None):
        rng, result = torch.Generator().manual_seed(0), []
        centre = torch.cat([torch.randn(3, 4, generator=rng) for _ in range(10)]).mean(0)
        rng.manual_seed(0)
        for i in range(10):
            audio = torch.randn(3, 4, generator=rng)
            heard = left_out is not None and self.folds(left_out.cut)[i] != left_out.number
            audio = 2 * centre - audio if heard else audio
            text = torch.full((1, 2), float(i)) if left_out is None else torch.full((4, 2), float(i))
            result.append(Document(i, i, audio, [0.0] * 3, text, [0.0] * len(text), {}, torch.zeros(3, 0)))
        return {"whole": result}


def test_only_recordings_that_the_student_never_heard_count():
    report = row_cosine(Made(), Made(), (0, 1))
    assert report["whole"]["audio"] == {"mean": 1.0, "interval": [1.0, 1.0]}
    assert report["whole"]["text"]["mean"] == 1.0
