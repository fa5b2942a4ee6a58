"""Where records go: `traffic`, by an idempotent producer that gets every record acknowledged, or a JSONL file."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from confluent_kafka import KafkaError, Message
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.edge.process.settings import Settings
from deploy.edge.topics import command_clients
from deploy.edge.topics.clients import TopicNames
from deploy.edge.topics.framing import Framing
from deploy.trial.simulate.forms import Wire
from schemas.errors import BadInput, Unavailable
from schemas.manifest import canonical
from schemas.principals import Principal, TopicAccess
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC

ACK_SECONDS: Final = 60.0
_QUEUE_SECONDS: Final = 0.5

Send = Callable[[str, datetime | None, str | None, Wire], None]
"""Takes a record's id, event time, text and bytes."""


class KafkaSink:
    """Produces to `traffic`; `close` returns only when the broker has acknowledged every record."""

    def __init__(self, settings: Settings, writer: Principal) -> None:
        self._topic = TopicNames(settings, writer, TopicAccess.WRITE)[TRAFFIC]
        self._framing = Framing(settings)
        self._failed: KafkaError | None = None
        self._producer = command_clients.producer(settings, delivery_timeout_ms=int(ACK_SECONDS * 1000))
        if self._topic not in self._producer.list_topics(timeout=ACK_SECONDS).topics:
            raise BadInput("topic", self._topic, "is not on this cluster; make it with `millrace topics apply`")
        self._framing.register((TRAFFIC,))

    def send(self, _id: str, _time: datetime | None, _text: str | None, wire: Wire) -> None:
        """Hand one record to the producer, waiting while its queue is full."""
        value = self._framing.reframed(TRAFFIC, wire.value)
        partition = partition_of(wire.workload, PARTITIONS)
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    wire.workload.encode(),
                    partition,
                    on_delivery=self._delivered,
                    headers=list(wire.headers),
                )
                break
            except BufferError:
                self._producer.poll(_QUEUE_SECONDS)
        self._producer.poll(0)
        self._check()

    def close(self) -> None:
        """Wait for the last acknowledgement.

        Raises:
            Unavailable: a record was not acknowledged.
        """
        left = self._producer.flush(ACK_SECONDS)
        self._check()
        if left:
            raise Unavailable(f"{left} records were not acknowledged within {ACK_SECONDS:.0f} s")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None and self._failed is None:
            self._failed = error

    def _check(self) -> None:
        if self._failed is not None:
            raise Unavailable(f"the broker refused a record: {self._failed.str()}")


class FileSink:
    """Writes one JSON line per record: id, workload, partition, event time, text, headers, and the bytes in base64."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def send(self, own: str, event_time: datetime | None, text: str | None, wire: Wire) -> None:
        """Write one record."""
        line: dict[str, Any] = {
            "id": own,
            "workload": wire.workload,
            "partition": partition_of(wire.workload, PARTITIONS),
            "event_time": event_time.isoformat() if event_time else None,
            "text": text,
            "headers": {name: value.decode() for name, value in wire.headers},
            "value": base64.b64encode(wire.value).decode(),
        }
        self._out.write(canonical(line).decode() + "\n")


@contextmanager
def opened(settings: Settings, writer: Principal, out: Path | None) -> Iterator[Send]:
    """Open the sink, and close it at the end: all records acknowledged, or written."""
    if out is None:
        sink = KafkaSink(settings, writer)
        yield sink.send
        sink.close()
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:
        yield FileSink(file).send


def paced(rate: float | None, records: Iterable[Any], total: int | None, title: str) -> Iterator[Any]:
    """Yield the records at `rate` per second (None: at once), with a progress bar on standard error."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=False, refresh_per_second=4) as bar:
        task = bar.add_task(title, total=total)
        for number, record in enumerate(records):
            if rate and (early := began + number / rate - time.monotonic()) > 0:
                time.sleep(early)
            yield record
            bar.advance(task)
