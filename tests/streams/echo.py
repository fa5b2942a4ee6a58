"""A stage for tests of the source: one CuratedRecord for each traffic record, and faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from schemas.codec import decode, encode
from schemas.errors import RecordRejected, Unavailable
from schemas.principals import Principal
from schemas.records import CuratedRecord, Origin, Record, TrafficRecord
from schemas.topics import CURATED, DEAD_LETTERS, PARTITIONS, STAGES, TRAFFIC, Topic
from streams.core.batch import Batch
from streams.core.dead_letter import dead_letter, failed
from streams.core.source import Source
from streams.core.stage import Message, Output, Reader, Settlement, Stage
from streams.settings import WorkerSettings

NOW = datetime(2026, 1, 5, tzinfo=UTC)


class Echo:
    """Writes the text of each record as the record_id of a curated record."""

    name = Principal.CURATE
    sources: tuple[Topic, ...] = STAGES[name]
    batch_records = 1_000

    def __init__(self) -> None:
        self.poisonous: set[str] = set()
        self.unavailable = 0  # how many calls fail before the teacher answers
        self.huge: set[str] = set()
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()
        self.due: dict[int, str] = {}  # a tick's outputs, until they are committed
        self.rebuilt: dict[int, list[str]] = {}
        self.calls = 0
        self.committed: list[str] = []
        self.dropped = 0

    def assign(self, partition: int, reader: Reader) -> None:
        found = reader.read(CURATED, partition)
        self.rebuilt[partition] = [decode(CuratedRecord, message.value or b"").record_id for message in found]

    def revoke(self, partition: int) -> None:
        self.rebuilt.pop(partition, None)

    async def process(self, messages: Sequence[Message]) -> Settlement:
        self.calls += 1
        if self.unavailable:
            self.unavailable -= 1
            raise Unavailable("no teacher")
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        texts = [decode(TrafficRecord, message.value or b"").text or "" for message in messages]
        if self.poisonous & set(texts):
            raise ValueError("cannot digest this")
        outputs = [
            echoed(message.partition, text, "x" * 3_000_000 if text in self.huge else "", message.offset)
            for message, text in zip(messages, texts, strict=True)
        ]

        def aborted() -> None:
            self.dropped += 1

        return Settlement(outputs, lambda: self.committed.extend(texts), aborted)

    def poison(self, message: Message, error: Exception, attempts: int) -> Settlement:
        return Settlement([refused(message, failed(error), attempts)])

    async def tick(self, now: datetime) -> dict[int, Settlement]:
        return {number: self._due(number, text) for number, text in self.due.items()}

    def _due(self, number: int, text: str) -> Settlement:
        def written() -> None:
            del self.due[number]

        return Settlement([echoed(number, text)], written)


def refused(message: Message, rejected: RecordRejected, attempts: int = 1) -> Output:
    """Return the dead letter of a message, without its bytes."""
    return dead_letter(message, "curate", rejected, b"", workload="w", record_id=None, attempts=attempts)


def echoed(partition: int, text: str, detail: str = "", offset: int = 0) -> Output:
    """Return the output that says a text."""
    origin = Origin(topic="traffic", partition=partition, offset=offset)
    record = CuratedRecord(
        record_id=text, workload="w", origin=origin, event_time=NOW, arrival_time=NOW, text=detail, text_key=text,
        cluster_id=text,
    )  # fmt: skip
    return Output(CURATED, partition, "w", record)


@asynccontextmanager
async def started(
    settings: Settings, stage: Stage, folder: str = "state", **changes: Any
) -> AsyncIterator[tuple[Source, asyncio.Task[None]]]:
    """Run a source with a plain queue in the place of the Faust channel."""
    more = {"state_dir": settings.state_dir / folder, "retry_seconds": 0.01, "session_timeout_seconds": 6} | changes
    queue: asyncio.Queue[Batch] = asyncio.Queue()
    source = Source(WorkerSettings(**settings.model_dump() | more), stage, queue.put)

    async def agent() -> None:
        while True:
            await (await queue.get()).put_through()

    working, running = asyncio.create_task(agent()), asyncio.create_task(source.run())
    try:
        yield source, running
    finally:
        source.stop()
        await asyncio.gather(running, return_exceptions=True)
        working.cancel()


def feed(settings: Settings, texts: Sequence[str]) -> None:
    """Produce a traffic record for each text, round the partitions."""
    client = Producer(producer(settings))
    for number, text in enumerate(texts):
        value = encode(TrafficRecord(workload="w", event_time=NOW, text=text))
        client.produce(topic_name(settings, TRAFFIC), value, b"w", number % PARTITIONS)
    assert client.flush(30) == 0


def read(settings: Settings, topic: Topic) -> list[Any]:
    """Return the committed records of a topic."""
    consumer = Consumer(
        librdkafka(settings)
        | {"group.id": "test", "enable.partition.eof": True, "fetch.wait.max.ms": 20,
           "isolation.level": "read_committed", "auto.offset.reset": "earliest"}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic_name(settings, topic), number, 0) for number in range(PARTITIONS)])
    found: list[Record] = []
    ended: set[Any] = set()
    try:
        while len(ended) < PARTITIONS:
            for raw in consumer.consume(1_000, 0.05):
                error = raw.error()
                if error is None:
                    found.append(decode(topic.record, raw.value() or b""))
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(raw.partition())
    finally:
        consumer.close()
    return found


def echoes(settings: Settings) -> list[str]:
    """Return what the stage has written, sorted."""
    return sorted(record.record_id for record in read(settings, CURATED))


def letters(settings: Settings) -> list[Any]:
    """Return the dead letters."""
    return read(settings, DEAD_LETTERS)


async def until(condition: Any, seconds: float = 40.0) -> None:
    """Poll a condition, in a thread, up to a deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.05)
