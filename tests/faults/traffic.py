"""Traffic for the tests that break things: the newswire's headlines with exact and near duplicates, by seed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.trial.simulate.forms import PRACTICE_TEACHER
from deploy.trial.simulate.newswire import FREQUENCIES
from deploy.trial.simulate.traffic import PlantedRecord, TrafficPlan, traffic
from schemas.rules.partition import partition_of
from schemas.rules.places import PartitionOffset
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload

SEED: Final = 20_261
WORKLOADS: Final = ("news", "filings", "support", "intents", "sentiment", "risk")  # on five partitions
ACK_SECONDS: Final = 240  # longer than any outage that a test makes
_DRAWN: Final = 1_000_000  # more than any test sends

Tables = Mapping[str, Mapping[str, Any]]


def write_workloads(folder: Path, tables: Tables | None = None) -> None:
    """Write a workload file for each name, with the newswire's labels; recorded answers are harvested: no teacher."""
    for name in WORKLOADS:
        write_workload(folder, name, list(FREQUENCIES), {"harvest": {"models": [PRACTICE_TEACHER]}, **(tables or {})})


def write_workload(folder: Path, name: str, labels: Sequence[str], tables: Tables) -> None:
    """Write one workload's file; `tables` as the file has them."""
    lines = [f"name = {json.dumps(name)}", f"labels = {json.dumps(labels)}"]
    for table, keys in tables.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath(f"{name}.toml").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Sent:
    """A record that the broker has acknowledged, and its place."""

    place: PartitionOffset
    planted: PlantedRecord


class Traffic:
    """Records of all workloads in turn; the same seed and shares send the same bytes in the same order."""

    def __init__(self, settings: Settings, **shares: float) -> None:
        """Take the draw's shares: as `Plan` names them, over what the tests need."""
        self.sent: list[Sent] = []
        self._topic = topic_name(settings, TRAFFIC)
        quiet = {"log_level": 2}  # a broker that is away is what some tests make
        self._client = Producer(producer(settings, delivery_timeout_ms=ACK_SECONDS * 1000) | quiet)
        self._drawn = _drawn({"answers": 1.0, "duplicates": 0.15, "near_duplicates": 0.15, "poison": 0.0} | shares)

    def send(self, count: int) -> None:
        """Send the next records of the draw; return when the broker has acknowledged all of them."""
        for planted in itertools.islice(self._drawn, count):
            self._produce(planted)
        assert self._client.flush(ACK_SECONDS) == 0
        assert len({sent.place for sent in self.sent}) == len(self.sent), "two records acknowledged at one place"

    def _produce(self, planted: PlantedRecord) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            offset = message.offset()
            assert offset is not None, "acknowledged without a place"
            assert offset >= 0, "acknowledged without a place"
            self.sent.append(Sent((message.partition() or 0, offset), planted))

        wire = planted.wire
        partition = partition_of(wire.workload, PARTITIONS)
        self._client.produce(
            self._topic, wire.value, wire.workload.encode(), partition,
            headers=list(wire.headers), on_delivery=delivered,
        )  # fmt: skip
        self._client.poll(0)


class Flow:
    """Traffic that goes on in a thread of its own until it is asked to end."""

    def __init__(self, traffic: Traffic, records: int, every_seconds: float) -> None:
        self.traffic, self._records, self._every_seconds = traffic, records, every_seconds
        self._ended = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """End the traffic; all of it is acknowledged afterwards."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_seconds):
            self.traffic.send(self._records)


@contextmanager
def flowing(traffic: Traffic, records: int = 12, every_seconds: float = 0.1) -> Iterator[Flow]:
    """Let traffic flow until it is asked to end, or the test fails."""
    flow = Flow(traffic, records, every_seconds)
    try:
        yield flow
    finally:
        flow.end()


def _drawn(shares: Mapping[str, float]) -> Iterator[PlantedRecord]:
    workloads = [Workload(name=name, labels=list(FREQUENCIES)) for name in WORKLOADS]
    plans = [TrafficPlan(seed=SEED + number, records=_DRAWN, **shares) for number in range(len(workloads))]  # type: ignore[arg-type]
    for turn in zip(*map(traffic, plans, workloads), strict=True):
        yield from turn
