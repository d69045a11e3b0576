"""How much of its teacher's rows a student keeps, on recordings that it never heard.

Rows are compared less the teacher's mean row, without which any two rows of one encoder look alike.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data import FOLDS, Fold
from metrics import interval
from spoken_english import SpokenEnglish


def kept(ours: Tensor, theirs: Tensor, centre: Tensor) -> float:
    """The mean over rows of the cosine of a student's [S, R] to its teacher's [S, R], both less `centre` [R]"""
    return functional.cosine_similarity(ours - centre, theirs - centre).mean().item()


def row_cosine(student: SpokenEnglish, teacher: SpokenEnglish, cuts: Sequence[int]) -> dict:
    """{kind: {modality: mean and interval over recordings}}

    Of the audio each segment's row by the student that never met the fold; of a transcript its mean row, since its
    rows are of other tokens.
    """
    theirs, found = teacher.documents(), {}
    centres = {m: torch.cat([getattr(d, m) for d in theirs["whole"]]).mean(0) for m in ("audio", "text")}
    for cut in cuts:
        for number in range(FOLDS):
            fold = Fold(cut, number)
            inside, ours = student.folds(cut) == number, student.documents(fold)
            for kind in student.testing_kinds:
                for d in ours[kind]:
                    if inside[d.recording]:
                        t = theirs[kind][d.recording]
                        audio = kept(d.audio, t.audio, centres["audio"])
                        text = kept(d.text.mean(0, True), t.text.mean(0, True), centres["text"])
                        found.setdefault((kind, "audio"), {}).setdefault(d.recording, []).append(audio)
                        found.setdefault((kind, "text"), {}).setdefault(d.recording, []).append(text)
    report = {}
    for (kind, modality), of in found.items():
        values = np.array([np.mean(of[recording]) for recording in sorted(of)])
        statistic = {"mean": round(float(values.mean()), 3), "interval": interval(np.mean, values)}
        report.setdefault(kind, {})[modality] = statistic
    return report
