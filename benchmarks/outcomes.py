"""What comes out of a contender: counted as it is committed, and compared afterwards with what comes out of another."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # the package's types lack it

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import librdkafka, topic_name
from schemas.codec import decode
from schemas.topics import PARTITIONS, Topic

STALL_SECONDS: Final = 90.0  # without an output: longer than any contender takes to start
_POLL_SECONDS: Final = 0.02
_ANSWER_SECONDS: Final = 10.0
_OF_THE_LAP: Final = ("arrival_time", "time")  # fields that hold when a lap was run


@dataclass(frozen=True)
class Seen:
    """How many outputs had been seen at a moment."""

    at: float  # by the monotonic clock
    count: int


class Arrival(NamedTuple):
    """One output, and when it was seen."""

    at: float
    topic: str  # its name on the cluster
    offset: int
    value: bytes


class Outcomes:
    """Reads topics read_committed, from their start."""

    def __init__(self, settings: Settings, topics: Sequence[Topic]) -> None:
        self._consumer = Consumer(
            librdkafka(settings)
            | {
                "group.id": f"{settings.topic_prefix}outcomes",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        self._admin: Any = command_clients.admin(settings)
        self._topics = {topic_name(settings, topic): topic for topic in topics}
        self._consumer.assign(
            [TopicPartition(name, number, 0) for name in self._topics for number in range(PARTITIONS)]
        )
        self.arrivals: list[Arrival] = []

    def seen(self, count: int, check: Callable[[], None]) -> Seen:
        """Wait until so many outputs have come, calling `check` meanwhile; it raises when there is no more to wait for.

        Raises:
            TimeoutError: nothing came for long.
        """
        last = time.monotonic()
        while len(self.arrivals) < count:
            first = self._consumer.poll(_POLL_SECONDS)
            if first is None:
                check()
                if time.monotonic() - last > STALL_SECONDS:
                    raise TimeoutError(
                        f"{len(self.arrivals)} of {count} outputs, and no more for {STALL_SECONDS:.0f} s"
                    )
                continue
            last = time.monotonic()
            for raw in (first, *self._consumer.consume(20_000, 0.0)):
                if raw.error() is None:
                    self.arrivals.append(Arrival(last, raw.topic() or "", raw.offset() or 0, raw.value() or b""))
        return Seen(last, len(self.arrivals))

    def committed(self) -> Seen:
        """Return how many outputs are committed now, seen or not; the markers of a few commits count as outputs."""
        places = [TopicPartition(name, number) for name in self._topics for number in range(PARTITIONS)]
        asked = dict.fromkeys(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        answers = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
        return Seen(time.monotonic(), sum(answer.result(_ANSWER_SECONDS).offset for answer in answers.values()))

    def counted(self, count: int, check: Callable[[], None]) -> Seen:
        """Wait as `seen` does, reading nothing: at 100,000 records/s a reader takes as much of the machine as they.

        Raises:
            TimeoutError: nothing was committed for long.
        """
        found, last = self.committed(), time.monotonic()
        while found.count < count:
            time.sleep(_POLL_SECONDS)
            check()
            before, found = found, self.committed()
            if found.count > before.count:
                last = found.at
            elif found.at - last > STALL_SECONDS:
                raise TimeoutError(f"{found.count} of {count} outputs, and no more for {STALL_SECONDS:.0f} s")
        return found

    def counts(self) -> Counter[str]:
        """Return the outputs by the catalogue's name of their topic."""
        return Counter(self._topics[name].name for _, name, *_ in self.arrivals)

    def digests(self) -> frozenset[bytes]:
        """Return a digest of each output, leaving out when it was made: who did the same work has the same ones."""
        found = (_told(decode(self._topics[name].record, value)) for _, name, _, value in self.arrivals)
        return frozenset(hashlib.blake2b(one.encode(), digest_size=8).digest() for one in found)

    def close(self) -> None:
        """Let go of the client."""
        self._consumer.close()


@contextmanager
def reading(settings: Settings, topics: Sequence[Topic]) -> Iterator[Outcomes]:
    """Read topics for as long as the block lasts."""
    outcomes = Outcomes(settings, topics)
    try:
        yield outcomes
    finally:
        outcomes.close()


def _told(record: Any) -> str:
    names = {field.name for field in dataclasses.fields(record)}
    timeless = {name: datetime.min.replace(tzinfo=UTC) for name in _OF_THE_LAP if name in names}
    return repr(dataclasses.replace(record, **timeless))
