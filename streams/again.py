"""Questions that the label stage puts to a teacher once more, for commands: as the worker asks, written nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from deploy.edge.settings import Settings
from schemas.codec import encode
from schemas.ids import digest
from schemas.records import CuratedRecord, Origin, Record
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, PARTITIONS
from schemas.workload import Workload
from streams.label.examples import Examples
from streams.label.stage import LabelStage
from streams.stage import Message


async def ask_again(
    settings: Settings, workload: Workload, asked: Sequence[tuple[str, str]], examples: Examples | None = None
) -> list[Record]:
    """Return what the label stage makes of each record and text the second time: a label, or a dead letter.

    The codes stand in another order than the first time. `examples`: what the prompts show, where they show any.

    Raises:
        Unavailable: the teacher does not answer. WorkerFailed: its key, model or address is wrong.
    """
    stage = LabelStage(settings, {workload.name: workload}, examples=examples)
    left = [_message(workload, number, *one) for number, one in enumerate(asked)]
    found: list[Record] = []
    try:
        while left:
            settlement = await stage.process(left)
            settlement.committed()
            found += [output.record for output in settlement.outputs]
            left = left[len(settlement.outputs) :]
    finally:
        await stage.close()
    return found


def _message(workload: Workload, number: int, record_id: str, text: str) -> Message:
    """Return a record as the label stage consumes it: audited, so that it is asked; of another id and cluster."""
    other, partition, now = digest("again", record_id), partition_of(workload.name, PARTITIONS), datetime.now(UTC)
    curated = CuratedRecord(
        record_id=other, workload=workload.name,
        origin=Origin(topic=CURATED.name, partition=partition, offset=number), event_time=now, arrival_time=now,
        text=text, text_key=other, cluster_id=other, audit=True,
    )  # fmt: skip
    return Message(CURATED, partition, number, workload.name.encode(), encode(curated), (), now)
