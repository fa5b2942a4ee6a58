"""The worker with a stage that forwards bytes as they are, exactly once: what the source alone can do.

`python -m benchmarks.pass_through`: the process of `millrace worker` with that stage, and a framing that takes no part.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from deploy.edge.process.settings import Settings
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.principals import Principal
from schemas.records import Record
from schemas.topics import CURATED, STAGES, Topic
from schemas.workload import Workload
from streams import app
from streams.core import gc_schedule
from streams.core.stage import Message, Output, Reader, Settlement
from streams.settings import WorkerSettings


class Bytes(Record):
    """A value that is written as it is."""

    def __init__(self, value: bytes) -> None:
        self.value = value


class AsItIs(Framing):
    """Writes `Bytes` without encoding; reads as any framing does."""

    def encode(self, topic: Topic, record: Record) -> bytes:
        """Return the bytes."""
        del topic
        return cast("Bytes", record).value


class PassThrough:
    """`traffic` -> `curated`, byte for byte."""

    name = Principal.CURATE
    sources: tuple[Topic, ...] = STAGES[name]
    batch_records = 20_000  # it takes no time over a record, so that a commit is what a batch costs

    def __init__(
        self, settings: Settings, workloads: Mapping[str, Workload], framing: Framing = SINGLE_OBJECTS
    ) -> None:
        del settings, workloads, framing

    def assign(self, partition: int, reader: Reader) -> None:
        """Remember nothing."""

    def revoke(self, partition: int) -> None:
        """Forget nothing."""

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Forward each message."""
        names = {key: (key or b"").decode() for key in {message[3] for message in messages}}
        return Settlement(
            [
                Output(CURATED, partition, names[key], Bytes(value or b""))
                for _, partition, _, key, value, _, _ in messages
            ]
        )

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Fail: bytes cannot be poison."""
        raise AssertionError(f"offset {message.offset} failed {attempts} times") from error

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        """Nothing is due without a message."""
        del now
        return {}


def main() -> None:
    """Run until it is stopped."""
    settings = WorkerSettings.load()
    app.AGENTS[PassThrough.name] = (app.curate, f"{__name__}:PassThrough")
    setattr(app, "Framing", AsItIs)  # noqa: B010 - the one part of the worker that is another here
    gc_schedule.collect_by_the_clock()  # as the worker does
    asyncio.run(app.work(settings, [PassThrough.name]))


if __name__ == "__main__":
    # The worker imports the stage by its module's name: what it makes and what is patched must be of one module.
    importlib.import_module("benchmarks.pass_through").main()
