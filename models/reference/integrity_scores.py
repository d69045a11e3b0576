"""From features of cues to the score of each cue and the class of the document: two small logistic models.

A cue's score is the probability that its text was swapped. The document's class is read from its cues' logits: their
mean, smallest and largest. What ships has one feature: how well a cue's text fits (`alignment.cue_fits`).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from integrity import LABELS

SUMMARIES = ("mean", "smallest", "largest")


@dataclass
class Logistic:
    """softmax or sigmoid of W x + b on plain features, whatever they were scaled by when it was fitted."""

    weight: np.ndarray  # [C, K], one row for two classes
    bias: np.ndarray  # [C]

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, balanced: bool) -> "Logistic":
        """[N, K], [N]; `balanced`: every class counts alike."""
        scaler, model = StandardScaler(), LogisticRegression(class_weight="balanced" if balanced else None)
        make_pipeline(scaler, model).fit(x, y)
        weight = model.coef_ / scaler.scale_
        return cls(weight, model.intercept_ - weight @ scaler.mean_)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """[N, K] -> [N, C]"""
        return x @ self.weight.T + self.bias


def summaries(logits: np.ndarray) -> np.ndarray:
    """A document's cue logits [Q], Q at least 1 -> `SUMMARIES` [3]"""
    return np.array([logits.mean(), logits.min(), logits.max()])


@dataclass
class IntegrityModel:
    cue: Logistic
    document: Logistic

    @classmethod
    def fit(cls, features: list[np.ndarray], swapped: list[np.ndarray], labels: list[int]) -> "IntegrityModel":
        """Of each document its cues' features [Q, K], which were swapped [Q], and its label."""
        cue = Logistic.fit(np.concatenate(features), np.concatenate(swapped), balanced=True)
        rows = np.stack([summaries(cue.logits(f)[:, 0]) for f in features])
        return cls(cue, Logistic.fit(rows, np.array(labels), balanced=True))

    def cue_scores(self, features: np.ndarray) -> np.ndarray:
        """[Q, K] -> probability that each cue was swapped [Q]"""
        return 1 / (1 + np.exp(-self.cue.logits(features)[:, 0]))

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[Q, K] -> `integrity.LABELS` [3]"""
        logits = self.document.logits(summaries(self.cue.logits(features)[:, 0])[None])[0]
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def to_dict(self) -> dict:
        """As a checkpoint holds it, with one feature."""
        cue = {"weight": self.cue.weight.item(), "bias": self.cue.bias.item()}
        document = {"weight": self.document.weight.tolist(), "bias": self.document.bias.tolist()}
        return {"labels": LABELS, "cue": cue, "document": {"summaries": list(SUMMARIES), **document}}

    @classmethod
    def from_dict(cls, d: dict) -> "IntegrityModel":
        cue = Logistic(np.array([[d["cue"]["weight"]]]), np.array([d["cue"]["bias"]]))
        return cls(cue, Logistic(np.array(d["document"]["weight"]), np.array(d["document"]["bias"])))
