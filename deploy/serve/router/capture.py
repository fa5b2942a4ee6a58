"""What the router sends to Kafka, off the hot path: a bounded queue, a thread with a producer, a count of the dropped.

`offer` never waits. Kafka down: the queue fills, then records are dropped and counted; answers go on. Not exactly once:
a router that is killed loses what is queued.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, Producer

from deploy.edge.topics import clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.framing import Framing
from deploy.serve.router import metrics
from deploy.serve.router.settings import RouterSettings
from schemas.errors import ContractError, Unavailable
from schemas.principals import Principal, TopicAccess
from schemas.records import Record
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, Topic

_WAIT_SECONDS: Final = 0.1
_REGISTRY_SECONDS: Final = 2.0
_FLUSH_SECONDS: Final = 5.0

log = logging.getLogger("millrace.router.capture")

Delivered = Callable[[], None]
_Item = tuple[Topic, str, Record, Delivered | None]


class Sink(Protocol):
    """Where records go without anybody waiting for it."""

    def offer(self, topic: Topic, workload: str, record: Record, delivered: Delivered | None = None) -> bool:
        """Take a record, or drop and count it; `delivered` runs after the broker's ack, perhaps in another thread."""
        ...


class Capture:
    """Sends records of any topic in the background."""

    def __init__(self, settings: RouterSettings) -> None:
        self._framing, self._names = Framing(settings), TopicNames(settings, Principal.ROUTER, TopicAccess.WRITE)
        self._queue: queue.Queue[_Item] = queue.Queue(settings.capture_queue)
        options = clients.producer(settings, queue_buffering_max_messages=settings.capture_queue, linger_ms=20)
        self._producer = Producer(options | clients.SILENT)  # the queue's depth and the drops say it better
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()
        metrics.CAPTURE_DEPTH.set_function(self.depth)

    def offer(self, topic: Topic, workload: str, record: Record, delivered: Delivered | None = None) -> bool:
        """Queue a record, or drop and count it; `delivered` runs in the capture thread after the broker's ack.

        Raises:
            ContractError: the catalogue does not give the topic to the router.
        """
        self._names[topic]  # refused here, not in the thread
        try:
            self._queue.put_nowait((topic, workload, record, delivered))
        except queue.Full:
            metrics.CAPTURE_DROPPED.labels(topic.name, "queue_full").inc()
            return False
        return True

    def depth(self) -> int:
        """Return how many records wait, here and in the producer."""
        return self._queue.qsize() + len(self._producer)

    def close(self) -> int:
        """Send what is queued for some seconds; return how many records were left behind."""
        self._stopping.set()
        self._thread.join(_FLUSH_SECONDS)
        self._producer.flush(_FLUSH_SECONDS)
        left = self.depth()
        if left:
            metrics.CAPTURE_DROPPED.labels("any", "shutdown").inc(left)
        return left

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._queue.empty()):
            self._producer.poll(0)
            try:
                item = self._queue.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue
            self._produce(*item)

    def _produce(self, topic: Topic, workload: str, record: Record, delivered: Delivered | None) -> None:
        name = self._names[topic]

        def done(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                metrics.CAPTURE_DROPPED.labels(topic.name, "delivery").inc()
                return
            metrics.CAPTURED.labels(topic.name).inc()
            if delivered is not None:
                delivered()

        value, partition = self._encoded(topic, record), partition_of(workload, PARTITIONS)
        while value is not None:
            try:
                self._producer.produce(name, value, workload.encode(), partition, on_delivery=done)
            except BufferError:
                if self._stopping.is_set():
                    metrics.CAPTURE_DROPPED.labels(topic.name, "shutdown").inc()
                    return
                self._producer.poll(_WAIT_SECONDS)
            else:
                return

    def _encoded(self, topic: Topic, record: Record) -> bytes | None:
        """Return the record's bytes; while the schema registry does not answer, wait as for a broker."""
        while True:
            try:
                return self._framing.encode(topic, record)
            except Unavailable as error:
                log.warning("%s: %s; captures wait", topic.name, error)
                if self._stopping.wait(_REGISTRY_SECONDS):
                    metrics.CAPTURE_DROPPED.labels(topic.name, "shutdown").inc()
                    return None
            except ContractError as error:
                log.error("%s: %s", topic.name, error)  # noqa: TRY400 - the registry's refusal says all
                metrics.CAPTURE_DROPPED.labels(topic.name, "schema_refused").inc()
                return None
