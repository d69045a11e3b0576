"""`integrity`: does this transcript belong to this recording? Cross-validation by group, in several conditions.

    python evaluate_integrity.py --data DIR [--against SPEECH ...] [--out ../spoken-english/integrity.json]

For each fold an alignment head is trained that never heard its speakers, on frames of a student that did not either,
and a fusion with a mismatch head that never met them. Scores are fitted on the other folds' transcripts of the training
conditions and judged in every condition; cross-attention in those of training alone. `--against` tells what alignment
is worth on the frames of other speech encoders, as the student's teacher, whisper-tiny.en.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import mismatch
from command import device, parser
from data import FOLDS
from integrity import LABELS
from integrity_features import CONDITIONS, DRAWS, TRAINING_CONDITIONS, Scored, fitted, scored
from metrics import auc, interval, macro_f1, paired_difference


@dataclass
class Judged:
    """One transcript, and what models that never met its speaker say of it."""

    session: int
    label: int
    decided: int
    swapped: np.ndarray  # [Q]
    scores: np.ndarray  # [Q] higher where a cue is rather swapped


def cross_fitted(conditions: dict[str, list[Scored]]) -> dict[str, list[Judged]]:
    """Each fold's transcripts, judged by what the other folds' say in the training conditions."""
    result = {name: [] for name in conditions}
    for fold in range(FOLDS):
        model = fitted([s for name in TRAINING_CONDITIONS for s in conditions[name] if s.fold != fold])
        for name, documents in conditions.items():
            for s in documents:
                if s.fold == fold:
                    decided = int(model.probabilities(s.features).argmax())
                    result[name].append(judged(s, decided, model.cue_scores(s.features)))
    return result


def judged(s: Scored, decided: int, scores: np.ndarray) -> Judged:
    return Judged(s.transcript.session, s.transcript.label, decided, np.array(s.transcript.swapped), scores)


def cue_auc(documents: list[Judged]) -> float:
    return auc(*(np.concatenate([getattr(d, name) for d in documents]) for name in ("swapped", "scores")))


def document_f1(documents: list[Judged]) -> float:
    return macro_f1(np.array([d.label for d in documents]), np.array([d.decided for d in documents]))


Statistic = Callable[[list[Judged]], float]


def by_session(documents: list[Judged]) -> np.ndarray:
    """What the bootstrap draws: the transcripts of each session. [sessions] of lists"""
    every = sorted({d.session for d in documents})
    result = np.empty(len(every), object)
    result[:] = [[d for d in documents if d.session == session] for session in every]
    return result


def flat(drawn: np.ndarray) -> list[Judged]:
    return [d for documents in drawn for d in documents]


def with_interval(statistic: Statistic, documents: list[Judged]) -> dict:
    """Over all transcripts, with the interval over sessions."""
    low_high = interval(lambda drawn: statistic(flat(drawn)), by_session(documents))
    return {"mean": round(statistic(documents), 4), "interval": low_high}


def worth(documents: list[Judged]) -> dict:
    return {"cue_auc": with_interval(cue_auc, documents), "macro_f1": with_interval(document_f1, documents)}


def difference(statistic: Statistic, first: list[Judged], second: list[Judged]) -> dict:
    """`statistic` of the first minus that of the second, sessions drawn alike for both."""
    one, two = (by_session(documents)[None] for documents in (first, second))  # [1, sessions]
    return paired_difference(lambda _, drawn: statistic(flat(drawn)), one[0], one, two)


def counts(documents: list[Judged]) -> dict:
    swapped = np.concatenate([d.swapped for d in documents])
    return {
        "sessions": len({d.session for d in documents}),
        "cues": len(swapped),
        "swapped": int(swapped.sum()),
        "documents": np.bincount([d.label for d in documents], minlength=len(LABELS)).tolist(),
    }


def by_cross_attention(conditions: dict[str, list[Scored]], read: dict[str, list], found: dict[str, list]) -> dict:
    """`read`: of each transcript its cues' logits by the fusion; `found`: what alignment makes of it."""
    alone, both = {}, {}
    for name, logits in read.items():
        pairs = list(zip(conditions[name], logits, strict=True))
        alone[name] = [replace(s, features=of_cues[:, None]) for s, of_cues in pairs]
        both[name] = [replace(s, features=np.column_stack([s.features, of_cues])) for s, of_cues in pairs]
    alone, both = cross_fitted(alone), cross_fitted(both)
    return {
        name: {
            "alone": worth(alone[name]),
            "combined": worth(both[name])
            | {
                "cue_auc_minus_alignment": difference(cue_auc, both[name], found[name]),
                "macro_f1_minus_alignment": difference(document_f1, both[name], found[name]),
            },
        }
        for name in read
    }


def beside(other: dict[str, list[Judged]], found: dict[str, list[Judged]]) -> dict:
    """By condition what another encoder is worth, and what `found` is worth more."""
    return {
        name: worth(documents)
        | {
            "cue_auc_difference": difference(cue_auc, found[name], documents),
            "macro_f1_difference": difference(document_f1, found[name], documents),
        }
        for name, documents in other.items()
    }


def evaluate(speech: str, against: Sequence[str], data: Path, cache: Path, seed: int, device: str) -> dict:
    where, names = (data, cache, seed, device), tuple(CONDITIONS)
    conditions = scored(speech, *where, names)
    found = cross_fitted(conditions)
    alignment = {name: counts(documents) | worth(documents) for name, documents in found.items()}
    read = mismatch.held_out(speech, *where, TRAINING_CONDITIONS)
    cross_attention = by_cross_attention(conditions, read, found)
    others = {other: beside(cross_fitted(scored(other, *where, names)), found) for other in against}
    return {
        "speech": speech,
        "draws": DRAWS,
        "alignment": alignment,
        "cross_attention": cross_attention,
        "against": others,
    }


def main():
    command = parser(__doc__, "../spoken-english/integrity.json")
    command.add_argument("--speech", default="student", help="or another of backbones.SPEECH that a bundle can hold")
    command.add_argument("--against", nargs="+", default=[], help="others of them, compared with it")
    a = command.parse_args()
    report = evaluate(a.speech, a.against, a.data, a.cache, a.seed, device())
    a.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
