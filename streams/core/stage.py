"""What a stage is: messages in, outputs and a change of state out, settled together or not at all.

The source (source.py) feeds a stage batches, writes its outputs and its input offsets in one Kafka transaction, and
only then lets the stage's state change. A stage does no Kafka I/O of its own, but for reading `gold` once a round of
anchors (curate/gold.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from schemas.principals import Principal
from schemas.records import Record
from schemas.topics import Topic


class Message(NamedTuple):
    """One record as consumed. A tuple: tens of thousands are made a second, and a frozen class takes twice as long."""

    topic: Topic
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    appended: datetime  # the broker's LogAppendTime, UTC


class Output(NamedTuple):
    """One record to produce; its key is the workload, its partition that of the message it came from."""

    topic: Topic
    partition: int
    workload: str
    record: Record
    headers: tuple[tuple[str, bytes], ...] = ()


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a batch comes to. Exactly one of the two callbacks runs, after the transaction.

    A stage may settle a part: of each partition it may leave the last messages, which come again as the head of the
    next batch, before what was consumed since. Where it leaves all, nothing is written and no callback runs.
    """

    outputs: Sequence[Output] = ()
    committed: Callable[[], None] = field(default=_nothing)  # merge the batch's overlay into the state
    aborted: Callable[[], None] = field(default=_nothing)  # drop it
    left: Sequence[Message] = ()  # in the order of the batch
    held: AbstractSet[int] = frozenset()  # partitions that wait for something outside: fetch no more of them for now


class Reader(Protocol):
    """Reads our own topics back, read_committed, up to the high watermark taken when the assignment was made."""

    def read(self, topic: Topic, partition: int, start: int | None = None) -> Iterator[Message]:
        """Yield the messages of a partition in order, from `start` or from the earliest that is kept."""
        ...

    def topic_id(self, topic: Topic) -> str:
        """Return the broker's id of the topic: another id means that the topic was made anew."""
        ...

    def committed(self, topic: Topic, partition: int) -> int:
        """Return the offset from which the stage will go on in one of its sources."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A stage that holds something open: connections, a store."""

    async def close(self) -> None:
        """Let go of it; nothing is called afterwards."""
        ...


class Stage(Protocol):
    """One stage of the stream; its methods are called one at a time."""

    name: Principal
    sources: tuple[Topic, ...]  # several: their partitions of one number always meet in one worker
    batch_records: int  # largest batch worth feeding

    def assign(self, partition: int, reader: Reader) -> None:
        """Rebuild the state of a partition from our own topics. Runs in a thread, before any of its messages come."""
        ...

    def revoke(self, partition: int) -> None:
        """Forget the state of a partition that went elsewhere."""
        ...

    async def process(self, messages: Sequence[Message]) -> Settlement:
        """Turn a batch (in order within each partition) into outputs and a change of state.

        Raises:
            Unavailable: something outside does not answer: the source pauses and tries the same batch again, for ever.
            Exception: anything else is retried, then bisected until the poison record is alone.
        """
        ...

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        """Return the settlement of a message that `process` failed on alone: its dead letter."""
        ...

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        """Return what is due without a message, by partition. Called about once a second between batches."""
        ...
