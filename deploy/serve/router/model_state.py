"""Reads model-state from its beginning, without a group, and goes on reading: every router sees every state.

Kafka unreachable at the start or later is no failure: it is tried again, and the router serves what it knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.edge.process.settings import Settings
from deploy.edge.topics import clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.framing import Framing
from deploy.serve.router import metrics
from schemas.errors import RecordRejected, Unavailable
from schemas.events import ModelState
from schemas.principals import Principal, TopicAccess
from schemas.topics import MODEL_STATE, PARTITIONS

_RETRY_SECONDS: Final = 2.0
_POLL_MS: Final = 250

log = logging.getLogger("millrace.router.follow")


async def follow(settings: Settings, apply: Callable[[list[ModelState]], None], caught_up: Callable[[], None]) -> None:
    """Feed every state to `apply`, for ever; call `caught_up` once the end was reached for the first time."""
    framing = Framing(settings)
    while True:
        try:
            await _read(settings, framing, apply, caught_up)
        except (KafkaError, OSError, Unavailable) as error:
            metrics.FOLLOWING.set(0)
            log.warning("model-state cannot be read: %s; serving what is known", error)
        await asyncio.sleep(_RETRY_SECONDS)


async def _read(
    settings: Settings, framing: Framing, apply: Callable[[list[ModelState]], None], caught_up: Callable[[], None]
) -> None:
    # Not seek_to_beginning: a reset to the default place that is under way may win over it, and states be missed.
    options = clients.aiokafka(
        settings, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    consumer, name = AIOKafkaConsumer(**options), TopicNames(settings, Principal.ROUTER, TopicAccess.READ)[MODEL_STATE]
    try:
        await consumer.start()
        places = [TopicPartition(name, n) for n in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        reported = False
        while True:
            batches = await consumer.getmany(timeout_ms=_POLL_MS)
            values = [message.value for messages in batches.values() for message in messages]
            await asyncio.to_thread(framing.learn, values)  # may wait for the registry; answers go on
            apply(_decoded(framing, values))
            if reported:
                continue
            reached = [await consumer.position(place) >= ends[place] for place in places]
            if all(reached):
                reported = True
                metrics.FOLLOWING.set(1)
                caught_up()
    finally:
        await consumer.stop()


def _decoded(framing: Framing, values: list[bytes | None]) -> list[ModelState]:
    states = []
    for value in values:
        if value is None:  # a compacted line that was removed
            continue
        try:
            states.append(framing.decode(ModelState, value))
        except RecordRejected as error:
            log.warning("a model state cannot be read: %s", error.reason)
    return states
