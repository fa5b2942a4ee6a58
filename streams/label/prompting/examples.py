"""Labelled texts like the one that is asked about, to be shown in its prompt: a bounded view of `labels`, by partition.

Of each workload that wants examples the `KEPT` newest labels are known that a teacher gave to a training record, in
offset order; the most similar by hashed character n-grams are shown. Texts of evaluation clusters are never shown, nor
those of the record's own cluster. Which labels are settled when a record is asked depends on the teacher's speed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.records import CuratedRecord, LabelKind, LabelRecord, Provenance, Split
from schemas.workload import Workload

KEPT: Final = 2_000  # labels: about 10 MB, and 2 ms per record asked
_TAUGHT: Final = (Provenance.TEACHER, Provenance.HARVEST)


class Example(NamedTuple):
    """A labelled text."""

    text: str
    label: str


class _ExampleRow(NamedTuple):
    record_id: str
    cluster_id: str
    example: Example


@dataclass(slots=True)
class _KnownExamples:
    """The rows of one workload in one partition, oldest first: with features, and those that wait for features."""

    rows: list[_ExampleRow] = field(default_factory=list)
    features: Any = None  # (rows, buckets), sparse; None: no rows
    waiting: deque[_ExampleRow] = field(default_factory=lambda: deque(maxlen=KEPT))


class Examples:
    """What can be shown."""

    def __init__(self, workloads: Mapping[str, Workload]) -> None:
        self._workloads = workloads
        self._known: dict[tuple[int, str], _KnownExamples] = {}

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._known = {place: known for place, known in self._known.items() if place[0] != partition}

    def learn(self, partition: int, record: LabelRecord) -> None:
        """Take a settled label, in offset order; a corrected one is shown as corrected, an erased one not at all."""
        workload = self._workloads.get(record.workload)
        if workload is None or not workload.teacher.examples:
            return
        known = self._known.setdefault((partition, record.workload), _KnownExamples())
        if record.kind is LabelKind.ERASURE:
            _take_in(known)
            _keep(known, [at for at, row in enumerate(known.rows) if row.record_id != record.record_id])
        elif record.kind is LabelKind.CORRECTION:
            _take_in(known)
            known.rows = [_corrected(row, record) for row in known.rows]
        elif record.kind is LabelKind.LABEL and record.split is Split.TRAIN and record.provenance in _TAUGHT:
            known.waiting.append(_ExampleRow(record.record_id, record.cluster_id, Example(record.text, record.label)))

    def nearest(self, partition: int, workload: Workload, record: CuratedRecord) -> tuple[Example, ...]:
        """Return the most similar labelled texts, at most as many as the workload wants, the most similar last."""
        known = self._known.get((partition, workload.name))
        if known is None:
            return ()
        _take_in(known)
        if known.features is None:
            return ()
        likeness = known.features @ _features([record.text]).toarray()[0]  # cosine (rows,)
        found: list[Example] = []
        for at in np.argsort(-likeness, kind="stable"):
            if likeness[at] <= 0 or len(found) == workload.teacher.examples:
                break
            row = known.rows[at]
            if row.cluster_id != record.cluster_id and row.example.label in workload.labels:
                found.append(row.example)
        return tuple(reversed(found))


def _corrected(row: _ExampleRow, said: LabelRecord) -> _ExampleRow:
    if row.record_id != said.record_id:
        return row
    return row._replace(example=Example(row.example.text, said.label))


def _take_in(known: _KnownExamples) -> None:
    """Compute the features of the rows that wait; surplus oldest rows leave, and a record's earlier label.

    All at once, before the next question: joining them to the rest takes 3 ms, however few they are.
    """
    if not known.waiting:
        return
    from scipy import sparse

    new = _features([row.example.text for row in known.waiting])
    known.rows += known.waiting
    known.features = new if known.features is None else sparse.vstack([known.features, new], format="csr")
    known.waiting.clear()
    last = {row.record_id: at for at, row in enumerate(known.rows)}
    _keep(known, sorted(last.values())[-KEPT:])


def _keep(known: _KnownExamples, places: list[int]) -> None:
    if len(places) == len(known.rows):
        return
    known.rows = [known.rows[at] for at in places]
    known.features = known.features[places] if places else None


def _features(texts: list[str]) -> Any:
    # Here, not above: scikit-learn takes a second to import, and most workers need none.
    from streams.label.selection.tier0 import features

    return features(texts)
