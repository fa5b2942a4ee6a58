"""Kafka's admin client, quiet and patient: a request is repeated while the cluster is settling, up to a deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

# Seen for a second or so after a broker starts, a topic is made, or a group is first asked for.
_SETTLING: Final = {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - librdkafka's own codes are named so
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
# A first question to a new group can be lost while the broker makes its offsets topic; asked again, it is answered.
REQUEST_SECONDS: Final = 3.0

T = TypeVar("T")


def connect(config: dict[str, Any]) -> AdminClient:
    """Return an admin client that does not write each refused connection to standard error: its callers tell."""
    quiet = logging.getLogger("millrace.kafka.admin")
    quiet.setLevel(logging.CRITICAL)
    return AdminClient({"reconnect.backoff.max.ms": 200} | config, logger=quiet)


def patiently(ask: Callable[[], Future[T]], seconds: float = 30.0) -> T:
    """Return the answer to a request, asking again while the cluster is settling.

    Args:
        ask: sends the request, with a timeout of REQUEST_SECONDS.
        seconds: until when to try.

    Raises:
        KafkaException: the cluster refuses, or is still not settled.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask().result(2 * REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _SETTLING or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
