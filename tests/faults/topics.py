"""What is in the topics, as the messages that a stage is fed, by the verifier's own reader; and what is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from confluent_kafka import Producer

from deploy.commands.verify.topics import PrefixedTopics
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import decode, encode
from schemas.principals import Principal
from schemas.records import Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic
from streams.core.stage import Message

R = TypeVar("R", bound=Record)


def messages(settings: Settings, topic: Topic) -> list[Message]:
    """Return the committed messages of a topic, in order within each partition."""
    cluster = PrefixedTopics(settings, Principal.DEMO)
    return [
        Message(
            topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers,
            datetime.fromtimestamp(raw.appended_ms / 1000, UTC),
        )
        for raw in cluster.read(topic.name, cluster.marks(topic.name))
    ]  # fmt: skip


def records(settings: Settings, topic: Topic, kind: type[R]) -> list[R]:
    """Return the committed records of a topic, in order within each partition."""
    return [decode(kind, message.value) for message in messages(settings, topic) if message.value]


def taken(settings: Settings, stage: str, topic: Topic) -> bool:
    """Return whether a stage has settled every message that is now in a topic."""
    committed = PrefixedTopics(settings, Principal.DEMO).committed(f"millrace-{stage}", topic.name)
    return all(one.offset < committed.get(one.partition, 0) for one in messages(settings, topic))


def publish(settings: Settings, topic: Topic, workload: str, *values: Record) -> None:
    """Write records of one workload, and wait until they are acknowledged."""
    client = Producer(producer(settings))
    for value in values:
        client.produce(
            topic_name(settings, topic), encode(value), workload.encode(), partition_of(workload, PARTITIONS)
        )
    assert client.flush(30) == 0
