"""An application in Java or Go, with its client's own defaults, writes traffic that the curate stage takes as it is.

Each producer is tried where its toolchain is and its packages can be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from deploy.infra.kafka import jars
from deploy.infra.kafka.embedded import default_jars_dir
from schemas.codec import decode, is_framed
from schemas.errors import Unavailable
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.chat import FoundText, find_text, label_in
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message
from streams.curate.decode import decode_traffic

ROOT = Path(__file__).parents[2]
PRODUCERS = ROOT / "deploy/infra/kafka/reference-producers"
AVSC = ROOT / "schemas/avsc/TrafficRecord.avsc"
# Every length modulo 4, which murmur2 treats differently, and as many partitions as workloads.
WORKLOADS = ("news", "fraud", "claims", "tickets", "newswire")
TEXT, ANSWER, MODEL = "Acme raises its forecast for the year", "guidance", "my-teacher"

pytestmark = pytest.mark.broker  # Go builds its standard library once: 90 s on 2 cores


@dataclass(frozen=True)
class Sent:
    """What one producer wrote, and the seconds since 1970 between which it ran."""

    language: str
    messages: tuple[Message, ...]
    began: int
    ended: float


@pytest.fixture(scope="module", params=["java", "go"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """A producer's language and the command that runs it."""
    if request.param == "java":
        return "java", java()
    return "go", go(tmp_path_factory.mktemp("go") / "producer")


def java() -> list[str]:
    if not shutil.which("java") or not shutil.which("javac"):
        pytest.skip("no Java development kit: no `java` or no `javac`")
    folder = Path(os.environ.get("MILLRACE_JARS_DIR") or default_jars_dir())
    try:
        wanted = jars.parse((PRODUCERS / "java/jars.txt").read_text())
        classpath = jars.ensure(wanted, folder, os.environ.get("MILLRACE_MAVEN_URL"))
    except Unavailable as error:
        pytest.skip(f"no jars: {error}")
    return ["java", "-cp", os.pathsep.join(map(str, classpath)), str(PRODUCERS / "java/TrafficProducer.java")]


def go(binary: Path) -> list[str]:
    if not shutil.which("go"):
        pytest.skip("no `go`")
    fetched = run(["go", "mod", "download"], PRODUCERS / "go")
    if fetched.returncode and "SECURITY ERROR" not in fetched.stderr:
        pytest.skip(f"no Go modules: {fetched.stderr.strip()[-300:]}")
    built = run(["go", "build", "-o", str(binary), "."], PRODUCERS / "go")
    assert built.returncode == 0, built.stderr
    return [str(binary)]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture
def sent(program: tuple[str, list[str]], topics: Settings, tmp_path: Path) -> Sent:
    """What the producer writes for the workloads, as it is on `traffic`."""
    language, command = program
    began = int(time.time())
    arguments = [topics.bootstrap_servers, topic_name(topics, TRAFFIC), str(AVSC), *WORKLOADS]
    done = run([*command, *arguments], tmp_path)
    assert done.returncode == 0, done.stderr
    acknowledged = len(done.stdout.splitlines())  # a line for each record that the broker took
    return Sent(language, tuple(on_traffic(topics, acknowledged)), began, time.time())


def on_traffic(settings: Settings, count: int) -> Iterator[Message]:
    consumer = Consumer(librdkafka(settings, group_id="t", enable_auto_commit=False))
    places = [TopicPartition(topic_name(settings, TRAFFIC), number, 0) for number in range(PARTITIONS)]
    consumer.assign(places)
    found = consumer.consume(count, 30)
    consumer.close()
    assert [one.error() for one in found] == [None] * count
    for one in found:
        partition, offset = one.partition(), one.offset()
        assert partition is not None
        assert offset is not None
        appended = datetime.fromtimestamp(one.timestamp()[1] / 1000, UTC)
        yield Message(TRAFFIC, partition, offset, one.key(), one.value(), (), appended)


def test_producer__its_records_are_taken_on_the_right_partition(sent: Sent) -> None:
    """For each workload one Avro and one JSON record arrive on its partition, and both say what was meant."""
    landed = sorted((m.key, m.partition, is_framed(m.value or b"")) for m in sent.messages)

    assert len({partition_of(name, PARTITIONS) for name in WORKLOADS}) == len(WORKLOADS)
    assert landed == sorted(
        (name.encode(), partition_of(name, PARTITIONS), framed) for name in WORKLOADS for framed in (False, True)
    )
    for message in sent.messages:
        assert message.key is not None
        assert message.value is not None
        if is_framed(message.value):
            check_avro(sent, message.key.decode(), message.value)
        else:
            check_json(sent, message)


def check_avro(sent: Sent, name: str, value: bytes) -> None:
    record = decode(TrafficRecord, value)

    assert record.id
    assert sent.began <= record.event_time.timestamp() <= sent.ended
    assert replace(record, id=None) == TrafficRecord(
        workload=name, event_time=record.event_time, client=sent.language, text=TEXT, answer=ANSWER,
        answered_by=AnsweredBy.TEACHER, model=MODEL,
    )  # fmt: skip


def check_json(sent: Sent, message: Message) -> None:
    record = decode_traffic(message)
    workload = Workload(name=record.workload, labels=["other", "guidance"])
    found = find_text(workload, orjson.loads(record.request or "null"))

    assert record.id
    assert record.workload.encode() == message.key
    assert sent.began <= record.event_time.timestamp() <= sent.ended
    assert (record.client, record.model, record.attributes) == (sent.language, MODEL, {})
    assert isinstance(found, FoundText)
    assert (found.text, label_in(workload, record.answer or "")) == (TEXT, ANSWER)


@pytest.mark.parametrize("source", ["java/TrafficProducer.java", "go/main.go"])
def test_producer__is_short(source: str) -> None:
    """A producer is an example that can be read at once: under 60 lines of at most 120 characters."""
    lines = (PRODUCERS / source).read_text().splitlines()

    assert len(lines) < 60
    assert max(map(len, lines)) <= 120
