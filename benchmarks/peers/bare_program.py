"""A plain confluent-kafka loop, at least once: `python -m benchmarks.peers.bare_program curate|pass`.

Consume a batch, curate it record by record, produce it; once a second flush and commit. No group state, no retries, no
dead letter for a fault of our own, no shutdown: the least that one process can do, and the ceiling for any framework.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from confluent_kafka import Consumer, Producer

from benchmarks.peers.curation import Curation
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from schemas.topics import CURATED, TRAFFIC

_BATCH: Final = 2_000
_COMMIT_SECONDS: Final = 1.0


def main() -> None:
    """Run until killed."""
    settings = Settings.load()
    curation = None if sys.argv[1] == "pass" else Curation(settings)
    more = {"group.id": f"{settings.topic_prefix}bare", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer, out = Consumer(librdkafka(settings) | more), Producer(producer(settings))
    consumer.subscribe([topic_name(settings, TRAFFIC)])
    committed = time.monotonic()
    while True:
        for topic, batch in _outputs(settings, curation, consumer.consume(_BATCH, 0.05)).items():
            while out.produce_batch(topic, batch) < len(batch):
                batch = [{"key": one["key"], "value": one["value"]} for one in batch if "_error" in one]  # noqa: PLW2901 - what the full queue refused
                out.poll(0.1)
        out.poll(0)
        if time.monotonic() - committed >= _COMMIT_SECONDS and consumer.assignment():
            out.flush()
            consumer.commit(asynchronous=True)
            committed = time.monotonic()


def _outputs(settings: Settings, curation: Curation | None, messages: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """Return what is to be produced, by topic."""
    found: dict[str, list[dict[str, Any]]] = {}
    for raw in messages:
        if raw.error() is not None:
            continue
        key, value = raw.key(), raw.value()
        topic = CURATED
        if curation is not None:
            topic, value = curation(raw.partition(), raw.offset(), key, value, raw.headers(), raw.timestamp()[1])
        found.setdefault(topic_name(settings, topic), []).append({"key": key, "value": value})
    return found


if __name__ == "__main__":
    main()
