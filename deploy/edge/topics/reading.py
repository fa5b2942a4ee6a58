"""Reads one of our topics as it stands now, read_committed, for commands that people call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.command_clients import no_answer, settled
from deploy.edge.topics.framing import Framing
from schemas.errors import ContractError, RecordRejected, Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.records import Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic

_SECONDS: Final = 15.0
_READ: Final = 1_000
_TURN_SECONDS: Final = 0.05  # a turn that brings fewer than _READ waits for all of it

R = TypeVar("R", bound=Record)


class Placed(NamedTuple, Generic[R]):
    """A record, where it stands in its workload's partition, and when the broker appended it (UTC)."""

    offset: int
    appended: datetime
    record: R


def read_records(
    settings: Settings, reader: Principal, framing: Framing, topic: Topic, record: type[R], workload: str
) -> Iterator[R]:
    """Yield the records of a workload on a topic, oldest first; all else is as for `read_placed`."""
    for placed in read_placed(settings, reader, framing, topic, record, workload):
        yield placed.record


def read_placed(
    settings: Settings, reader: Principal, framing: Framing, topic: Topic, record: type[R], workload: str
) -> Iterator[Placed[R]]:
    """Yield the records of a workload on a topic, oldest first, with their places.

    Args:
        settings: the cluster and the prefix.
        reader: who reads, as for `read_partition`.
        framing: decodes them.
        topic: of the catalogue.
        record: what the topic holds.
        workload: whose.

    Raises:
        ContractError: the topic is missing, or holds something else.
        Unavailable: the cluster does not answer.
    """
    partition = partition_of(workload, PARTITIONS)
    for raw in read_partition(settings, reader, topic, partition):
        if raw.value() is None and topic.compacted:
            continue  # a key that was removed
        try:
            found: Any = framing.decode(record, raw.value() or b"")
        except RecordRejected as error:
            where = f"{topic.name}/{partition} at offset {raw.offset()}"
            raise ContractError(f"{where} is no record of its topic: {error.detail}") from error
        if found.workload == workload:
            yield Placed(raw.offset(), datetime.fromtimestamp(raw.timestamp()[1] / 1000, UTC), found)


def read_partition(
    settings: Settings, reader: Principal, topic: Topic, partition: int, start: int = 0, end: int | None = None
) -> Iterator[Any]:
    """Yield the messages of a partition from `start`, or what is kept, to below `end`, or what stands there now.

    Args:
        settings: the cluster and the prefix.
        reader: who reads, by the catalogue: no group is ever joined, no offset committed.
        topic: of the catalogue.
        partition: its number.
        start: first offset.
        end: offset to stop below.

    Raises:
        ContractError: the topic is missing, or the catalogue does not give it to the reader.
        Unavailable: the cluster does not answer.
    """
    place = _place(settings, reader, topic, partition)
    with _consumer(settings, reader) as consumer:
        low, high = _marks(consumer, place)
        place.offset, stop = max(start, low), high if end is None else min(end, high)
        if place.offset < stop:
            consumer.assign([place])
            yield from _until(consumer, stop)


def end_of(settings: Settings, reader: Principal, topic: Topic, partition: int) -> int:
    """Return the offset that the next record of a partition will have.

    Raises:
        As `read_partition`.
    """
    with _consumer(settings, reader) as consumer:
        return _marks(consumer, _place(settings, reader, topic, partition))[1]


def follow(
    settings: Settings, reader: Principal, topic: Topic, partition: int, start: int, seconds: float
) -> Iterator[Any]:
    """Yield the messages of a partition from `start` on as they come, for so many seconds.

    Raises:
        Unavailable: the cluster does not answer.
    """
    place, deadline = _place(settings, reader, topic, partition), time.monotonic() + seconds
    place.offset = start
    with _consumer(settings, reader) as consumer:
        consumer.assign([place])
        while (left := deadline - time.monotonic()) > 0:
            raw = consumer.poll(left)
            if raw is not None and raw.error() is None:
                yield raw


def _place(settings: Settings, reader: Principal, topic: Topic, partition: int) -> TopicPartition:
    return TopicPartition(TopicNames(settings, reader, TopicAccess.READ)[topic], partition)


@contextmanager
def _consumer(settings: Settings, reader: Principal) -> Iterator[Consumer]:
    consumer = command_clients.consumer(settings, reader)
    try:
        yield consumer
    except KafkaException as error:
        raise no_answer(settings.bootstrap_servers, error.args[0]) from error
    finally:
        consumer.close()


def _marks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the first and the next offset."""
    known = consumer.list_topics(place.topic, timeout=_SECONDS).topics[place.topic]
    if known.error is not None:
        raise ContractError(f"{place.topic}: {known.error.str()}: run `millrace topics apply`")
    return settled(lambda: consumer.get_watermark_offsets(place, timeout=_SECONDS))


def _until(consumer: Consumer, stop: int) -> Iterator[Any]:
    """Yield messages below `stop`; a transaction's marker or an aborted record may be the last before it."""
    while True:
        for raw in consumer.consume(_READ, _TURN_SECONDS):
            error = raw.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its codes are named so
                raise Unavailable(f"{raw.topic()}: {error.str()}")
            if (raw.offset() or 0) >= stop:
                return
            if error is None:
                yield raw
