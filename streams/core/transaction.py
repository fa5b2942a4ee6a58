"""One stage's transactions: outputs and input offsets written together or not at all.

Of Kafka's errors a retriable one repeats the same call (another call would be refused as a conflict), an abortable one
aborts, a fatal one ends the process: its supervisor restarts it. No transaction is open while a stage works.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.clients import producer as producer_config
from deploy.edge.topics.framing import SINGLE_OBJECTS, Framing
from schemas.errors import MillraceError
from schemas.principals import Principal, TopicAccess
from schemas.topics import Topic
from streams.core import metrics
from streams.core.stage import Output
from streams.settings import WorkerSettings

_CALL_SECONDS: Final = 10.0
_OVERHEAD_BYTES: Final = 512  # of a record in its batch, beside key, value and headers
_QUEUE_MESSAGES: Final = 200_000  # several of the largest batches, so that a full queue is the exception
_QUEUE_KILOBYTES: Final = 262_144  # a batch has 32 MB at most (membership.py), its outputs about twice as much

log = logging.getLogger("millrace.worker.transaction")


class Aborted(Exception):
    """A transaction was rolled back; nothing of it will be seen. It can be tried again."""


class OutputRefused(Exception):
    """An output can never be written as it is: its topic takes none so large."""


class WorkerFailed(MillraceError):
    """The process cannot go on; a fresh one can."""


@dataclass(slots=True)
class Encoded:
    """Outputs as bytes: without headers by topic and partition, as `produce_batch` takes them; others one by one."""

    batches: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)  # key and value
    single: list[tuple[str, int, bytes, bytes, tuple[tuple[str, bytes], ...]]] = field(default_factory=list)


class Transactions:
    """The transactional producer of one stage. Every method but `give_up` runs in the stage's settling thread."""

    def __init__(
        self, settings: WorkerSettings, stage: Principal, instance: str, framing: Framing = SINGLE_OBJECTS
    ) -> None:
        self._stage, self._framing = stage, framing
        self._names = TopicNames(settings, stage, TopicAccess.WRITE)
        self._given_up = threading.Event()
        self._producer = Producer(
            producer_config(settings)
            | {
                "transactional.id": f"{settings.topic_prefix}millrace-{stage}-{instance}",
                "transaction.timeout.ms": int(settings.transaction_timeout_seconds * 1000),
                "queue.buffering.max.messages": _QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
            }
        )

    def open(self) -> None:
        """Register the transactional id: what an earlier process of this name left open is aborted, itself fenced."""
        self._again(lambda: self._producer.init_transactions(_CALL_SECONDS))

    def give_up(self) -> None:
        """Stop repeating calls: the process is to end now."""
        self._given_up.set()

    def encode(self, outputs: Sequence[Output]) -> Encoded:
        """Encode outputs.

        Raises:
            OutputRefused: one is larger than its topic takes.
            ContractError: the catalogue does not give a topic to the stage: no record is at fault.
        """
        encoded, encode = Encoded(), self._framing.encode
        keys = {workload: workload.encode() for workload in {output[2] for output in outputs}}
        for (topic, partition), each in _by_place(outputs).items():
            name, most = self._names[topic], topic.max_bytes - _OVERHEAD_BYTES
            batch: list[dict[str, Any]] = []
            for _, _, workload, record, headers in each:
                key, value = keys[workload], encode(topic, record)
                size = len(key) + len(value) + (_size(headers) if headers else 0)
                if size > most:
                    raise OutputRefused(f"an output to {topic.name} has {size} bytes; {most} are allowed")
                if headers:  # produce_batch cannot carry them
                    encoded.single.append((name, partition, key, value, headers))
                else:
                    batch.append({"key": key, "value": value})
            if batch:
                encoded.batches[name, partition] = batch
        return encoded

    def settle(self, outputs: Encoded, offsets: Sequence[TopicPartition], metadata: Any) -> None:
        """Write outputs and offsets in one transaction.

        Raises:
            Aborted: the transaction was rolled back.
            OutputRefused: so it was, for the broker finds an output too large.
            WorkerFailed: the producer is fenced or broken.
        """
        assert offsets, "an empty list of offsets is not fenced at all"  # noqa: S101 - a mistake of ours, never of data
        try:
            self._producer.begin_transaction()
            self._produce(outputs)
            self._again(lambda: self._producer.send_offsets_to_transaction(list(offsets), metadata, _CALL_SECONDS))
            self._again(lambda: self._producer.commit_transaction(_CALL_SECONDS))
        except (KafkaException, BufferError) as error:
            self._abort(error)
            if _is_too_large(error):
                raise OutputRefused("the broker finds an output too large") from error
            raise Aborted(str(error)) from error

    def close(self) -> None:
        """Drop what was not committed and close."""
        self._producer.purge()

    def _produce(self, outputs: Encoded) -> None:
        for (topic, partition), batch in outputs.batches.items():
            self._produce_batch(topic, partition, batch)
        for topic, partition, key, value, headers in outputs.single:
            self._produce_one(topic, partition, key, value, headers)

    def _produce_batch(self, topic: str, partition: int, messages: list[dict[str, Any]]) -> None:
        while True:
            taken = self._producer.produce_batch(topic, messages, partition=partition)
            refused = [message for message in messages if "_error" in message]
            if taken + len(refused) != len(messages):
                raise BufferError(f"{topic}: {len(messages)} records given, {taken} taken, {len(refused)} refused")
            if not refused:
                return
            errors = [message.pop("_error") for message in refused]  # after an abort the same batch comes again
            other = [error for error in errors if error.name() != "_QUEUE_FULL"]
            if other:
                raise KafkaException(other[0])
            self._wait_for_room()
            messages = refused

    def _produce_one(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=[*headers])
            except BufferError:
                self._wait_for_room()
            else:
                return

    def _wait_for_room(self) -> None:
        if self._given_up.is_set():
            raise WorkerFailed("stopped while the broker did not take outputs")
        self._producer.poll(0.1)

    def _again(self, call: Callable[[], Any]) -> None:
        """Repeat a call until it succeeds or fails for good."""
        while True:
            try:
                call()
            except KafkaException as error:
                cause = error.args[0]
                metrics.ERRORS.labels(self._stage, cause.name()).inc()
                if cause.fatal():
                    raise WorkerFailed(f"{self._stage}: {cause.name()}: {cause.str()}") from error
                if not cause.retriable() or cause.txn_requires_abort():
                    raise
                if self._given_up.is_set():
                    raise WorkerFailed(f"{self._stage}: stopped while the broker did not answer") from error
                log.warning("%s: %s; trying the same call again", self._stage, cause.str())
                time.sleep(0.1)
            else:
                return

    def _abort(self, error: KafkaException | BufferError) -> None:
        metrics.ABORTS.labels(self._stage).inc()
        cause = error.args[0]
        if isinstance(error, KafkaException) and cause.fatal():
            raise WorkerFailed(f"{self._stage}: {cause.name()}: {cause.str()}") from error
        log.warning("%s: transaction aborted: %s", self._stage, cause)
        try:
            self._again(lambda: self._producer.abort_transaction(_CALL_SECONDS))
        except KafkaException as second:
            raise WorkerFailed(f"{self._stage}: could not abort: {second.args[0].str()}") from second


def _by_place(outputs: Sequence[Output]) -> dict[tuple[Topic, int], list[Output]]:
    """Return the outputs by topic and partition; the order within a partition stays."""
    places: defaultdict[tuple[Topic, int], list[Output]] = defaultdict(list)
    for output in outputs:
        places[output[:2]].append(output)
    return places


def _size(headers: Sequence[tuple[str, bytes]]) -> int:
    return sum(len(name.encode()) + len(value) for name, value in headers)


def _is_too_large(error: KafkaException | BufferError) -> bool:
    """Return whether the broker would refuse the same outputs again: what a batch adds to a record is not all ours."""
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
