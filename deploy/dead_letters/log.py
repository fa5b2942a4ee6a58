"""Reads topics by place: the letters, and what stands of a record at its origin and behind it. Read_committed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from deploy.dead_letters.letters import Letter
from deploy.edge.framing import Framing
from deploy.edge.kafka import librdkafka, topic_name
from deploy.edge.settings import Settings
from schemas.errors import BadInput, ContractError, RecordRejected, Unavailable
from schemas.records import DeadLetter
from schemas.rules.places import Place
from schemas.topics import DEAD_LETTERS, PARTITIONS, Topic

_SECONDS: Final = 15.0
_READ: Final = 1_000
_TURN_SECONDS: Final = 0.05  # a turn that brings fewer than _READ waits for all of it


class Log:
    """The topics of one prefix, as they stand now."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._framing = settings, Framing(settings)

    def letters(self) -> Iterator[Letter]:
        """Yield every letter that is kept, partition by partition.

        Raises:
            ContractError: the topic is missing, or holds what is no dead letter.
            Unavailable: the cluster does not answer.
        """
        for partition in range(PARTITIONS):
            for raw in self.read(DEAD_LETTERS, partition):
                yield self._letter(raw)

    def letter(self, place: Place) -> Letter:
        """Return the letter at a place.

        Raises:
            BadInput: there is none.
        """
        partition, offset = place
        if partition < PARTITIONS:
            for raw in self.read(DEAD_LETTERS, partition, offset, offset + 1):
                return self._letter(raw)
        raise BadInput("PARTITION:OFFSET", f"{partition}:{offset}", "no letter stands there; `list` shows those kept")

    def read(self, topic: Topic, partition: int, start: int = 0, end: int | None = None) -> Iterator[Any]:
        """Yield the messages of a partition from `start`, or what is kept, to below `end`, or what stands there now.

        Raises:
            ContractError: the topic is missing.
            Unavailable: the cluster does not answer.
        """
        place = TopicPartition(topic_name(self._settings, topic), partition)
        consumer = self._consumer()
        try:
            low, high = self._marks(consumer, place)
            place.offset, stop = max(start, low), high if end is None else min(end, high)
            if place.offset < stop:
                consumer.assign([place])
                yield from _until(consumer, stop)
        finally:
            consumer.close()

    def _letter(self, raw: Any) -> Letter:
        try:
            record = self._framing.decode(DeadLetter, raw.value() or b"")
        except RecordRejected as error:
            where = f"{DEAD_LETTERS.name}/{raw.partition()} at offset {raw.offset()}"
            raise ContractError(f"{where} is no dead letter that is known here: {error.detail}") from error
        return Letter((raw.partition(), raw.offset()), datetime.fromtimestamp(raw.timestamp()[1] / 1000, UTC), record)

    def _marks(self, consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
        try:
            known = consumer.list_topics(place.topic, timeout=_SECONDS).topics[place.topic]
            if known.error is not None:
                raise ContractError(f"{place.topic}: {known.error.str()}: run `millrace topics apply`")
            return consumer.get_watermark_offsets(place, timeout=_SECONDS)
        except KafkaException as error:
            told = f"no answer from {self._settings.bootstrap_servers}: {error.args[0].str()}"
            raise Unavailable(told) from error

    def _consumer(self) -> Consumer:
        return Consumer(
            librdkafka(self._settings)
            | {
                "group.id": f"{self._settings.topic_prefix}millrace-dead-letters",  # asked for; never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # what retention takes in the meantime is passed over
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
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
