"""What the baselines of the synthetic consultations are fitted on and tested on."""

import numpy as np
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evaluate_interviews import judged_by, probed

LABELS = np.array([0, 1, 2] * 20)
FOLD_OF = np.stack([np.arange(60) // 3 % 5, np.arange(60) // 12])


def test_what_carries_the_label_is_found_and_what_is_drawn_is_not():
    rng = np.random.default_rng(0)
    told = LABELS[:, None] + rng.normal(0, 0.1, (60, 1))
    found = judged_by(LABELS, probed(StandardScaler, told, LABELS, FOLD_OF))
    assert found["macro_f1"]["mean"] > 0.95 and min(found["f1"]) > 0.9
    drawn = judged_by(LABELS, probed(StandardScaler, rng.normal(0, 1, (60, 1)), LABELS, FOLD_OF))
    assert drawn["macro_f1"]["mean"] < 0.5 and drawn["macro_auc"]["interval"][0] < 0.5


def test_no_fold_is_tested_by_what_met_it():
    """What names the document alone can only be learnt by heart: each is unknown where it is tested."""
    p = probed(lambda: OneHotEncoder(handle_unknown="ignore"), np.arange(60)[:, None], LABELS, FOLD_OF)
    for one, fold_of in zip(p, FOLD_OF):
        for fold in range(5):
            assert np.ptp(one[fold_of == fold], axis=0).max() < 1e-9
