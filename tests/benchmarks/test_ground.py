"""What the contenders are given, and that they do the same with it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, MILLRACE
from benchmarks.ground import NEWSWIRE, ROOT, Ground, draw, workload_names
from benchmarks.laps import lap
from benchmarks.peers.curation import Curation
from benchmarks.streams import differing
from deploy.edge.process.settings import Settings
from deploy.infra.kafka.embedded import EmbeddedKafka
from schemas.codec import decode, encode
from schemas.records import AnsweredBy, TrafficRecord
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC
from streams.core.stage import Message
from streams.curate.stage import CurateStage

NOW = datetime(2026, 1, 5, tzinfo=UTC)
BARE = next(contender for contender in CONTENDERS if contender.name == "bare")


def _rarities() -> list[TrafficRecord]:
    """Return what the newswire never says: tickers, attributes, votes, nothing at all, what only a teacher may do."""
    text = "Acme ($ACM) rises 3% to \u20ac12.50 (NYSE: ACM), says jane@example.com"
    voting = TrafficRecord(
        workload=NEWSWIRE, event_time=NOW, id="vote-1", text=text, answer="earnings", answered_by=AnsweredBy.TEACHER,
        source="desk", client="app", attributes={"mail": "jane@example.com"},
    )  # fmt: skip
    votes = [
        voting,
        dataclasses.replace(voting, id="vote-2", answer="guidance"),
        dataclasses.replace(voting, id="vote-3", audit=True),
        dataclasses.replace(voting, id="vote-4", answered_by=AnsweredBy.STUDENT, answer="other"),
    ]
    tools = json.dumps({"messages": [{"role": "user", "content": text}], "tools": [{"type": "function"}]})
    return [
        *votes,
        *votes,  # sent again
        TrafficRecord(workload=NEWSWIRE, event_time=NOW, text="\u200b\u200b"),
        TrafficRecord(workload=NEWSWIRE, event_time=NOW, request=tools),
    ]


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
    common, rare = draw(2_000, 7), _rarities()
    wires = [(wire.value, wire.headers) for wire in common] + [(encode(record), ()) for record in rare]
    messages = [
        Message(TRAFFIC, partition, offset, NEWSWIRE.encode(), value, headers, NOW)
        for offset, (value, headers) in enumerate(wires)
    ]
    settled = asyncio.run(CurateStage(settings, settings.workloads()).process(messages))
    curation, otherwise = Curation(settings), []
    for message, expected in zip(messages, settled.outputs, strict=True):
        topic, value = curation(
            message.partition, message.offset, message.key, message.value, message.headers,
            int(NOW.timestamp() * 1000),
        )  # fmt: skip
        record = decode(topic.record, value)
        if (topic, encode(record)) != (expected.topic, encode(expected.record)):
            otherwise.append(message.offset)

    assert [offset for offset in otherwise if offset >= len(common)] == []
    assert len(otherwise) <= 4  # near duplicates that one of the two sketches misses


@pytest.mark.broker
def test_lap__of_the_worker_and_of_a_plain_client__has_the_same_endings(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """On the real broker, in processes of their own, over all partitions."""
    place, wires = Ground(broker.bootstrap_servers, tmp_path), draw(8_000, 7, PARTITIONS)  # more than a batch
    one, other = (lap(place, contender, wires, workloads=PARTITIONS) for contender in (MILLRACE, BARE))

    assert one.endings.total() == other.endings.total() == len(wires)
    assert differing({MILLRACE.name: [one], BARE.name: [other]}) <= 0.002
    assert one.cpu_us > 0
