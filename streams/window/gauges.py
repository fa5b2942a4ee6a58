"""What the window shows of itself: updated about once a second, and only where something changed."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.workload import Workload
from streams.triggers.policy import Standing
from streams.window import metrics
from streams.window.store import Store


class Gauges:
    """The gauges of one worker's window."""

    def __init__(self, workloads: Mapping[str, Workload], store: Store) -> None:
        self._store = store
        self._changed: set[int] = set()
        self._shown: dict[int, set[tuple[str, str, str]]] = {}
        for name, workload in workloads.items():
            metrics.MAY_TRAIN.labels(name).set(workload.teacher.may_train)
            metrics.THRESHOLD.labels(name).set(workload.triggers.count)

    def changed(self, partition: int) -> None:
        """Note that a partition's rows or standings have changed."""
        self._changed.add(partition)

    def forget(self, partition: int) -> None:
        """Stop showing a partition."""
        self._changed.discard(partition)
        for labels in self._shown.pop(partition, set()):
            metrics.ROWS.remove(*labels)

    def update(self, standings: Mapping[tuple[int, str], Standing]) -> None:
        """Bring the gauges of changed partitions up to date."""
        for (partition, workload), standing in standings.items():
            if partition in self._changed:
                metrics.NEW_LABELS.labels(workload).set(standing.new_labels)
                metrics.IN_FLIGHT.labels(workload).set(standing.in_flight is not None)
        while self._changed:
            partition = self._changed.pop()
            rows = {held: number for held, number in self._store.counts(partition).items() if number}
            for labels in self._shown.get(partition, set()) - rows.keys():
                metrics.ROWS.remove(*labels)
            for labels, number in rows.items():
                metrics.ROWS.labels(*labels).set(number)
            self._shown[partition] = set(rows)
