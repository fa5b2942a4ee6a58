"""The records that the stage works on at the same time, which of them can be settled, and when to look."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.errors import RecordRejected
from streams.core.stage import Message, Output
from streams.label.endings import LabelDecision
from streams.label.triage import Item

LINGER_SECONDS: Final = 0.1  # a commit costs 15-35 ms: about 8 a second while calls are in flight
MORE_SECONDS: Final = 0.1  # after which new records join calls that take longer
# The same where all wait for batches: to look at 5,000 takes 15 ms. Above a second with the rest the source pauses its
# partitions, which drops what was fetched of them: nothing would ever join.
BATCH_SECONDS: Final = 0.5
FULL_SECONDS: Final = 5.0  # the same where there is no room for more; longer than the source waits before it polls

WorkEnding = LabelDecision | RecordRejected


@dataclass(frozen=True, slots=True)
class Work:
    """One message: an item and the task that finds its ending, or an output at once."""

    message: Message
    item: Item | None
    ending: asyncio.Task[WorkEnding] | WorkEnding | Output

    @property
    def task(self) -> asyncio.Task[WorkEnding] | None:
        """Return the task that looks for its ending, if there is one."""
        return self.ending if isinstance(self.ending, asyncio.Task) else None

    @property
    def batched(self) -> bool:
        """Return whether its questions go in batches."""
        return self.item is not None and self.item.batched

    @property
    def finished(self) -> bool:
        """Return whether its ending is known."""
        return self.task is None or self.task.done()


def parted(works: Iterable[Work]) -> tuple[list[Work], list[Work]]:
    """Return the finished prefix of every partition, and the rest; both in the order of the batch."""
    settled: list[Work] = []
    left: list[Work] = []
    blocked: set[int] = set()
    for work in works:
        if work.message.partition in blocked or not work.finished:
            blocked.add(work.message.partition)
            left.append(work)
        else:
            settled.append(work)
    return settled, left


def patience(works: Sequence[Work], paused: Collection[str], window: int) -> float:
    """Return the seconds to wait for a first ending before new records join.

    Args:
        works: all that the stage works on.
        paused: workloads that can ask nothing for a while.
        window: as many records as may be asked call by call.
    """
    if all(work.finished or work.batched for work in works):
        return BATCH_SECONDS
    flowing = sum(not work.batched and (work.item is None or work.item.workload.name not in paused) for work in works)
    return FULL_SECONDS if flowing >= window else MORE_SECONDS


def full_of_batches(left: Iterable[Work]) -> set[int]:
    """Return the partitions that have as many records in work as may wait for batches: others have room then."""
    left = list(left)
    numbers = Counter(work.message.partition for work in left)
    batched = ((work.message.partition, work.item.workload) for work in left if work.item and work.item.batched)
    return {partition for partition, workload in batched if numbers[partition] >= workload.teacher.batch.records}


async def worth_settling(works: Sequence[Work], more_seconds: float) -> None:
    """Wait until every ending is known, or some are and `LINGER_SECONDS` have passed; or `more_seconds` more."""
    running = {task for work in works if (task := work.task) is not None and not task.done()}
    if running:
        await asyncio.wait(running, timeout=LINGER_SECONDS)
    settled, left = parted(works)
    if settled or not left:
        return
    heads: dict[int, asyncio.Task[WorkEnding]] = {}
    for work in left:
        if work.task is not None:
            heads.setdefault(work.message.partition, work.task)
    await asyncio.wait(heads.values(), timeout=more_seconds, return_when=asyncio.FIRST_COMPLETED)
