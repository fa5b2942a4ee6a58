"""The records of a batch that a stage works on at the same time, and which of them can be settled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.errors import RecordRejected
from streams.label.endings import Verdict
from streams.label.triage import Item
from streams.stage import Message, Output

Ending = Verdict | RecordRejected


@dataclass(frozen=True, slots=True)
class Work:
    """One message: an item and the task that finds its ending, or an output at once."""

    message: Message
    item: Item | None
    ending: asyncio.Task[Ending] | Ending | Output

    @property
    def task(self) -> asyncio.Task[Ending] | None:
        """Return the task that looks for its ending, if there is one."""
        return self.ending if isinstance(self.ending, asyncio.Task) else None

    @property
    def finished(self) -> bool:
        """Tell whether its ending is known."""
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


async def worth_settling(works: Sequence[Work], linger_seconds: float, more_seconds: float) -> None:
    """Wait until every ending is known, or some are and `linger_seconds` have passed; or `more_seconds` more."""
    running = {task for work in works if (task := work.task) is not None and not task.done()}
    if running:
        await asyncio.wait(running, timeout=linger_seconds)
    settled, left = parted(works)
    if settled or not left:
        return
    heads: dict[int, asyncio.Task[Ending]] = {}
    for work in left:
        if work.task is not None:
            heads.setdefault(work.message.partition, work.task)
    await asyncio.wait(heads.values(), timeout=more_seconds, return_when=asyncio.FIRST_COMPLETED)
