"""Reads one of our topics as it stands now, read_committed, for commands that people call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from deploy.edge.topics.framing import Framing
from schemas.errors import ContractError, RecordRejected, Unavailable
from schemas.records import Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic

_SECONDS: Final = 15.0
_READ: Final = 1_000
_TURN_SECONDS: Final = 0.05  # a turn that brings fewer than _READ waits for all of it
_ELECTIONS: Final = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)

R = TypeVar("R", bound=Record)


class Placed(NamedTuple, Generic[R]):
    """A record, where it stands in its workload's partition, and when the broker appended it (UTC)."""

    offset: int
    appended: datetime
    record: R


def read_records(
    settings: Settings, reader: str, framing: Framing, topic: Topic, record: type[R], workload: str
) -> Iterator[R]:
    """Yield the records of a workload on a topic, oldest first; all else is as for `read_placed`."""
    for placed in read_placed(settings, reader, framing, topic, record, workload):
        yield placed.record


def read_placed(
    settings: Settings, reader: str, framing: Framing, topic: Topic, record: type[R], workload: str
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
        try:
            found: Any = framing.decode(record, raw.value() or b"")
        except RecordRejected as error:
            where = f"{topic.name}/{partition} at offset {raw.offset()}"
            raise ContractError(f"{where} is no record of its topic: {error.detail}") from error
        if found.workload == workload:
            yield Placed(raw.offset(), datetime.fromtimestamp(raw.timestamp()[1] / 1000, UTC), found)


def read_partition(
    settings: Settings, reader: str, topic: Topic, partition: int, start: int = 0, end: int | None = None
) -> Iterator[Any]:
    """Yield the messages of a partition from `start`, or what is kept, to below `end`, or what stands there now.

    Args:
        settings: the cluster and the prefix.
        reader: who reads, for the cluster's quotas and access lists: no group is ever joined, no offset committed.
        topic: of the catalogue.
        partition: its number.
        start: first offset.
        end: offset to stop below.

    Raises:
        ContractError: the topic is missing.
        Unavailable: the cluster does not answer.
    """
    place = TopicPartition(topic_name(settings, topic), partition)
    consumer = _consumer(settings, reader)
    try:
        low, high = _marks(settings, consumer, place)
        place.offset, stop = max(start, low), high if end is None else min(end, high)
        if place.offset < stop:
            consumer.assign([place])
            yield from _until(consumer, stop)
    finally:
        consumer.close()


def _marks(settings: Settings, consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    try:
        known = consumer.list_topics(place.topic, timeout=_SECONDS).topics[place.topic]
        if known.error is not None:
            raise ContractError(f"{place.topic}: {known.error.str()}: run `millrace topics apply`")
        return watermarks(consumer, place)
    except KafkaException as error:
        raise Unavailable(f"no answer from {settings.bootstrap_servers}: {error.args[0].str()}") from error


def _elects(error: BaseException) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in _ELECTIONS


@retry(retry=retry_if_exception(_elects), stop=stop_after_delay(_SECONDS), wait=wait_fixed(0.2), reraise=True)
def watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the first and the next offset; a partition that is just made or moved has no leader for a moment."""
    return consumer.get_watermark_offsets(place, timeout=_SECONDS)


def _consumer(settings: Settings, reader: str) -> Consumer:
    return Consumer(
        librdkafka(settings)
        | {
            "group.id": f"{settings.topic_prefix}millrace-{reader}",  # asked for; never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # what retention takes in the meantime is passed over
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,  # at the end of a partition the broker holds an answer back for so long
        }
    )


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
