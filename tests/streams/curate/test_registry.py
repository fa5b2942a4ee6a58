"""The curate stage in a real worker on a real broker, with a schema registry over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from deploy.commands.verify.report import verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics import framing as framing_module
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from deploy.edge.topics.framing import Framing
from schemas import codec
from schemas.errors import Unavailable
from schemas.records import CuratedRecord, DeadLetter, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import CURATED, DEAD_LETTERS, PARTITIONS, TRAFFIC, Topic
from streams.app import build, work
from streams.settings import WorkerSettings
from tests.deploy.edge.topics.registry_double import Double, serving
from tests.streams.echo import until

pytestmark = pytest.mark.broker

HOME = partition_of("news", PARTITIONS)


@dataclass
class Place:
    """A broker's topics and a registry."""

    settings: WorkerSettings
    registry: Double

    def traffic(self, number: int) -> TrafficRecord:
        """Return a record unlike the others."""
        text = " ".join(f"w{number * 7919 + i * i * 104729}" for i in range(12))
        return TrafficRecord(workload="news", event_time=datetime.now(UTC), text=text)

    def feed(self, *values: bytes) -> None:
        """Produce values to `traffic`."""
        client = Producer(producer(self.settings))
        for value in values:
            client.produce(topic_name(self.settings, TRAFFIC), value, b"news", HOME)
        assert client.flush(30) == 0

    def values(self, topic: Topic) -> list[bytes]:
        """Return the committed values of the workload's partition."""
        options = {
            "group.id": "t",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
        consumer = Consumer(librdkafka(self.settings) | options)
        consumer.assign([TopicPartition(topic_name(self.settings, topic), HOME, 0)])
        found: list[bytes] = []
        try:
            while True:
                for raw in consumer.consume(1_000, 0.05):
                    error = raw.error()
                    if error is None:
                        found.append(raw.value() or b"")
                    elif error.code() == KafkaError._PARTITION_EOF:
                        return found
        finally:
            consumer.close()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the worker's own program, with the curate stage."""
        running = asyncio.create_task(work(self.settings, ["curate"]))
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def place(topics: Settings) -> Iterator[Place]:
    topics.workloads_dir.mkdir(parents=True)
    (topics.workloads_dir / "news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    with serving() as registry:
        values = topics.model_dump() | {
            "registry_url": registry.url, "metrics_port": 0, "session_timeout_seconds": 6, "retry_seconds": 0.05
        }  # fmt: skip
        yield Place(WorkerSettings(**values), registry)


async def test_curate__with_a_registry__reads_both_framings_and_writes_its_own(place: Place) -> None:
    """Records in either framing are curated; outputs carry the registry's id; `verify` reads them, and counts 0."""
    framing = Framing(place.settings)
    records = [place.traffic(number) for number in range(20)]
    place.feed(*(codec.encode(record) for record in records[:10]))
    place.feed(*(framing.encode(TRAFFIC, record) for record in records[10:]))
    async with place.working():
        await until(lambda: len(place.values(CURATED)) >= 20)

    curated = place.values(CURATED)
    assert {value[:1] for value in curated} == {codec.CONFLUENT}
    assert [framing.decode(CuratedRecord, value).text for value in curated] == [record.text for record in records]
    account = verify(place.settings)[0]
    assert (account.ended, account.residual, account.in_flight) == ({"curated": 20}, 0, 0)


async def test_curate__restarted__rebuilds_its_state_from_confluent_framing(place: Place) -> None:
    """A text that was curated before the restart is a duplicate after it."""
    framing, record = Framing(place.settings), place.traffic(1)
    place.feed(framing.encode(TRAFFIC, record))
    async with place.working():
        await until(lambda: len(place.values(CURATED)) == 1)
    place.feed(framing.encode(TRAFFIC, record), framing.encode(TRAFFIC, place.traffic(2)))
    async with place.working():
        await until(lambda: len(place.values(CURATED)) == 2)

    assert verify(place.settings)[0].ended == {"curated": 2, "discarded": 1}


async def test_curate__unknown_id__is_retried_then_a_dead_letter_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage that begins with a zero byte holds its partition up for the patience, then only it is dead."""
    monkeypatch.setattr(framing_module, "PATIENCE_SECONDS", 0.5)
    good = [codec.encode(place.traffic(number)) for number in range(2)]
    place.feed(good[0], b"\x00\x00\x00\x30\x39garbage", b"\x00\x01", good[1])
    async with place.working():
        await until(lambda: len(place.values(CURATED)) + len(place.values(DEAD_LETTERS)) >= 4)

    letters = [Framing(place.settings).decode(DeadLetter, value) for value in place.values(DEAD_LETTERS)]
    assert [letter.reason for letter in letters] == ["bad_schema", "bad_encoding"]
    assert len(place.values(CURATED)) == 2
    assert 2 <= place.registry.asked.count("/schemas/ids/12345") <= 20


async def test_curate__registry_down__waits_and_dead_letters_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """While the registry fails, a record under an id that is not known here waits, and the log says for what."""
    number = place.registry.add(codec.writer_schema(TrafficRecord).source.replace(" ", "  "))  # another producer's id
    async with place.working():
        place.feed(codec.encode(place.traffic(1)))
        await until(lambda: len(place.values(CURATED)) == 1)
        place.registry.fails = True
        place.feed(codec.encode(place.traffic(2), number))
        await until(lambda: place.registry.asked.count(f"/schemas/ids/{number}") >= 3)
        assert (len(place.values(CURATED)), place.values(DEAD_LETTERS)) == (1, [])
        (line,) = {said for said in caplog.messages if said.endswith("; partitions pause")}
        assert line.startswith(
            f"curate: the schema registry {place.registry.url} answers 500 to /schemas/ids/{number}: "
        )
        place.registry.fails = False
        await until(lambda: len(place.values(CURATED)) == 2)

    assert place.values(DEAD_LETTERS) == []


async def test_worker__started_while_the_registry_is_down__ends_at_once(place: Place) -> None:
    """No worker starts that could not write: its supervisor tries again."""
    place.registry.fails = True

    with pytest.raises(Unavailable, match="schema registry"):
        build(place.settings, ["curate"])
