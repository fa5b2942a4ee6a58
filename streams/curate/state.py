"""What curate remembers of a partition, a view of `curated`: by workload duplicates, counts and round of anchors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from deploy.edge.topics.framing import Framing
from schemas.records import CuratedKind, CuratedRecord
from schemas.rules.places import replayed_from
from schemas.topics import CURATED
from schemas.workload import Workload
from streams.core.stage import Reader
from streams.curate.caps import CapCounts, CapOverlay
from streams.curate.duplicates import DuplicateIndex, Kept, Overlay, Recalled


@dataclass(frozen=True, slots=True)
class WorkloadOverlay:
    """What a batch sees of one workload's state, and adds to it; merged after the commit, or dropped."""

    duplicates: Overlay
    caps: CapOverlay

    def merge(self) -> None:
        """Add what the batch added to the state."""
        self.duplicates.merge()
        self.caps.merge()


class PartitionState:
    """The state of every workload in one partition."""

    def __init__(self, workloads: Mapping[str, Workload]) -> None:
        self._workloads = workloads
        self._indexes: dict[str, DuplicateIndex] = {}
        self._counts: dict[str, CapCounts] = {}
        self.rounds: dict[str, datetime] = {}  # by workload: when the last round of anchors that was asked began

    @classmethod
    def rebuilt(
        cls, partition: int, reader: Reader, workloads: Mapping[str, Workload], framing: Framing
    ) -> PartitionState:
        """Read the state back from `curated`: it decides like one that was never interrupted."""
        state = cls(workloads)
        recalled: dict[str, Recalled] = {}
        for message in reader.read(CURATED, partition):
            if message.value is None or replayed_from(message.headers) is not None:  # a replay brings nothing new in
                continue
            record = framing.decode(CuratedRecord, message.value)
            workload = workloads.get(record.workload)
            if record.kind is CuratedKind.ANCHOR:  # no traffic: no duplicate of any, and under no cap
                before = state.rounds.get(record.workload, record.event_time)
                state.rounds[record.workload] = max(before, record.event_time)
            elif workload is not None:
                recalled.setdefault(workload.name, Recalled(workload.duplicates.horizon)).take(_kept(record))
                state._caps(workload).add(record)
        for name, of in recalled.items():
            state._indexes[name] = _index(workloads[name], of)
        return state

    def view(self, workload: Workload, texts: Iterable[tuple[str, str]]) -> WorkloadOverlay:
        """Return what a batch sees of a workload, given the text key and the normalised text of each of its records."""
        index = self._indexes.get(workload.name)
        if index is None:
            index = self._indexes[workload.name] = _index(workload)
        return WorkloadOverlay(index.overlay(texts), self._caps(workload).overlay())

    def _caps(self, workload: Workload) -> CapCounts:
        return self._counts.setdefault(workload.name, CapCounts(workload.caps))


def _index(workload: Workload, recalled: Recalled | None = None) -> DuplicateIndex:
    return DuplicateIndex(workload.duplicates.similarity, workload.duplicates.horizon, recalled)


def _kept(record: CuratedRecord) -> Kept:
    return Kept(
        record.record_id,
        record.cluster_id,
        record.text_key,
        record.text,
        record.answer,
        record.kind == CuratedKind.VOTE,
    )
