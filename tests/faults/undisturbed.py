"""The run that nothing disturbed: the same records in the same order, through the same stages in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.edge.process.settings import Settings
from schemas.codec import decode
from schemas.events import RetrainRequest
from schemas.records import CuratedRecord, DeadLetter, DiscardedRecord, DiscardStage, Record
from schemas.rules.places import PartitionOffset
from schemas.topics import PARTITIONS
from streams.core.stage import Message, Stage
from streams.curate.stage import CurateStage
from streams.window.stage import WindowStage
from tests.streams.doubles import MemoryReader

_BATCH = 500


@dataclass(frozen=True)
class Decision:
    """How the curate stage ended one record."""

    topic: str
    record_id: str | None
    cluster_id: str | None
    why: str


@dataclass(frozen=True)
class Request:
    """What of a retrain request must not hang on when or where it was made."""

    workload: str
    epoch: int
    trigger: str
    labels_offset: int
    rows: int
    snapshot_sha256: str


def curation(settings: Settings, traffic: Sequence[Message]) -> dict[PartitionOffset, Decision]:
    """Return how an undisturbed curate stage ends each record of `traffic`."""
    stage = CurateStage(settings, settings.workloads())
    return dict(_decisions(_run(stage, traffic)))


def decisions(messages: Iterable[Message]) -> dict[PartitionOffset, Decision]:
    """Return the curate stage's decisions that are in one of its output topics."""
    return dict(_decisions(decode(one.topic.record, one.value) for one in messages if one.value))


def clusters(found: dict[PartitionOffset, Decision]) -> set[frozenset[PartitionOffset]]:
    """Return the partition of the records into clusters."""
    members: dict[str, set[PartitionOffset]] = {}
    for place, decision in found.items():
        if decision.cluster_id is not None:
            members.setdefault(decision.cluster_id, set()).add(place)
    return {frozenset(each) for each in members.values()}


def requests(settings: Settings, labels_and_runs: Sequence[Message], folder: Path) -> list[Request]:
    """Return what an undisturbed window stage asks for, sorted."""
    own = settings.model_copy(update={"state_dir": folder / "state", "artefacts_dir": folder / "artefacts"})
    stage = WindowStage(own, own.workloads())
    made = [record for record in _run(stage, labels_and_runs) if isinstance(record, RetrainRequest)]
    asyncio.run(stage.close())
    return sorted(map(essence, made), key=lambda request: (request.workload, request.epoch))


def essence(request: RetrainRequest) -> Request:
    """Return what of a request must be the same in every run."""
    return Request(
        request.workload, request.epoch, request.trigger, request.labels_offset, request.rows, request.snapshot_sha256
    )


def _run(stage: Stage, messages: Sequence[Message]) -> list[Record]:
    """Feed a fresh stage and settle every batch; return its outputs in order."""

    async def fed() -> list[Record]:
        for partition in range(PARTITIONS):
            stage.assign(partition, MemoryReader())
        made: list[Record] = []
        for at in range(0, len(messages), _BATCH):
            settlement = await stage.process(messages[at : at + _BATCH])
            settlement.committed()
            made += [output.record for output in settlement.outputs]
        return made

    return asyncio.run(fed())


def _decisions(made: Iterable[Record]) -> Iterator[tuple[PartitionOffset, Decision]]:
    for record in made:
        if isinstance(record, CuratedRecord):
            why = f"{record.kind} {record.duplicate_of}"
            yield _place(record), Decision("curated", record.record_id, record.cluster_id, why)
        elif isinstance(record, DiscardedRecord) and record.stage is DiscardStage.CURATE:
            why = f"{record.reason} {record.duplicate_of} {record.rule}"
            yield _place(record), Decision("discarded", record.record_id, record.cluster_id, why)
        elif isinstance(record, DeadLetter) and record.origin.topic == "traffic":
            yield _place(record), Decision("dead-letters", record.record_id, None, record.reason)


def _place(record: CuratedRecord | DiscardedRecord | DeadLetter) -> PartitionOffset:
    return record.origin.partition, record.origin.offset
