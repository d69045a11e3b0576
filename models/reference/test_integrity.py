"""Swapped transcripts: their donors are strict, and the labels say what was swapped."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data import FOLDS, Session
from evaluate_integrity import beside, by_cross_attention, counts, cross_fitted, cue_auc, document_f1, with_interval
from integrity import Transcript, donors, like, may_stand_for, transcripts
from integrity_features import Scored, plain
from integrity_scores import IntegrityModel, Logistic
from word_pieces import Cue

TEXTS = ["one red apple on the table", "seven blue birds sing all day", "we never walk to school there"]


def session(number, age=20, group="10"):
    return Session(f"{number:04}", group, age, 0.3, {}, [], [])


def cues(texts):
    return [Cue(text, float(i), i + 1.0) for i, text in enumerate(texts)]


def test_donors_are_other_speakers_of_like_age_and_group():
    adult = session(1)
    assert like(adult, session(2, group="14"))
    assert (
        not like(adult, session(1)) and not like(adult, session(2, age=9)) and not like(adult, session(2, group="20"))
    )


def test_a_donors_text_has_about_as_many_words_and_shares_at_most_half():
    assert may_stand_for("a b c d", "e f g h i j k l m")
    assert not may_stand_for("a b c d", "e f g h i j k l m n")
    assert may_stand_for("A, b. c d", "a b x y")
    assert not may_stand_for("A, b. c d", "a b c y")


def test_each_session_gives_an_intact_a_partly_and_a_wholly_swapped_transcript():
    every = [session(i) for i in range(3)]
    own = [cues([f"{t} {w}" for w in words]) for t, words in zip(TEXTS, (["now", "then"], ["here"], ["x", "y", "z"]))]
    could = donors(every, own)
    found = transcripts(own, could, 0)
    assert [(t.session, t.label) for t in found] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)]
    for t in found:
        changed = [a.text != b.text for a, b in zip(t.cues, own[t.session])]
        assert changed == t.swapped
        assert [(a.start_s, a.end_s) for a in t.cues] == [(b.start_s, b.end_s) for b in own[t.session]]
        assert sum(changed) == {0: 0, 1: 1, 2: len(changed)}[t.label]
        for a, texts, swapped in zip(t.cues, could[t.session], t.swapped):
            assert not swapped or a.text in texts


def test_a_cue_without_donors_is_never_swapped():
    every = [session(0), session(1, age=8)]
    own = [cues(TEXTS), cues(TEXTS)]
    assert [t.label for t in transcripts(own, donors(every, own), 0)] == [0, 0]


def test_a_session_without_cues_gives_no_transcript():
    assert transcripts([[], cues(TEXTS)], [[], [[], [], []]], 0) == [Transcript(1, cues(TEXTS), [False] * 3, 0)]


def test_the_same_seed_swaps_alike_and_another_does_not():
    every = [session(i) for i in range(6)]
    own = [cues([f"{t} {i} {w}" for w in "abc"]) for i, t in enumerate(TEXTS * 2)]
    could = donors(every, own)
    assert transcripts(own, could, 1) == transcripts(own, could, 1) != transcripts(own, could, 2)


def test_plain_texts_have_no_punctuation_and_no_case():
    assert plain("It's 1,108: forty-two!") == "its 1108 fortytwo"


def made_up(count, seed):
    """Documents of five cues whose first feature says what was swapped."""
    rng = np.random.default_rng(seed)
    features, swapped, labels = [], [], []
    for i in range(count):
        which = np.array([[False] * 5, [False, True, False, False, True], [True] * 5][i % 3])
        features.append(np.stack([np.where(which, -8.0, -2.0) + rng.normal(0, 1, 5), rng.normal(5, 1, 5)], 1))
        swapped.append(which)
        labels.append(i % 3)
    return features, swapped, labels


def test_the_scores_find_swapped_cues_and_the_class_of_the_document():
    model = IntegrityModel.fit(*made_up(60, 0))
    features, swapped, labels = made_up(30, 1)
    assert all(((model.cue_scores(f) > 0.5) == s).mean() >= 0.8 for f, s in zip(features, swapped))
    found = [model.probabilities(f) for f in features]
    assert np.allclose([p.sum() for p in found], 1)
    assert np.mean([p.argmax() == label for p, label in zip(found, labels)]) > 0.9


def test_a_logistic_model_on_plain_features_is_the_one_that_was_fitted_on_scaled_ones():
    rng = np.random.default_rng(0)
    x = rng.normal([100, -3], [20, 0.1], (200, 2))
    y = (x[:, 0] - 100) / 20 + (x[:, 1] + 3) / 0.1 > 0
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    assert np.allclose(Logistic.fit(x, y, False).logits(x)[:, 0], fitted.decision_function(x))


def test_scores_survive_the_checkpoint():
    (features, swapped, labels), others = made_up(60, 0), made_up(30, 1)[0]
    model = IntegrityModel.fit([f[:, :1] for f in features], swapped, labels)
    again = IntegrityModel.from_dict(model.to_dict())
    features = [f[:, :1] for f in others]
    assert all(np.allclose(model.cue_scores(f), again.cue_scores(f), rtol=1e-12) for f in features)
    assert all(np.allclose(model.probabilities(f), again.probabilities(f), rtol=1e-12) for f in features)
    assert model.to_dict()["cue"]["weight"] < 0 and np.shape(model.to_dict()["document"]["bias"]) == (3,)


def scored(seed):
    result = []
    for fold in range(FOLDS):
        for features, swapped, label in zip(*made_up(12, seed + fold)):
            result.append(Scored(Transcript(len(result), [], swapped.tolist(), label), features, fold))
    return result


def test_each_fold_is_judged_by_what_the_training_conditions_of_the_others_taught():
    conditions = {name: scored(10 * i) for i, name in enumerate(("whole", "noisy", "telephone"))}
    found = cross_fitted(conditions)
    assert counts(found["whole"]) == {"sessions": 60, "cues": 300, "swapped": 140, "documents": [20, 20, 20]}
    for name in conditions:
        assert cue_auc(found[name]) > 0.99 and document_f1(found[name]) > 0.9
    for s in conditions["whole"] + conditions["telephone"]:
        if s.fold == 0:
            s.features = -s.features  # what only one fold says, or no training condition, teaches the others nothing
    again = cross_fitted(conditions)
    assert all(cue_auc([d for d in again[name] if d.session < 12]) < 0.1 for name in ("whole", "telephone"))
    assert [d.decided for d in again["noisy"] if d.session < 12] == [d.decided for d in found["noisy"][:12]]


def test_an_interval_over_sessions_holds_what_all_of_them_give():
    found = cross_fitted({"whole": scored(0), "noisy": scored(0)})["whole"]
    low, high = with_interval(document_f1, found)["interval"]
    assert low <= document_f1(found) <= high


def test_what_cross_attention_adds_is_judged_beside_what_it_says_alone():
    conditions = {name: scored(10 * i) for i, name in enumerate(("whole", "noisy"))}
    for documents in conditions.values():
        for s in documents:
            s.features = np.random.default_rng(s.transcript.session).normal(size=(len(s.features), 1))
    read = {name: [np.array(s.transcript.swapped) * 1.0 for s in documents] for name, documents in conditions.items()}
    report = by_cross_attention(conditions, read, cross_fitted(conditions))
    assert report["whole"]["alone"]["cue_auc"]["mean"] == report["noisy"]["combined"]["cue_auc"]["mean"] == 1
    low, high = report["whole"]["combined"]["cue_auc_minus_alignment"]["interval"]
    assert 0.3 < low <= report["whole"]["combined"]["cue_auc_minus_alignment"]["mean"] <= high < 0.7


def test_another_encoder_is_worth_what_it_says_and_the_first_what_it_says_more():
    conditions = {name: scored(10 * i) for i, name in enumerate(("whole", "noisy"))}
    found = cross_fitted(conditions)
    for documents in conditions.values():
        for s in documents:
            s.features = np.random.default_rng(s.transcript.session).normal(size=(len(s.features), 1))
    deaf = cross_fitted(conditions)
    for name, e in beside(deaf, found).items():
        for measure, statistic in (("cue_auc", cue_auc), ("macro_f1", document_f1)):
            assert e[measure]["mean"] == round(statistic(deaf[name]), 4)
            more, (low, high) = statistic(found[name]) - statistic(deaf[name]), e[f"{measure}_difference"]["interval"]
            assert 0 < low <= e[f"{measure}_difference"]["mean"] == round(more, 3) <= high
    assert all(e["macro_f1_difference"]["mean"] == 0 for e in beside(found, found).values())
