"""The honest baseline: logistic regression on word and character n-grams, tuned and calibrated on validation.

A plain bag of words would flatter every student compared with it. It stands beside each student and is never nominated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from schemas.arrays import Floats
from schemas.job import JobSpec
from schemas.rules.statistics.calibration import fit_temperature, to_probabilities
from trainers.progress import Progress
from trainers.snapshot import Rows
from trainers.students.protocol import FrozenBase

_STRENGTHS: Final = (16.0, 64.0, 256.0)  # C
_ABSENT: Final = -30.0  # logit of a class without training rows


def ngrams() -> Any:
    """Return what turns texts into n-grams, weighted by TF-IDF: word 1-2 and character 2-5 (texts, n-grams), sparse."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=50_000, dtype=np.float32)
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2, max_features=100_000, dtype=np.float32
    )
    return FeatureUnion([("word", words), ("character", characters)])


class LinearStudent:
    """Word 1-2 and character 2-5 gram TF-IDF with multinomial logistic regression."""

    role = "baseline"
    name = "linear (word 1-2 + character 2-5 grams)"
    cost = 1.3

    def __init__(self, labels: int, seed: int) -> None:
        self._labels, self._seed = labels, seed
        self._temperature = 1.0
        self._features = ngrams()
        self._head: tuple[Floats, Floats] = np.zeros((0, 0)), np.zeros(0)
        self._classes = np.zeros(0, dtype=np.int64)

    @classmethod
    def of(cls, job: JobSpec, base: FrozenBase) -> Self:  # noqa: ARG003 - it stands on none
        """Return the baseline of a job."""
        return cls(len(job.labels), job.student.seed)

    def fit(self, train: Rows, validation: Rows, progress: Progress) -> None:
        """Learn one head for each C; keep the one that agrees most with the validation labels (ties: smaller C)."""
        features = self._features.fit_transform(train.texts)
        held_out = self._features.transform(validation.texts)
        best = -1.0
        for number, strength in enumerate(_STRENGTHS, start=1):
            # Each C from the start: a fit that begins where another ended stops there, six points short on 20 topics.
            model: Any = LogisticRegression(C=strength, max_iter=100, tol=1e-3, random_state=self._seed)
            model.fit(features, train.labels)
            agreement = float(np.average(model.predict(held_out) == validation.labels, weights=validation.weights))
            progress.say("baseline", number, len(_STRENGTHS), message=f"C={strength:g} agreement {agreement:.3f}")
            if agreement > best:
                best, self._head = agreement, (model.coef_.copy(), model.intercept_.copy())
        self._classes = np.unique(train.labels)
        self._temperature = fit_temperature(self._logits(validation.texts), validation.labels, validation.weights)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated class probabilities (texts, labels)."""
        return to_probabilities(self._logits(texts), self._temperature)

    def _logits(self, texts: Sequence[str]) -> Floats:
        weights, bias = self._head
        scores = np.asarray(self._features.transform(list(texts)) @ weights.T + bias, dtype=np.float64)
        if scores.shape[1] == 1:  # two classes: one score, for the second
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        logits = np.full((len(scores), self._labels), _ABSENT)
        logits[:, self._classes] = scores
        return logits
