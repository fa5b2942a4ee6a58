"""Reads a workload's retrain requests, oldest first. Read_committed, without a group."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from deploy.edge.topics.framing import Framing
from schemas.errors import ContractError, RecordRejected, Unavailable
from schemas.events import RetrainRequest
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, RETRAIN_REQUESTS

_SECONDS: Final = 15.0
_TURN_SECONDS: Final = 0.05


def requests_of(settings: Settings, workload: str) -> list[RetrainRequest]:
    """Return every request of a workload that the topic still keeps.

    Raises:
        ContractError: the topic is missing.
        Unavailable: the cluster does not answer.
    """
    place = TopicPartition(topic_name(settings, RETRAIN_REQUESTS), partition_of(workload, PARTITIONS))
    framing, found = Framing(settings), list[RetrainRequest]()
    for value in _values(settings, place):
        try:
            request = framing.decode(RetrainRequest, value)
        except RecordRejected as error:
            raise ContractError(f"{place.topic}: a record is no retrain request known here: {error.detail}") from error
        if request.workload == workload:
            found.append(request)
    return found


def _values(settings: Settings, place: TopicPartition) -> list[bytes]:
    consumer = Consumer(librdkafka(settings) | {
        "group.id": f"{settings.topic_prefix}millrace-triggers",  # asked for by the client; never joined
        "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,  # at the end of a partition the broker holds an answer back for so long
    })  # fmt: skip
    try:
        known = consumer.list_topics(place.topic, timeout=_SECONDS).topics[place.topic]
        if known.error is not None:
            raise ContractError(f"{place.topic}: {known.error.str()}: run `millrace topics apply`")
        place.offset, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
        return _until(consumer, place, end) if place.offset < end else []
    except KafkaException as error:
        told = error.args[0].str()
        raise Unavailable(f"no answer from {settings.bootstrap_servers}: {told}") from error
    finally:
        consumer.close()


def _until(consumer: Consumer, place: TopicPartition, end: int) -> list[bytes]:
    """Return the values below `end`; a transaction's marker may be the last before it."""
    consumer.assign([place])
    values: list[bytes] = []
    while True:
        for raw in consumer.consume(1_000, _TURN_SECONDS):
            error = raw.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its codes are named so
                raise Unavailable(f"{place.topic}: {error.str()}")
            if (raw.offset() or 0) >= end:
                return values
            if error is None:
                values.append(raw.value() or b"")
