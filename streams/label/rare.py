"""Which classes are rare: those with fewer training labels within the window's age than the workload wants.

A bounded view of `labels`, by partition: of each class the newest `augment.rows` are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from schemas.records import CuratedRecord, LabelKind, LabelRecord, Split
from schemas.workload import Workload


class RareClasses:
    """The training labels of each class of the workloads that want paraphrases."""

    def __init__(self, workloads: Mapping[str, Workload]) -> None:
        self._workloads = workloads
        # by partition and workload, then class: record id -> event time, in offset order
        self._seen: dict[tuple[int, str], dict[str, dict[str, datetime]]] = {}

    def forget(self, partition: int) -> None:
        """Drop a partition."""
        self._seen = {place: seen for place, seen in self._seen.items() if place[0] != partition}

    def learn(self, partition: int, record: LabelRecord) -> None:
        """Take a settled label, in offset order; a corrected one counts in its current class, an erased one no more."""
        workload = self._workloads.get(record.workload)
        if workload is None or not workload.augment.paraphrases:
            return
        seen = self._seen.setdefault((partition, record.workload), {})
        if record.kind is LabelKind.ERASURE:
            for of_class in seen.values():
                of_class.pop(record.record_id, None)
        elif record.kind is LabelKind.CORRECTION:
            was = next((of_class for of_class in seen.values() if record.record_id in of_class), None)
            if was is not None and was is not seen.get(record.label):
                _keep(seen, record.label, record.record_id, was.pop(record.record_id), workload.augment.rows)
        elif record.kind is LabelKind.LABEL and record.split is Split.TRAIN:
            _keep(seen, record.label, record.record_id, record.event_time, workload.augment.rows)

    def rare(self, partition: int, workload: Workload, label: str, at: datetime) -> bool:
        """Return whether a class is rare at an event time."""
        since = at - timedelta(days=workload.window.age_days)
        of_class = self._seen.get((partition, workload.name), {}).get(label, {})
        return sum(time >= since for time in of_class.values()) < workload.augment.rows

    def joined(self, partition: int, workload: Workload, label: str, record: CuratedRecord) -> bool:
        """Return whether a record's class is rare; if so the record counts from now on, before its label is settled.

        A batch of the teacher labels thousands of records at once, and of a rare class only so many are wanted.
        """
        if not self.rare(partition, workload, label, record.event_time):
            return False
        seen = self._seen.setdefault((partition, workload.name), {})
        _keep(seen, label, record.record_id, record.event_time, workload.augment.rows)
        return True


def _keep(seen: dict[str, dict[str, datetime]], label: str, record_id: str, time: datetime, most: int) -> None:
    of_class = seen.setdefault(label, {})
    of_class[record_id] = time
    if len(of_class) > most:
        del of_class[next(iter(of_class))]
