"""The figures of a gold report: agreement and accuracy separately, each with interval, n and effective n. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from deploy.commands.gold.estimates import Calibration, WeightedRows, accuracy, calibration, prediction_powered
from deploy.commands.gold.joined import Human, Taught
from schemas.arrays import Floats, Ints
from schemas.records import Ceiling
from schemas.rules.anchors import is_anchor
from schemas.rules.statistics.intervals import Interval

LEAST_ROWS: Final = 30  # with probabilities, on either side: below, a temperature is a guess


@dataclass(frozen=True)
class GoldFigure:
    """One figure and its rows."""

    name: str
    interval: Interval
    n: int
    effective_n: float
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What a gold report says."""

    gold: int  # texts with human labels
    tied: int  # of them, how many have no most frequent label: left out
    unmatched: int  # of them, how many the teacher never labelled: left out
    anchors: int  # of the rows that are left
    figures: list[GoldFigure]
    calibration: Calibration | None  # None: too few rows with probabilities
    confusions: list[tuple[str, str, int]]  # human label, teacher's label, rows: the most frequent first


def report(
    workload: str,
    labels: Sequence[str],
    gold: Mapping[str, Human],
    teacher: Mapping[str, Taught],
    student: Mapping[str, str] | None = None,
    ceiling: Ceiling | None = None,
) -> Report:
    """Return the figures.

    Args:
        workload: its name.
        labels: its label set.
        gold: human labels by text.
        teacher: teacher labels by text.
        student: a student's label by record id, on test rows; None: only the teacher is judged.
        ceiling: the teacher's self-agreement; None: not measured.
    """
    certain = {key: human.label for key, human in gold.items() if human.label in labels}
    both = sorted(key for key in certain if key in teacher and teacher[key].label in labels)
    anchors = [key for key in both if is_anchor(workload, key)]
    figures = [*_humans(gold), *_teacher(certain, [teacher[key] for key in anchors]), *_again(ceiling)]
    if student is not None:
        figures += _student(certain, teacher, student)
    confusions: dict[tuple[str, str], int] = {}
    for key in both:
        pair = (str(certain[key]), teacher[key].label)
        confusions[pair] = confusions.get(pair, 0) + (pair[0] != pair[1])
    return Report(
        gold=len(gold),
        tied=sum(human.label is None for human in gold.values()),
        unmatched=sum(key not in teacher for key in certain),
        anchors=len(anchors),
        figures=figures,
        calibration=_calibration(workload, labels, certain, [teacher[key] for key in both]),
        confusions=sorted(((*pair, count) for pair, count in confusions.items() if count), key=lambda one: -one[2]),
    )


def _humans(gold: Mapping[str, Human]) -> list[GoldFigure]:
    several = [human for human in gold.values() if human.annotators > 1]
    if not several:
        return []
    agreed = np.array([human.agreed for human in several], dtype=np.float64)
    sample = WeightedRows(np.ones(len(several)), [human.text_key for human in several])
    note = "the ceiling of any accuracy against them"
    return [GoldFigure("annotators' agreement", accuracy(agreed, sample), len(several), sample.effective_n, note)]


def _teacher(certain: Mapping[str, str | None], rows: Sequence[Taught]) -> list[GoldFigure]:
    if not rows:
        return []
    sample = _sample(rows)
    right = np.array([certain[row.text_key] == row.label for row in rows], dtype=np.float64)
    found = accuracy(right, sample)
    return [GoldFigure("teacher's accuracy", found, len(rows), sample.effective_n, "on anchors")]


def _again(ceiling: Ceiling | None) -> list[GoldFigure]:
    if ceiling is None:
        return []
    found = Interval(ceiling.self_agreement, ceiling.low, ceiling.high)
    note = f"no student can agree with it above {ceiling.ceiling:.3f}"
    return [GoldFigure("teacher's self-agreement", found, ceiling.rows, ceiling.effective_n, note)]


def _student(
    certain: Mapping[str, str | None], teacher: Mapping[str, Taught], student: Mapping[str, str]
) -> list[GoldFigure]:
    """Judge a student where it was tested: agreement on all rows, accuracy on gold rows, and both combined."""
    tested = [row for row in teacher.values() if row.record_id in student]
    gold = [row for row in tested if row.text_key in certain]
    many = [row for row in tested if row.text_key not in certain]
    agrees = _agreement(tested, student)
    if not tested:
        return []
    sample = _sample(tested)
    figures = [GoldFigure("student's agreement", accuracy(agrees, sample), len(tested), sample.effective_n)]
    if not gold:
        return figures
    rows = _sample(gold)
    right = np.array([certain[row.text_key] == student[row.record_id] for row in gold], dtype=np.float64)
    figures.append(
        GoldFigure("student's accuracy", accuracy(right, rows), len(gold), rows.effective_n, "gold rows alone")
    )
    if many and len(set(rows.clusters)) > 1:
        found = prediction_powered(right, _agreement(gold, student), rows, _agreement(many, student), _sample(many))
        note = f"prediction-powered by {len(many)} more rows"
        figures.append(GoldFigure("student's accuracy", found, len(gold), rows.effective_n, note))
    return figures


def _agreement(rows: Sequence[Taught], student: Mapping[str, str]) -> Floats:
    return np.array([student[row.record_id] == row.label for row in rows], dtype=np.float64)


def _calibration(
    workload: str, labels: Sequence[str], certain: Mapping[str, str | None], rows: Sequence[Taught]
) -> Calibration | None:
    sure = [row for row in rows if row.probabilities is not None and row.probabilities.keys() == set(labels)]
    sides = [[row for row in sure if is_anchor(workload, row.text_key) == anchor] for anchor in (False, True)]
    if min(map(len, sides)) < LEAST_ROWS:
        return None

    def arrays(side: Sequence[Taught]) -> tuple[Floats, Ints, Floats]:
        probabilities = np.array([[(row.probabilities or {})[label] for label in labels] for row in side])
        classes = np.array([labels.index(str(certain[row.text_key])) for row in side], dtype=np.int64)
        return probabilities, classes, _sample(side).weights

    return calibration(arrays(sides[0]), arrays(sides[1]))


def _sample(rows: Sequence[Taught]) -> WeightedRows:
    return WeightedRows(np.array([row.weight for row in rows]), [row.cluster_id for row in rows])
