"""Sessions as recordings, their scores by segment, and the folds of the cross-validation."""

import numpy as np

from corpus import gather
from data import FOLDS, RATE, Session, folds, join, places, segment_scores


def session(number: int, total: float) -> Session:
    scores = {name: [total] for name in ("total", "fluency", "accuracy", "prosodic")}
    utterances = [{"id": f"{number}", "samples": RATE, "prompt": "", "scores": scores}] * 2
    return Session(f"{number:04}", f"{number // 4:02}", 20, 0.5, {"total": total}, utterances, [])


def test_joined_utterances_lie_where_places_says():
    utterances = [np.full(n, value, np.float32) for n, value in ((100, 0.1), (300, 0.2), (50, 0.3))]
    samples, spans = join(utterances, 0.01, None, None)
    assert spans == places([100, 300, 50], 0.01) == [(0, 100), (260, 560), (720, 770)]
    assert len(samples) == 770 + 160
    assert all((samples[a:b] == u).all() for (a, b), u in zip(spans, utterances))
    assert not samples[100:260].any()


def test_a_segments_score_weights_its_utterances_by_their_share():
    one = session(0, 9.0)
    one.utterances = [
        {"scores": {name: [high, high + 2] for name in ("total", "fluency", "accuracy", "prosodic")}} for high in (6, 9)
    ]
    rows = segment_scores(one, [(0, 100), (200, 500)], [(0, 100), (75, 275), (120, 180)])
    assert rows[:, 0].tolist() == [-1.0, (25 * -1 + 75 * 2) / 100, 0.0]  # a pause has no score


def test_no_group_stands_in_two_folds_and_every_fold_has_each_class():
    every = [session(i, (7.0, 8.0, 8.0, 9.0)[i % 4]) for i in range(80)]
    fold_of = folds(every, 3)
    by_group = {s.group: {int(p) for p, t in zip(fold_of, every) if t.group == s.group} for s in every}
    assert all(len(found) == 1 for found in by_group.values())
    assert sorted(set(fold_of.tolist())) == list(range(FOLDS))
    for k in range(FOLDS):
        assert {s.mean_scores["total"] for s, p in zip(every, fold_of) if p == k} == {7.0, 8.0, 9.0}


def test_a_corpus_is_the_segments_of_its_recordings():
    rng = np.random.default_rng(0)
    silence = np.zeros(2 * RATE, np.float32)
    burst = rng.normal(0, 0.1, RATE).clip(-1, 1).astype(np.float32)
    found = gather([np.concatenate([silence, burst, silence, burst / 2, silence]), burst])
    assert len(found) == 3
    for samples, peak in zip(found, (1, 2, 1)):
        assert samples.dtype == np.int16 and abs(len(samples) / RATE - 1) < 0.5
        assert abs(np.abs(samples).max() * peak - np.abs(burst).max() * 32768) < 3
