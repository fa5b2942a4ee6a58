"""What the contenders are given, and that they do the same with it."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, MILLRACE
from benchmarks.ground import NEWSWIRE, ROOT, Ground, draw, workload_names
from benchmarks.laps import lap
from benchmarks.peers.curation import Curation
from deploy.edge.settings import Settings
from deploy.kafka.embedded import EmbeddedKafka
from schemas.codec import decode, encode
from schemas.rules.partition import partition_of
from schemas.topics import DEAD_LETTERS, PARTITIONS, TRAFFIC
from streams.curate.stage import CurateStage
from streams.stage import Message

NOW = datetime(2026, 1, 5, tzinfo=UTC)
BARE = next(contender for contender in CONTENDERS if contender.name == "bare")


def test_workload_names__stand_on_one_partition_each() -> None:
    """Two workloads on one partition would leave a worker idle."""
    names = workload_names(PARTITIONS)

    assert names[0] == NEWSWIRE
    assert {partition_of(name, PARTITIONS) for name in names} == set(range(PARTITIONS))


def test_draw__is_the_same_for_a_seed_and_lets_workloads_take_turns() -> None:
    """Every contender gets the same bytes, in every run."""
    assert draw(200, 3, 2) == draw(200, 3, 2)
    assert [wire.workload for wire in draw(6, 3, 3)] == workload_names(3) * 2


def test_curation_record_by_record__ends_every_record_as_the_stage_does() -> None:
    """The peers run our rules, all of them: else a ratio would compare different work."""
    settings = Settings(workloads_dir=ROOT / "workloads")
    partition = partition_of(NEWSWIRE, PARTITIONS)
    messages = [
        Message(TRAFFIC, partition, offset, wire.workload.encode(), wire.value, wire.headers, NOW)
        for offset, wire in enumerate(draw(2_000, 7))
    ]
    settled = asyncio.run(CurateStage(settings, settings.workloads()).process(messages))
    curation = Curation(settings)
    for message, expected in zip(messages, settled.outputs, strict=True):
        topic, value = curation(
            message.partition, message.offset, message.key, message.value, message.headers,
            int(NOW.timestamp() * 1000),
        )  # fmt: skip
        record = decode(topic.record, value)
        if topic == DEAD_LETTERS:  # it says when it was written
            record = dataclasses.replace(record, time=expected.record.time)  # type: ignore[call-arg, attr-defined]
        assert (topic, encode(record)) == (expected.topic, encode(expected.record))


@pytest.mark.broker
def test_lap__of_the_worker_and_of_a_plain_client__has_the_same_endings(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """On the real broker, in processes of their own, over all partitions; then each passes the bytes through."""
    place, wires = Ground(broker.bootstrap_servers, tmp_path), draw(2_000, 7, PARTITIONS)
    one, other = (lap(place, contender, wires, workloads=PARTITIONS) for contender in (MILLRACE, BARE))

    assert one.endings.total() == len(wires)
    assert (one.endings, one.digest) == (other.endings, other.digest)
