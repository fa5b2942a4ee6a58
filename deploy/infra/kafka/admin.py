"""Kafka's clients for the cluster's own business, without their running commentary."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient


def connect(config: dict[str, Any]) -> AdminClient:
    """Return an admin client that does not write each refused connection to standard error: its callers tell."""
    return AdminClient({"reconnect.backoff.max.ms": 200} | config, logger=_quiet())


def positions_of(config: dict[str, Any], group: str) -> Consumer:
    """Return a client that reads and writes a group's offsets without joining it.

    Asking the admin client instead loses the first request for a new group, and the client then never ends: seen with
    librdkafka 2.16 while the broker was making its offsets topic.
    """
    return Consumer(config | {"group.id": group, "enable.auto.commit": False}, logger=_quiet())


def _quiet() -> logging.Logger:
    quiet = logging.getLogger("millrace.kafka.quiet")
    quiet.setLevel(logging.CRITICAL)
    return quiet
