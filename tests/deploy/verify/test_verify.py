"""`millrace verify` on a real broker: green on a sound flow, red under each planted fault."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.edge.kafka import group_name, librdkafka, producer, topic_name
from deploy.edge.settings import Settings
from deploy.verify.__main__ import main, summary, verify
from schemas.codec import encode
from schemas.records import CuratedRecord, DiscardedRecord, DiscardReason, Origin, Record, TrafficRecord
from schemas.topics import CURATED, DISCARDED, TRAFFIC, Topic

pytestmark = pytest.mark.broker

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def produce(settings: Settings, topic: Topic, *records: Record) -> None:
    client = Producer(producer(settings))
    for record in records:
        client.produce(topic_name(settings, topic), encode(record), b"news", 2)
    assert client.flush(20) == 0


def curated(offset: int) -> CuratedRecord:
    return CuratedRecord(
        record_id=f"id-{offset}", workload="news", origin=Origin(topic="traffic", partition=2, offset=offset),
        event_time=NOW, arrival_time=NOW, text="t", text_key="k", cluster_id="c",
    )  # fmt: skip


def discarded(offset: int, duplicate_of: str) -> DiscardedRecord:
    return DiscardedRecord(
        record_id=f"id-{offset}", workload="news", origin=Origin(topic="traffic", partition=2, offset=offset),
        event_time=NOW, reason=DiscardReason.DUPLICATE_TEXT, duplicate_of=duplicate_of,
    )  # fmt: skip


@pytest.fixture
def flow(topics: Settings) -> Settings:
    """Six traffic records, five of them settled: offsets 0 to 3 curated, 4 a duplicate."""
    produce(topics, TRAFFIC, *(TrafficRecord(workload="news", event_time=NOW, text=str(n)) for n in range(6)))
    place = TopicPartition(topic_name(topics, TRAFFIC), 2, 5)
    admin = AdminClient(librdkafka(topics))
    group = group_name(topics, "curate")
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place])])[group].result(20)
    return topics


def test_verify__of_a_sound_flow__finds_nothing_and_tells_what_is_in_flight(flow: Settings) -> None:
    """Residual 0; the record that is not settled yet is no fault."""
    produce(flow, CURATED, *(curated(n) for n in range(4)))
    produce(flow, DISCARDED, discarded(4, "id-1"))
    found = summary(verify(flow))

    assert (found["residual"], found["stages"][0]["inputs"], found["stages"][0]["in_flight"]) == (0, 6, 1)
    assert found["stages"][0]["ended"] == {"curated": 4, "discarded": 1}


def test_verify__under_planted_faults__is_red_and_names_the_first(
    flow: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One output removed, one doubled, one dangling duplicate: residual 3, exit code 1."""
    produce(flow, CURATED, curated(0), curated(1), curated(1), curated(3))
    produce(flow, DISCARDED, discarded(4, "id-2"))
    monkeypatch.setenv("MILLRACE_TOPIC_PREFIX", flow.topic_prefix)
    result = CliRunner().invoke(main, ["--json", "--bootstrap-servers", flow.bootstrap_servers])
    found = json.loads(result.output)

    assert (result.exit_code, found["residual"]) == (1, 3)
    assert [found["stages"][0][kind] for kind in ("missing", "doubled", "dangling")] == [1, 1, 1]
    assert found["stages"][0]["first"] == "missing: traffic/2 at offset 2"
