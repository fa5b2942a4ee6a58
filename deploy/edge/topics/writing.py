"""Writes records to our topics for commands that people call: several in one Kafka transaction, or one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import KafkaException

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from schemas.errors import MillraceError, Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.rules.places import Headers
from schemas.topics import Topic

_SECONDS: Final = 30.0

# topic, partition, key, value, headers -> what returns the record's offset, once all is committed
Write = Callable[[Topic, int, bytes | None, bytes | None, Headers], Callable[[], int]]


@contextmanager
def transaction(settings: Settings, writer: Principal, fencing: Principal | None = None) -> Iterator[Write]:
    """Give a function that writes one record; all that it wrote is committed at the end.

    Args:
        settings: the cluster and the prefix.
        writer: of the records: whoever opens the same later fences this one off, and its records are never seen.
        fencing: whose transactions are ended instead of the writer's own, and held off until these are over.

    Raises:
        ContractError: the catalogue does not give a topic to the writer.
        Unavailable: the cluster did not take them; nothing is written.
    """
    client = command_clients.producer(settings, transactional_id=transactional_id(settings, fencing or writer))
    names, refused = TopicNames(settings, writer, TopicAccess.WRITE), list[str]()

    def write(
        topic: Topic, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Callable[[], int]:
        offset: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                refused.append(error.str())
            else:
                offset.append(message.offset())

        client.produce(names[topic], value, key, partition, on_delivery=delivered, headers=list(headers))
        client.poll(0)
        return lambda: offset[0]

    try:
        client.init_transactions(_SECONDS)
        client.begin_transaction()
        try:
            yield write
        except MillraceError:
            client.abort_transaction(_SECONDS)
            raise
        if client.flush(_SECONDS) or refused:
            client.abort_transaction(_SECONDS)
            raise Unavailable(f"the cluster took nothing of it: {(refused or ['no answer'])[0]}; run the command again")
        client.commit_transaction(_SECONDS)
    except (KafkaException, BufferError) as error:
        raise Unavailable(
            f"no answer from {settings.bootstrap_servers}, nothing was written: {error}; run the command again"
        ) from error


def write_one(settings: Settings, writer: Principal, topic: Topic, partition: int, key: bytes, value: bytes) -> None:
    """Write one record and wait for its acknowledgement; who writes at the same time is not disturbed.

    Raises:
        ContractError: the catalogue does not give the topic to the writer.
        Unavailable: the cluster has not acknowledged it.
    """
    name = TopicNames(settings, writer, TopicAccess.WRITE)[topic]
    client = command_clients.producer(settings, delivery_timeout_ms=int(_SECONDS * 1000))
    refused: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            refused.append(error.str())

    client.produce(name, value, key, partition, on_delivery=delivered)
    if client.flush(_SECONDS) or refused:
        why = refused[0] if refused else "no answer"
        raise Unavailable(f"the cluster has not acknowledged it: {why}; run the command again")


def transactional_id(settings: Settings, writer: Principal) -> str:
    """Return the name by which Kafka identifies a command's transactions."""
    return f"{settings.topic_prefix}millrace-{writer}"
