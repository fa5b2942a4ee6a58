"""What curate remembers of a partition: by workload its duplicates and its counts toward caps, a view of `curated`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.edge.framing import Framing
from schemas.records import CuratedKind, CuratedRecord
from schemas.rules.places import replayed_from
from schemas.topics import CURATED
from schemas.workload import Workload
from streams.curate.caps import CapCounts, CapOverlay
from streams.curate.duplicates import DuplicateIndex, Member, Overlay, grams, sketch_of
from streams.stage import Reader


@dataclass(frozen=True, slots=True)
class View:
    """What a batch sees of one workload's state, and adds to it; merged after the commit, or dropped."""

    duplicates: Overlay
    caps: CapOverlay

    def merge(self) -> None:
        """Let the state have what the batch added."""
        self.duplicates.merge()
        self.caps.merge()


class PartitionState:
    """The state of every workload in one partition."""

    def __init__(self, workloads: Mapping[str, Workload]) -> None:
        self._workloads = workloads
        self._indexes: dict[str, DuplicateIndex] = {}
        self._counts: dict[str, CapCounts] = {}

    @classmethod
    def rebuilt(
        cls, partition: int, reader: Reader, workloads: Mapping[str, Workload], framing: Framing
    ) -> PartitionState:
        """Read the state back from `curated`: it decides like one that was never interrupted."""
        state = cls(workloads)
        seen: dict[str, deque[CuratedRecord]] = {}
        for message in reader.read(CURATED, partition):
            if message.value is None or replayed_from(message.headers) is not None:  # a replay is no second member
                continue
            record = framing.decode(CuratedRecord, message.value)
            workload = workloads.get(record.workload)
            if workload is not None:
                seen.setdefault(record.workload, deque(maxlen=2 * workload.duplicates.horizon)).append(record)
                state._caps(workload).add(record)
        for name, records in seen.items():
            index = state._index(workloads[name])
            for record in records:
                if record.kind == CuratedKind.VOTE:
                    index.add_id(record.record_id, record.cluster_id)
                else:
                    found = grams(record.text)
                    index.add(Member(record.record_id, record.text_key, record.answer, found), sketch_of(found))
        return state

    def view(self, workload: Workload) -> View:
        """Return what a batch sees of a workload."""
        return View(self._index(workload).overlay(), self._caps(workload).overlay())

    def _index(self, workload: Workload) -> DuplicateIndex:
        found = self._indexes.get(workload.name)
        if found is None:
            duplicates = workload.duplicates
            found = self._indexes[workload.name] = DuplicateIndex(duplicates.similarity, duplicates.horizon)
        return found

    def _caps(self, workload: Workload) -> CapCounts:
        return self._counts.setdefault(workload.name, CapCounts(workload.caps))
