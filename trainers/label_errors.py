"""Which training labels look wrong: rows whose label a model that never saw them confidently denies. Pure.

Confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70): the threshold of a class is the mean out-of-fold
probability of the class over the rows that carry it. A row is suspect where some class reaches its threshold, the most
probable such class is not the row's label, and the label is not the most probable class of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

from schemas.arrays import Floats, Ints
from schemas.rules.statistics.calibration import fit_temperature, to_probabilities

FOLDS: Final = 4
_ABSENT: Final = -5.0  # score of a class without rows to learn from: a support vector's are mostly above -2


def out_of_fold(features: Any, labels: Ints, classes: int, seed: int, clusters: Sequence[str] = ()) -> Floats:
    """Return each row's class probabilities by linear models that learnt from the other folds (rows, classes).

    Support vectors, their scores made probabilities by one temperature: a tenth of the time of a logistic regression.

    Args:
        features: (rows, features), sparse.
        labels: index of each row's class (rows,); at least two rows, of two clusters.
        classes: how many there are.
        seed: of the folds.
        clusters: of each row: the rows of one, such as paraphrases, are in one fold; none: each row is alone.
    """
    scores = np.full((len(labels), classes), _ABSENT)
    group = _numbered(clusters) if clusters else np.arange(len(labels))
    folds = KFold(min(FOLDS, group.max() + 1), shuffle=True, random_state=seed)
    for _, out in folds.split(np.zeros(group.max() + 1)):
        is_out = np.isin(group, out)
        learnt, held_out = np.flatnonzero(~is_out), np.flatnonzero(is_out)
        present = np.unique(labels[learnt])
        if len(present) < 2:
            continue
        model = LinearSVC(C=1.0, random_state=0).fit(features[learnt], labels[learnt])
        found = np.asarray(model.decision_function(features[held_out]), dtype=np.float64)
        scores[np.ix_(held_out, present)] = found if found.ndim == 2 else np.stack([-found, found], axis=1)
    return to_probabilities(scores, fit_temperature(scores, labels))


def _numbered(clusters: Sequence[str]) -> Ints:
    """Return the number of each row's cluster, in the order in which they come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64)


def suspects(probabilities: Floats, labels: Ints) -> NDArray[np.int64]:
    """Return the suspect rows, the least probable label first.

    Args:
        probabilities: out-of-fold (rows, classes).
        labels: index of each row's class (rows,).
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    denied = (confident.max(axis=1) >= 0) & (confident.argmax(axis=1) != labels) & (own < probabilities.max(axis=1))
    flagged = np.flatnonzero(denied)
    return flagged[np.argsort(own[flagged], kind="stable")]
