"""Keeps a tier-0 model of each workload fresh from `labels`, and chooses with it what the teacher is asked.

The model learns from training rows and is refitted at fixed numbers of them; the cutoff comes from evaluation rows,
which are uniform and which it never learns from. Both follow from `labels` alone, in offset order: rebuilt on
assignment, the model is the same. While there is too little to learn from, the draw is uniform.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.records import CuratedRecord, LabelKind, LabelRecord, Split
from schemas.rules.splits import split_of
from schemas.workload import Workload
from streams.label.selection.chance import Choice, choose, cutoff_of

FIRST_FIT: Final = 100  # training labels at least
FIRST_FIT_CLASS: Final = 3  # and at least this many per class
LEAST_STEP: Final = 50  # training labels between two fits: a quarter of those there are, inside these bounds
MOST_STEP: Final = 2_000
KEPT: Final = 5_000  # newest training rows a model is fitted on: 2 seconds with 77 classes
COMPARED: Final = 500  # newest evaluation rows the cutoff comes from
LEAST_COMPARED: Final = 50  # below, the cutoff would be a guess


class _TrainingRow(NamedTuple):
    text: str
    label: str
    propensity: float


@dataclass(frozen=True, slots=True)
class _Model:
    """A tier-0 model and the cutoff of its margins."""

    tier0: Any  # streams.label.selection.tier0.Tier0: imported only where a workload chooses actively
    cutoff: float

    def margins(self, texts: Sequence[str]) -> list[float]:
        """Return the margin of each text."""
        from streams.label.selection.tier0 import features

        return [float(margin) for margin in self.tier0.margins(features(texts))]


@dataclass(slots=True)
class _SeenLabels:
    """What is known of one workload in one partition."""

    next_fit: int  # training labels ever seen when the model is fitted again
    train: OrderedDict[str, _TrainingRow] = field(default_factory=OrderedDict)  # by record id, oldest first
    compared: OrderedDict[str, _TrainingRow] = field(default_factory=OrderedDict)
    count: int = 0
    due: tuple[list[_TrainingRow], list[_TrainingRow]] | None = None  # the rows of a fit that is due
    model: _Model | None = None


class Chooser:
    """Decides for each record that would cost a call whether it is worth the call."""

    def __init__(self, workloads: Mapping[str, Workload]) -> None:
        self._workloads = workloads
        self._seen: dict[tuple[int, str], _SeenLabels] = {}

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._seen = {place: seen for place, seen in self._seen.items() if place[0] != partition}

    def learn(self, partition: int, record: LabelRecord) -> None:
        """Take a settled label, in offset order; a corrected one is learnt as corrected, an erased one not at all."""
        workload = self._workloads.get(record.workload)
        if workload is None or workload.select.policy != "active":
            return
        seen = self._seen.setdefault((partition, record.workload), _SeenLabels(first_fit(len(workload.labels))))
        if record.kind is LabelKind.ERASURE:
            seen.train.pop(record.record_id, None)
            seen.compared.pop(record.record_id, None)
        elif record.kind is LabelKind.CORRECTION:
            if record.record_id in seen.train:
                seen.train[record.record_id] = seen.train[record.record_id]._replace(label=record.label)
        elif record.kind is LabelKind.LABEL and record.label in workload.labels:
            _take(seen, record)

    def refit(self) -> None:
        """Fit the models that are due. Takes a second or two: call it in a thread."""
        for (_, name), seen in self._seen.items():
            if seen.due is not None:
                seen.model, seen.due = _fitted(*seen.due, self._workloads[name].select.train_share), None

    def choices(self, records: Sequence[tuple[int, CuratedRecord]]) -> list[Choice]:
        """Decide on records (with their partitions) of workloads whose policy is not "everything", in their order."""
        by_model: dict[tuple[int, str], list[int]] = {}
        for at, (partition, record) in enumerate(records):
            by_model.setdefault((partition, record.workload), []).append(at)
        margins: dict[int, tuple[float, float]] = {}
        for place, ats in by_model.items():
            seen = self._seen.get(place)
            if seen is not None and seen.model is not None:
                found = seen.model.margins([records[at][1].text for at in ats])
                margins |= {at: (margin, seen.model.cutoff) for at, margin in zip(ats, found, strict=True)}
        return [self._choice(record, *margins.get(at, (None, None))) for at, (_, record) in enumerate(records)]

    def _choice(self, record: CuratedRecord, margin: float | None, cutoff: float | None) -> Choice:
        workload = self._workloads[record.workload]
        split = split_of(workload.name, record.cluster_id, workload.splits)
        return choose(workload.select, split, record.record_id, margin, cutoff)


def first_fit(classes: int) -> int:
    """Return at how many training labels the first model is fitted."""
    return max(FIRST_FIT, FIRST_FIT_CLASS * classes)


def next_fit(count: int) -> int:
    """Return at how many training labels a model is fitted again that was fitted at `count`."""
    return count + min(max(LEAST_STEP, count // 4), MOST_STEP)


def _take(seen: _SeenLabels, record: LabelRecord) -> None:
    row = _TrainingRow(record.text, record.label, record.propensity)
    rows, bound = (seen.train, KEPT) if record.split is Split.TRAIN else (seen.compared, COMPARED)
    rows[record.record_id] = row
    if len(rows) > bound:
        rows.popitem(last=False)
    if record.split is not Split.TRAIN:
        return
    seen.count += 1
    if seen.count >= seen.next_fit:
        seen.next_fit = next_fit(seen.count)
        seen.due = [*seen.train.values()], [*seen.compared.values()]


def _fitted(train: Sequence[_TrainingRow], compared: Sequence[_TrainingRow], train_share: float) -> _Model | None:
    if len(compared) < LEAST_COMPARED:
        return None
    # Here, not above: scikit-learn takes a second to import, and most workers need none.
    from streams.label.selection.tier0 import Tier0, features

    tier0 = Tier0.fit(features([row.text for row in train]), [row.label for row in train])
    if tier0 is None:
        return None
    margins = tier0.margins(features([row.text for row in compared]))
    return _Model(tier0, cutoff_of(margins, [row.propensity for row in compared], train_share))
