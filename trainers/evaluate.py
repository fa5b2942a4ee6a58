"""How students do on the test rows: figures with intervals, and differences on the same rows.

Every figure is weighted by the inverse propensity and rests on the same cluster draws. `agreement` is with the
teacher's label; accuracy against human labels is another figure and not computed here. A cluster counts once, for its
copies say nothing new of the student; what they say of traffic is the request agreement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import binomtest

from schemas.arrays import Floats, Ints
from schemas.rules.statistics.intervals import ClusterBootstrap, Interval, interval
from trainers.snapshot import Rows

BINS: Final = 10  # of the calibration error


@dataclass(frozen=True)
class Scores:
    """One student on the test rows."""

    macro_f1: Interval
    agreement: Interval
    request_agreement: Interval | None  # a row counts for every request of its cluster; None: not counted
    calibration_error: Interval
    class_f1: dict[int, Interval]  # classes with a test row
    macro_f1_draws: Floats


@dataclass(frozen=True)
class ClassTest:
    """Exact McNemar test on the rows of one class: is the challenger worse there?"""

    better: int
    worse: int
    p_worse: float


@dataclass(frozen=True)
class Comparison:
    """Challenger minus reference, on the same rows and draws."""

    macro_f1: Interval
    agreement: Interval
    mcnemar_p: float  # two-sided, one row of each cluster
    classes: dict[int, ClassTest]


class Evaluator:
    """Scores students on one set of test rows."""

    def __init__(
        self, test: Rows, labels: int, seed: int, draws: int = 2_000, *, duplicates: Mapping[str, int] | None = None
    ) -> None:
        """Prepare the draws.

        Args:
            test: the rows.
            labels: size of the label set.
            seed: of the draws.
            draws: how many.
            duplicates: further requests by cluster; of one that is not named, none are known. None: not counted.
        """
        self.test, self._labels = test, labels
        self.requests = np.array([1 + (duplicates or {}).get(cluster, 0) for cluster in test.clusters])
        self.bootstrap = ClusterBootstrap(test.clusters, test.weights, draws=draws, seed=seed)
        self.by_requests = (
            None
            if duplicates is None
            else ClusterBootstrap(test.clusters, test.weights * self.requests, draws=draws, seed=seed)
        )
        self.class_rows = np.bincount(test.labels, minlength=labels)
        self._one_each = np.unique(np.asarray(test.clusters, dtype=object).astype(str), return_index=True)[1]

    def summary(self) -> str:
        """Return what the figures rest on, in words."""
        rows = f"{len(self.test)} test rows, effective n = {self.bootstrap.effective_n:.0f}"
        if self.by_requests is None:
            return f"{rows}; their duplicates were not counted"
        return f"{rows}; {self.requests.sum()} requests, effective n = {self.by_requests.effective_n:.0f}"

    def scores(self, probabilities: Floats) -> Scores:
        """Return a student's scores from its class probabilities (rows, labels)."""
        predicted = probabilities.argmax(axis=1)
        right = (predicted == self.test.labels).astype(np.float64)
        totals = self.bootstrap.totals(self._f1_columns(predicted))
        point, draws = _f1(totals.point[None]), _f1(totals.draws)
        macro, macro_draws = _macro(point), _macro(draws)
        return Scores(
            macro_f1=interval(float(macro[0]), macro_draws),
            agreement=self.bootstrap.mean(right),
            request_agreement=None if self.by_requests is None else self.by_requests.mean(right),
            calibration_error=self._calibration_error(probabilities.max(axis=1), right),
            class_f1={
                number: interval(float(point[0, number]), draws[:, number])
                for number in range(self._labels)
                if self.class_rows[number]
            },
            macro_f1_draws=macro_draws,
        )

    def compare(self, challenger: Floats, reference: Floats) -> Comparison:
        """Return challenger minus reference, both as class probabilities (rows, labels)."""
        one, other = self.scores(challenger), self.scores(reference)
        ours = challenger.argmax(axis=1) == self.test.labels
        theirs = reference.argmax(axis=1) == self.test.labels
        better, worse = (ours & ~theirs)[self._one_each], (theirs & ~ours)[self._one_each]
        labels = self.test.labels[self._one_each]
        return Comparison(
            macro_f1=interval(one.macro_f1.value - other.macro_f1.value, one.macro_f1_draws - other.macro_f1_draws),
            agreement=self.bootstrap.mean(ours.astype(np.float64) - theirs),
            mcnemar_p=_sign_test(int(better.sum()), int(worse.sum()), "two-sided"),
            classes={
                number: _class_test(int(better[labels == number].sum()), int(worse[labels == number].sum()))
                for number in range(self._labels)
                if self.class_rows[number]
            },
        )

    def confusion(self, probabilities: Floats) -> list[list[int]]:
        """Return counts of test rows, teacher's label by student's label."""
        matrix = np.zeros((self._labels, self._labels), dtype=np.int64)
        np.add.at(matrix, (self.test.labels, probabilities.argmax(axis=1)), 1)
        return [[int(count) for count in row] for row in matrix]

    def _f1_columns(self, predicted: Ints) -> Floats:
        """Per class and row: hit, predicted, labelled (rows, 3 * labels)."""
        said = np.eye(self._labels)[predicted]
        true = np.eye(self._labels)[self.test.labels]
        return np.concatenate([said * true, said, true], axis=1)

    def _calibration_error(self, confidence: Floats, right: Floats) -> Interval:
        bin_of = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        gaps = np.eye(BINS)[bin_of] * (right - confidence)[:, None]
        totals = self.bootstrap.totals(np.concatenate([gaps, np.ones((len(right), 1))], axis=1))
        point = float(np.abs(totals.point[:-1]).sum() / totals.point[-1])
        return interval(point, np.abs(totals.draws[:, :-1]).sum(axis=1) / totals.draws[:, -1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by Holm's step-down method, in their order."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[number]))
        adjusted[number] = highest
    return adjusted


def _f1(totals: Floats) -> Floats:
    """F1 of each class in each row of totals; NaN where the class has no labelled row."""
    hit, said, true = np.split(totals, 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(true > 0, 2 * hit / (said + true), math.nan))


def _macro(class_f1: Floats) -> Floats:
    return np.asarray(np.nanmean(class_f1, axis=1))


def _class_test(better: int, worse: int) -> ClassTest:
    return ClassTest(better, worse, _sign_test(worse, better, "greater"))


def _sign_test(first: int, second: int, alternative: str) -> float:
    if first + second == 0:
        return 1.0
    return float(binomtest(first, first + second, alternative=alternative).pvalue)
