"""The ground that contenders meet on: one embedded broker, fresh topics for each, and the same bytes for all."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.infra.kafka.embedded import EmbeddedKafka
from deploy.infra.kafka.settings import KafkaSettings
from deploy.infra.kafka.topics import apply, delete
from deploy.trial.simulate.forms import Wire
from deploy.trial.simulate.traffic import TrafficPlan, traffic
from schemas.errors import Unavailable
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload

ROOT: Final = Path(__file__).resolve().parents[1]
NEWSWIRE: Final = "newswire"
_FLUSH_SECONDS: Final = 120.0
_PHASE_RECORDS: Final = 5_000  # to draw a record of a longer phase takes longer: 0.3 ms at 3,000, 0.8 ms at 12,000
_PHASES: Final = 12  # a month each: later ones would lie in the future
_ROOMY: Final = {"queue.buffering.max.messages": 1_000_000, "log_level": 2}  # without the client's running commentary


def workload_names(count: int) -> list[str]:
    """Return the names of so many workloads, the newswire first, no two of them on one partition."""
    names: dict[int, str] = {}
    for name in itertools.chain([NEWSWIRE], (f"{NEWSWIRE}-{number}" for number in itertools.count(2))):
        names.setdefault(partition_of(name, PARTITIONS), name)
        if len(names) >= count:
            return list(names.values())
    raise AssertionError("names never end")


def draw(records: int, seed: int, workloads: int = 1, *, answered: bool = False) -> list[Wire]:
    """Return the newswire with all that it plants (duplicates, personal data, poison), the workloads taking turns.

    Args:
        records: how many.
        seed: of the first workload; the others' follow from it.
        workloads: how many.
        answered: each carries a recorded answer, so that no teacher is asked.
    """
    answers = 1.0 if answered else TrafficPlan.answers
    flows = [_flow(name, seed + 100 * number, answers) for number, name in enumerate(workload_names(workloads))]
    return list(itertools.islice(itertools.chain.from_iterable(zip(*flows, strict=True)), records))


def _flow(name: str, seed: int, answers: float) -> Iterator[Wire]:
    """Yield one workload's records without end: phases as their texts do not repeat, then another seed."""
    workload = _workload(name)
    for number in itertools.count():
        more, phase = divmod(number, _PHASES)
        for planted in traffic(TrafficPlan(seed + more, phase + 1, _PHASE_RECORDS, answers), workload):
            yield planted.wire


@contextmanager
def ground() -> Iterator[Ground]:
    """Start a broker in a folder of its own; stop it and remove the folder afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    settings = KafkaSettings.load_to_stay()
    kafka = EmbeddedKafka(folder / "kafka", jars_dir=settings.jars_dir, maven_url=settings.maven_url)
    try:
        with kafka:
            yield Ground(kafka.bootstrap_servers, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Ground:
    """A broker, and a folder for what its contenders keep."""

    def __init__(self, bootstrap_servers: str, folder: Path) -> None:
        self._servers, self._folder = bootstrap_servers, folder
        self._numbers = itertools.count(1)

    @contextmanager
    def laid(self, workloads: int = 1, *, retrains: bool = True) -> Iterator[Settings]:
        """Lay out the catalogue under a fresh prefix, and workload files; delete the topics afterwards.

        Args:
            workloads: how many.
            retrains: whether labels may become a retrain request, and so a snapshot.
        """
        prefix = f"lap{next(self._numbers)}"
        folder = self._folder / prefix
        files = folder / "workloads"
        files.mkdir(parents=True)
        for name in workload_names(workloads):
            content = _workload_file(name)
            files.joinpath(f"{name}.toml").write_bytes(
                content if retrains else content.replace(b"may_train = true", b"may_train = false", 1)
            )
        settings = Settings(
            bootstrap_servers=self._servers,
            topic_prefix=f"{prefix}.",
            workloads_dir=files,
            state_dir=folder / "state",
            artefacts_dir=folder / "artefacts",
            metrics_port=0,
        )
        apply(settings)
        try:
            yield settings
        finally:
            delete(settings)


def fill(settings: Settings, wires: Sequence[Wire], *, at_once: bool = False) -> None:
    """Produce records; `at_once`: in one transaction, so that none is seen before all are there.

    Raises:
        Unavailable: a record was not acknowledged.
    """
    feed = Feed(settings, **({"transactional.id": f"{settings.topic_prefix}fill"} if at_once else {}))
    if at_once:
        feed.client.init_transactions()
        feed.client.begin_transaction()
    for wire in wires:
        feed.send(wire)
    feed.settle()
    if at_once:
        feed.client.commit_transaction()


class Feed:
    """Puts each record on its workload's partition; a record of an unknown workload where the newswire's are."""

    def __init__(self, settings: Settings, **more: Any) -> None:
        self.client = Producer(producer(settings) | _ROOMY | more)
        self._name, self._known = topic_name(settings, TRAFFIC), set(settings.workloads())
        self._failed: list[Any] = []

    def send(self, wire: Wire) -> None:
        """Hand one record over; it goes out by itself."""
        home = wire.workload if wire.workload in self._known else NEWSWIRE
        self.client.produce(
            self._name,
            wire.value,
            wire.workload.encode(),
            partition_of(home, PARTITIONS),
            headers=list(wire.headers),
            on_delivery=self._delivered,
        )
        self.client.poll(0)

    def settle(self) -> None:
        """Wait until all are acknowledged.

        Raises:
            Unavailable: one was not.
        """
        left = self.client.flush(_FLUSH_SECONDS)
        if left or self._failed:
            raise Unavailable(f"{left} records were not acknowledged, {len(self._failed)} refused")

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(error)


def _workload_file(name: str) -> bytes:
    """Return the newswire's file under another name: same labels, prompt and limits."""
    text = (ROOT / "workloads" / f"{NEWSWIRE}.toml").read_text()
    return text.replace(f'name = "{NEWSWIRE}"', f'name = "{name}"', 1).encode()


def _workload(name: str) -> Workload:
    return Workload.parse(_workload_file(name), f"{name}.toml")
