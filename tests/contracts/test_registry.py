"""With a schema registry, every program but the worker (tests/streams/curate) writes and reads Confluent framing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from deploy.commands.rollout.control import send, status_of
from deploy.edge.process.settings import Settings
from deploy.edge.topics import framing as framing_module
from deploy.edge.topics.clients import librdkafka, producer, topic_name
from deploy.edge.topics.framing import Framing
from deploy.serve.router.capture import Capture
from deploy.serve.router.model_state import follow
from deploy.serve.router.settings import RouterSettings
from deploy.trial.demo.observe import Observer
from deploy.trial.simulate.forms import RecordContent, bare
from deploy.trial.simulate.sink import KafkaSink
from schemas import codec
from schemas.events import RolloutCommand, TrainingRun
from schemas.principals import Principal
from schemas.promotion import ModelPromotion
from schemas.rules.partition import partition_of
from schemas.topics import (
    MODEL_PROMOTION,
    MODEL_STATE,
    OUTCOMES,
    PARTITIONS,
    RETRAIN_REQUESTS,
    ROLLOUT_COMMANDS,
    ROLLOUT_STATUS,
    TRAFFIC,
    TRAINING_RUNS,
    Topic,
)
from schemas.workload import Workload
from tests.deploy.edge.topics.registry_double import Double, serving
from tests.schemas.golden_form import golden
from tests.streams.echo import NOW, until
from trainers.topics import RunTopics

pytestmark = pytest.mark.broker


@pytest.fixture
def registry() -> Iterator[Double]:
    with serving() as double:
        yield double


@pytest.fixture
def settings(topics: Settings, registry: Double) -> RouterSettings:
    return RouterSettings(**topics.model_dump() | {"registry_url": registry.url})


def put(settings: Settings, topic: Topic, workload: str, *values: bytes) -> None:
    client = Producer(producer(settings))
    for value in values:
        place = partition_of(workload, PARTITIONS)
        client.produce(topic_name(settings, topic), value, workload.encode(), place)
    assert client.flush(20) == 0


def values(settings: Settings, topic: Topic) -> list[bytes]:
    """Return the committed values of a topic."""
    options = {
        "group.id": "t",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,
    }
    consumer = Consumer(librdkafka(settings) | options)
    consumer.assign([TopicPartition(topic_name(settings, topic), number, 0) for number in range(PARTITIONS)])
    found: list[bytes] = []
    ended: set[int | None] = set()
    try:
        while len(ended) < PARTITIONS:
            for raw in consumer.consume(1_000, 0.05):
                error = raw.error()
                if error is None:
                    found.append(raw.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(raw.partition())
    finally:
        consumer.close()
    return found


async def test_capture__while_the_registry_is_down__waits_and_loses_nothing(settings: RouterSettings, registry: Double):
    """The router starts and answers without its registry; what it captured goes out once the registry is there."""
    registry.fails = True
    capture = Capture(settings)
    record = golden(OUTCOMES.record)
    assert capture.offer(OUTCOMES, record.workload, record)
    await until(lambda: registry.asked)
    registry.fails = False

    await until(lambda: values(settings, OUTCOMES))

    (value,) = values(settings, OUTCOMES)
    assert value[:1] == codec.CONFLUENT
    assert Framing(settings).decode(OUTCOMES.record, value) == record
    assert await asyncio.to_thread(capture.close) == 0


async def test_follow__reads_both_framings(settings: RouterSettings, monkeypatch: pytest.MonkeyPatch):
    """The router takes over states in either framing; one under an id that nobody knows is left out."""
    monkeypatch.setattr(framing_module, "PATIENCE_SECONDS", 0.2)
    state = golden(MODEL_STATE.record)
    unknown = b"\x00\x00\x00\x30\x39garbage"
    put(
        settings,
        MODEL_STATE,
        state.workload,
        codec.encode(state),
        unknown,
        Framing(settings).encode(MODEL_STATE, state),
    )
    found: list[Any] = []
    task = asyncio.create_task(follow(settings, found.extend, lambda: None))
    await until(lambda: len(found) >= 2)
    task.cancel()

    assert found == [state, state]


def test_rollout_command__with_a_registry(settings: RouterSettings, monkeypatch: pytest.MonkeyPatch):
    """Status and state are read, and the command is written, in Confluent framing."""
    framing, status, state = Framing(settings), golden(ROLLOUT_STATUS.record), golden(MODEL_STATE.record)
    put(settings, ROLLOUT_STATUS, status.workload, framing.encode(ROLLOUT_STATUS, status))
    put(settings, MODEL_STATE, state.workload, framing.encode(MODEL_STATE, state))
    monkeypatch.setattr("deploy.commands.rollout.control.ACKNOWLEDGE_SECONDS", 0.0)
    command: RolloutCommand = golden(ROLLOUT_COMMANDS.record)

    assert status_of(settings, state.workload)[0] == state
    assert status_of(settings, status.workload)[1] == [status]
    assert send(settings, command) is None
    (value,) = values(settings, ROLLOUT_COMMANDS)
    assert framing.decode(RolloutCommand, value) == command
    assert value[:1] == codec.CONFLUENT


def test_simulate__with_a_registry(settings: RouterSettings):
    """The newswire's Avro records go out in Confluent framing."""
    wire = bare(
        RecordContent("1", "Acme rises", NOW, "desk", "wire", None), Workload(name="news", labels=["up", "down"])
    )
    sink = KafkaSink(settings, Principal.SIMULATE)
    sink.send("1", None, None, wire)
    sink.close()

    (value,) = values(settings, TRAFFIC)
    assert value[:1] == codec.CONFLUENT
    assert Framing(settings).decode(TRAFFIC.record, value) == codec.decode(TRAFFIC.record, wire.value)


async def test_dispatcher__with_a_registry(settings: RouterSettings, monkeypatch: pytest.MonkeyPatch):
    """Runs and events are written under the registry's ids and read back; a request nobody can read holds up none."""
    monkeypatch.setattr(framing_module, "PATIENCE_SECONDS", 0.2)
    framing, request, run, event = (
        Framing(settings),
        *(golden(topic.record) for topic in (RETRAIN_REQUESTS, TRAINING_RUNS, MODEL_PROMOTION)),
    )
    put(settings, RETRAIN_REQUESTS, request.workload, b"\x00\x00\x00\x30\x39garbage",
        framing.encode(RETRAIN_REQUESTS, request))  # fmt: skip
    ledger = RunTopics(settings)
    await ledger.start()
    await ledger.write([run], event)
    messages: list[Any] = []
    while len(messages) < 2:
        messages += await ledger.poll()
    await ledger.stop()
    again = RunTopics(settings)
    known = await again.start()
    await again.stop()

    assert [ledger.decoded(RETRAIN_REQUESTS.record, message.value) for message in messages] == [None, request]
    assert framing.decode(TrainingRun, values(settings, TRAINING_RUNS)[0]) == run
    assert framing.decode(ModelPromotion, values(settings, MODEL_PROMOTION)[0]) == event
    assert (known.runs, known.events) == ({run.run_id: run}, {event.event_id})
    assert {value[:1] for topic in (TRAINING_RUNS, MODEL_PROMOTION) for value in values(settings, topic)} == {b"\x00"}


def test_demo_observer__with_a_registry(settings: RouterSettings):
    """The demo's view reads what the programs write."""
    state = golden(MODEL_STATE.record)
    put(settings, MODEL_STATE, state.workload, Framing(settings).encode(MODEL_STATE, state))
    observer = Observer(settings)
    observer.start()
    seen = observer.wait_for(lambda tally: tally.state == state, 20)
    observer.stop()

    assert seen
