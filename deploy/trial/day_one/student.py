"""What the honest baseline learns from the log's recorded answers, and what it answers to requests it never saw.

Clusters are split by the project's own hash, so near duplicates are never on both sides. Learnt from: the first of
each training cluster. Tuned on the validation rows. The threshold of takeover.py is chosen on the validation and
certification rows. Every figure is measured on the test rows, by which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deploy.trial.day_one.bounds import ShareFigure, cluster_effective_n
from deploy.trial.day_one.survey import NO_LABEL, LogRequest, RequestFate, Tokens, by_cluster
from schemas.arrays import Floats, Ints
from schemas.records import Split
from schemas.rules.splits import split_of
from schemas.rules.statistics.intervals import METHOD
from schemas.workload import Workload
from trainers.evaluate import Evaluator
from trainers.progress import Progress
from trainers.snapshot import Rows
from trainers.students.linear import LinearStudent

# Characters that are learnt from at most. The three fits of 4,000 rows take 13 s of a core on banking77 (58 characters,
# 77 labels) and 46 s on tweets (134 characters, 20 labels, harder to separate): noise costs more than labels do.
CHARACTERS: Final = 1_000_000
MANY: Final = 100  # labels; with more, proportionally fewer characters
LEAST: Final = 2_000  # rows that are learnt from at any cost


@dataclass(frozen=True)
class Said:
    """What the student says of some requests, beside what was recorded."""

    clusters: list[str]
    label: Ints  # recorded; NO_LABEL where the answer is outside the label set
    said: Ints
    confidence: Floats  # calibrated, of what it says
    first: NDArray[np.bool_]  # of its cluster
    tokens: list[Tokens | None]

    def __len__(self) -> int:
        return len(self.clusters)

    @property
    def agreed(self) -> NDArray[np.bool_]:
        """Where it says what was recorded; never where the recorded answer is outside the label set."""
        return np.asarray(self.said == self.label)


@dataclass(frozen=True)
class Learnt:
    """A student, and the rows that it learnt from and did not."""

    student: LinearStudent
    sides: dict[Split, list[LogRequest]]
    rows: int  # learnt from
    could: int  # training rows, without the limit of time

    def say(self, requests: Sequence[LogRequest]) -> Said:
        """Return what the student says of requests."""
        return _said(self.student.probabilities([request.text for request in requests]), requests)


@dataclass(frozen=True)
class ClassFigure:
    """F1 of one class on the test rows."""

    label: str
    n: int
    f1: ShareFigure | None  # None: not judged, for too few test rows


@dataclass(frozen=True)
class StudentFigures:
    """How the student did."""

    name: str
    learnt_from: int
    could_learn_from: int
    agreement: ShareFigure  # test rows with a label; each request counts the same
    macro_f1: ShareFigure
    calibration_error: ShareFigure
    classes: list[ClassFigure]  # most test rows first


@dataclass(frozen=True)
class Trial:
    """A student's figures, and its answers on the rows of the figures and of the threshold."""

    figures: StudentFigures
    choosing: Said  # validation and certification rows
    test: Said


def teaching(requests: Sequence[LogRequest]) -> list[LogRequest]:
    """Return the requests whose answers a student may learn from; where there are none, all that have an answer."""
    answered = [request for request in requests if request.answer is not None and request.cluster]
    return [request for request in answered if request.learnable] or answered


def trial(requests: Sequence[LogRequest], workload: Workload) -> Trial | str:
    """Return how a student does that learns from these requests, or why none can be judged.

    Args:
        requests: those of `teaching`.
        workload: whose labels, splits, seed and `gate.class_rows` count.
    """
    learnt = learn(requests, workload)
    return learnt if isinstance(learnt, str) else judged(learnt, workload)


def learn(requests: Sequence[LogRequest], workload: Workload) -> Learnt | str:
    """Return a student that learnt from the training rows among these requests, or why none can be judged."""
    sides = _sides(requests, workload)
    could = [
        request for request in sides[Split.TRAIN] if request.place is RequestFate.FIRST and request.label != NO_LABEL
    ]
    tune, test = _labelled(sides[Split.VALIDATION]), _labelled(sides[Split.TEST])
    lacking = _lacking(requests, could, tune, test, workload)
    if lacking:
        return lacking
    rows = _affordable(could, len(workload.labels))
    student = LinearStudent(len(workload.labels), workload.student.seed)
    with TemporaryDirectory(prefix="millrace-") as folder:
        progress = Progress(Path(folder))
        student.fit(_rows(rows, workload), _rows(tune, workload), progress)
        progress.close()
    return Learnt(student, sides, len(rows), len(could))


def judged(learnt: Learnt, workload: Workload) -> Trial:
    """Return how the student does on the rows it did not learn from."""
    test = learnt.sides[Split.TEST]
    probabilities = learnt.student.probabilities([request.text for request in test])
    scores, classes = _scores(probabilities, test, workload)
    return Trial(
        figures=StudentFigures(
            name=learnt.student.name,
            learnt_from=learnt.rows,
            could_learn_from=learnt.could,
            agreement=scores["agreement"],
            macro_f1=scores["macro_f1"],
            calibration_error=scores["calibration_error"],
            classes=classes,
        ),
        choosing=learnt.say([*learnt.sides[Split.VALIDATION], *learnt.sides[Split.CERTIFICATION]]),
        test=_said(probabilities, test),
    )


def _sides(requests: Sequence[LogRequest], workload: Workload) -> dict[Split, list[LogRequest]]:
    sides: dict[Split, list[LogRequest]] = {split: [] for split in Split}
    for cluster, members in by_cluster(requests).items():
        sides[split_of(workload.name, cluster, workload.splits)] += members
    return sides


def _labelled(requests: Sequence[LogRequest]) -> list[LogRequest]:
    return [request for request in requests if request.label != NO_LABEL]


def _lacking(
    requests: Sequence[LogRequest],
    learn: Sequence[LogRequest],
    tune: Sequence[LogRequest],
    test: Sequence[LogRequest],
    workload: Workload,
) -> str | None:
    """Say what is missing for a judgement, and what to do; None: nothing."""
    if not requests:
        return "no request has a recorded answer"
    classes = {request.label for request in learn}
    if len(classes) < 2:
        said = {workload.labels[request.label] for request in _labelled(requests)}
        what = f"all say {next(iter(said))!r}" if len(said) == 1 else f"those to learn from say {len(classes)} labels"
        return f"of {len(requests):,} recorded answers {what}; two labels at least are needed to learn from"
    least = workload.gate.class_rows
    if len(tune) < least or len(test) < least:
        return (
            f"{len(tune)} validation and {len(test)} test rows; {least} of each are needed (gate.class_rows): "
            f"about {least / min(workload.splits.validation, workload.splits.test):,.0f} answered requests"
        )
    return None


def _affordable(learn: list[LogRequest], labels: int) -> list[LogRequest]:
    """Return as many as two minutes allow, by a hash of the cluster, so that the choice is blind and stable."""
    mean = sum(len(request.text) for request in learn) / len(learn)
    most = max(LEAST, int(CHARACTERS * min(1.0, MANY / labels) / mean))
    ordered = sorted(learn, key=lambda request: blake2b(request.cluster.encode(), digest_size=8).digest())
    return ordered[:most]


def _rows(requests: Sequence[LogRequest], workload: Workload) -> Rows:
    return Rows(
        record_ids=[str(request.row) for request in requests],
        clusters=[request.cluster for request in requests],
        texts=[request.text for request in requests],
        labels=np.array([request.label for request in requests], dtype=np.int64),
        soft=np.full((len(requests), len(workload.labels)), np.nan),
        weights=np.ones(len(requests)),
    )


def _scores(
    probabilities: Floats, requests: Sequence[LogRequest], workload: Workload
) -> tuple[dict[str, ShareFigure], list[ClassFigure]]:
    """Score the student as `trainers.evaluate` does at the gate, on the test rows whose answer is a label."""
    places = [place for place, request in enumerate(requests) if request.label != NO_LABEL]
    test = _rows([requests[place] for place in places], workload)
    evaluator = Evaluator(test, len(workload.labels), workload.student.seed)
    found = evaluator.scores(probabilities[places])
    n, effective = len(test), evaluator.bootstrap.effective_n
    intervals = {
        "agreement": found.agreement,
        "macro_f1": found.macro_f1,
        "calibration_error": found.calibration_error,
    }
    figures = {name: ShareFigure(one.value, one.low, one.high, n, effective, METHOD) for name, one in intervals.items()}
    classes = []
    for number in sorted(found.class_f1, key=lambda number: (-evaluator.class_rows[number], number)):
        rows, one = int(evaluator.class_rows[number]), found.class_f1[number]
        own = [cluster for cluster, label in zip(test.clusters, test.labels, strict=True) if label == number]
        judged = ShareFigure(one.value, one.low, one.high, rows, cluster_effective_n(own), METHOD)
        classes.append(ClassFigure(workload.labels[number], rows, judged if rows >= workload.gate.class_rows else None))
    return figures, classes


def _said(probabilities: Floats, requests: Sequence[LogRequest]) -> Said:
    return Said(
        clusters=[request.cluster for request in requests],
        label=np.array([request.label for request in requests], dtype=np.int64),
        said=probabilities.argmax(axis=1),
        confidence=probabilities.max(axis=1),
        first=np.array([request.place is RequestFate.FIRST for request in requests], dtype=bool),
        tokens=[request.tokens for request in requests],
    )
