"""A label stage beside a real HTTP teacher, driven directly: what the tests of the stage share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deploy.edge.process.settings import Settings
from schemas import topics
from schemas.records import (
    CuratedRecord,
    LabelRecord,
)
from streams.core.stage import Output, Settlement
from streams.label.stage import LabelStage
from tests.streams.doubles import NAME, curated, message, workload
from tests.streams.label.teacher.server import Act, Server, says, teacher_server


@asynccontextmanager
async def stage(*acts: Act, **tables: Any) -> AsyncIterator[tuple[LabelStage, Server]]:
    async with teacher_server(*acts or (says("mergers"),)) as server:
        teacher = {"url": server.url, "attempts": 2, "may_train": True} | tables.pop("teacher", {})
        one = LabelStage(Settings(state_dir=Path("unused")), {NAME: workload(teacher=teacher, **tables)})
        try:
            yield one, server
        finally:
            await one.close()


async def process(one: LabelStage, *records: CuratedRecord | bytes, start: int = 0) -> Settlement:
    """Feed records as the source does, what is left as the head of the next batch, until all are settled."""
    messages = [message(topics.CURATED, start + at, each) for at, each in enumerate(records)]
    outputs: list[Output] = []
    while messages:
        settlement = await one.process(messages)
        settlement.committed()
        outputs += settlement.outputs
        messages = list(settlement.left)
    return Settlement(outputs)


def labels_of(settlement: Settlement) -> Sequence[LabelRecord]:
    return [output.record for output in settlement.outputs if isinstance(output.record, LabelRecord)]


async def settle(one: LabelStage, *numbers: int) -> Settlement:
    """Feed records once, and let what is finished be settled."""
    settlement = await one.process([message(topics.CURATED, n, curated(n)) for n in numbers])
    settlement.committed()
    return settlement
