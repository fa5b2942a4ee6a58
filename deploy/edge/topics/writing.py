"""Writes records to our topics for commands that people call: all of them in one Kafka transaction, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.errors import MillraceError, Unavailable
from schemas.rules.places import Headers
from schemas.topics import Topic

_SECONDS: Final = 30.0

# topic, partition, key, value, headers -> what returns the record's offset, once all is committed
Write = Callable[[Topic, int, bytes | None, bytes | None, Headers], Callable[[], int]]


@contextmanager
def transaction(settings: Settings, name: str) -> Iterator[Write]:
    """Give a function that writes one record; all that it wrote is committed at the end.

    Args:
        settings: the cluster and the prefix.
        name: of the command: whoever opens the same later fences this one off, and its records are never seen.

    Raises:
        Unavailable: the cluster did not take them; nothing is written.
    """
    client = Producer(producer(settings) | {"transactional.id": f"{settings.topic_prefix}millrace-{name}"})
    refused: list[str] = []

    def write(
        topic: Topic, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Callable[[], int]:
        offset: list[int] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                refused.append(error.str())
            else:
                offset.append(message.offset())

        where = topic_name(settings, topic)
        client.produce(where, value, key, partition, on_delivery=delivered, headers=list(headers))
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
