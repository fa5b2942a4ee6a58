"""Reads our own topics back on assignment: state is a view of them. In this order:

  1 the group's committed offsets, asked until they answer, so that no transaction of the partition's last owner is
    still open
  2 the read_uncommitted high watermarks
  3 everything below them, read_committed
  4 go on

The clients here belong to no group: nothing they do moves an offset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.edge.topics.clients import TopicNames, groupless, librdkafka
from schemas.principals import Principal, TopicAccess
from schemas.topics import Topic
from streams.core.stage import Message
from streams.core.transaction import WorkerFailed
from streams.settings import WorkerSettings

_READ: Final = 2_000  # records a call
_ANSWER_SECONDS: Final = 10.0
_SETTLING_SECONDS: Final = 60.0  # a partition may be between two leaders


class OwnTopics:
    """The `Reader` a stage rebuilds a partition with."""

    def __init__(self, settings: WorkerSettings, stage: Principal, committed: Mapping[tuple[str, int], int]) -> None:
        self._settings, self._stage, self._committed = settings, stage, committed
        self._names = TopicNames(settings, stage, TopicAccess.REBUILD)
        self._sources = TopicNames(settings, stage, TopicAccess.CONSUME)
        self._marks: dict[tuple[str, int], int] = {}
        self._given_up = threading.Event()
        self.records = 0  # read so far: a rebuild that goes on is progress

    def read(self, topic: Topic, partition: int, start: int | None = None) -> Iterator[Message]:
        """Yield the messages of a partition in order, up to the high watermark."""
        name = self._names[topic]
        low, mark = self._marks_of(name, partition)
        if max(low, start or 0) >= mark:
            return
        consumer = Consumer(groupless(self._settings, self._stage))
        consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING if start is None else max(start, low))])
        try:
            yield from self._until(consumer, topic, mark)
        finally:
            consumer.close()

    def topic_id(self, topic: Topic) -> str:
        """Return the broker's id of the topic."""
        name = self._names[topic]
        admin = AdminClient(librdkafka(self._settings))
        description = admin.describe_topics(TopicCollection([name]), request_timeout=_ANSWER_SECONDS)[name].result()
        return str(description.topic_id)

    def committed(self, topic: Topic, partition: int) -> int:
        """Return the offset from which the stage will go on in one of its sources."""
        return self._committed[self._sources[topic], partition]

    def give_up(self) -> None:
        """End what is being read: the worker is to stop, or the partition went elsewhere."""
        self._given_up.set()

    def _until(self, consumer: Consumer, topic: Topic, mark: int) -> Iterator[Message]:
        while not self._given_up.is_set():
            first = consumer.poll(0.2)  # `consume` alone waits for its time where there are fewer than asked
            for raw in (first, *consumer.consume(_READ, 0.0)) if first is not None else ():
                error = raw.error()
                if error is None:
                    if (raw.offset() or 0) >= mark:
                        return
                    self.records += 1
                    yield to_message(topic, raw)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are named so
                    if (raw.offset() or 0) >= mark:
                        return
                elif error.fatal() or not error.retriable():
                    raise WorkerFailed(f"{topic.name} cannot be read back: {error.str()}")
        raise WorkerFailed(f"{topic.name} was not read back to its end: the worker stops")

    def _marks_of(self, name: str, partition: int) -> tuple[int, int]:
        """Return where the partition begins and ended when it was first asked for, whatever was committed then."""
        consumer = Consumer(groupless(self._settings, self._stage, "read_uncommitted"))
        deadline = time.monotonic() + _SETTLING_SECONDS
        try:
            while True:
                try:
                    low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=_ANSWER_SECONDS)
                except KafkaException as error:
                    if time.monotonic() > deadline:
                        raise WorkerFailed(f"{name}: no watermarks: {error.args[0].str()}") from error
                    time.sleep(0.1)
                else:
                    return low, self._marks.setdefault((name, partition), high)
        finally:
            consumer.close()


def to_message(topic: Topic, raw: Any) -> Message:
    """Return a consumed record as a stage sees it."""
    headers = raw.headers()
    return Message(
        topic, raw.partition(), raw.offset(), raw.key(), raw.value(), tuple(headers) if headers else (),
        _moment(raw.timestamp()[1]),
    )  # fmt: skip


@lru_cache(maxsize=1_024)  # the records of one producer's batch share their append time
def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
