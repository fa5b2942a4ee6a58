"""`millrace verify` on a real broker: green on a sound flow, red under each planted fault."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from deploy.commands.verify.__main__ import main
from deploy.commands.verify.report import summary, verify
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import group_name, librdkafka, producer, topic_name
from schemas.codec import encode
from schemas.records import (
    CuratedKind,
    CuratedRecord,
    DeadLetter,
    DiscardedRecord,
    DiscardReason,
    LabelRecord,
    Origin,
    Record,
    TrafficRecord,
)
from schemas.rules.places import REKEYED_HEADER, REPLAYED_HEADER
from schemas.topics import CURATED, DEAD_LETTERS, DISCARDED, LABELS, TRAFFIC, Topic

pytestmark = pytest.mark.broker

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def produce(
    settings: Settings, topic: Topic, *records: Record, headers: Sequence[tuple[str, bytes]] = (), partition: int = 2
) -> None:
    client = Producer(producer(settings))
    for record in records:
        client.produce(topic_name(settings, topic), encode(record), b"news", partition, headers=list(headers))
    assert client.flush(20) == 0


def commit(settings: Settings, stage: str, topic: Topic, offset: int, partition: int = 2) -> None:
    """Commit a stage's offset, as if it had settled everything below."""
    place, group = TopicPartition(topic_name(settings, topic), partition, offset), group_name(settings, stage)
    admin = AdminClient(librdkafka(settings))
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place])])[group].result(20)


def curated(offset: int, **fields: Any) -> CuratedRecord:
    values: dict[str, Any] = {
        "record_id": f"id-{offset}", "workload": "news",
        "origin": Origin(topic="traffic", partition=2, offset=offset), "event_time": NOW, "arrival_time": NOW,
        "text": "t", "text_key": f"k-{offset}", "cluster_id": "c",
    }  # fmt: skip
    return CuratedRecord(**values | fields)


def discarded(offset: int, duplicate_of: str) -> DiscardedRecord:
    return DiscardedRecord(
        record_id=f"id-{offset}", workload="news", origin=Origin(topic="traffic", partition=2, offset=offset),
        event_time=NOW, reason=DiscardReason.DUPLICATE_TEXT, duplicate_of=duplicate_of,
    )  # fmt: skip


def run(settings: Settings) -> dict[str, Any]:
    """Return what `millrace verify --json` says; its exit code is 1 where there is a residual."""
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(settings.workloads_dir),
    }  # fmt: skip
    result = CliRunner(env=environment).invoke(main, ["verify", "--json"])
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (1 if found["residual"] else 0)
    return found


@pytest.fixture
def flow(topics: Settings) -> Settings:
    """Six traffic records, five of them settled: offsets 0 to 3 curated, 4 a duplicate."""
    produce(topics, TRAFFIC, *(TrafficRecord(workload="news", event_time=NOW, text=str(n)) for n in range(6)))
    commit(topics, "curate", TRAFFIC, 5)
    return topics


def test_verify__of_a_sound_flow__finds_nothing_and_tells_what_is_in_flight(flow: Settings) -> None:
    """Residual 0; the record that is not settled yet is no fault."""
    produce(flow, CURATED, *(curated(n) for n in range(4)))
    produce(flow, DISCARDED, discarded(4, "id-1"))
    found = summary(verify(flow))

    assert (found["residual"], found["stages"][0]["inputs"], found["stages"][0]["in_flight"]) == (0, 6, 1)
    assert found["stages"][0]["ended"] == {"curated": 4, "discarded": 1}


def test_verify__under_planted_faults__is_red_and_names_the_first(
    flow: Settings,
) -> None:
    """One output removed, one doubled, one dangling duplicate: residual 3, exit code 1."""
    produce(flow, CURATED, curated(0), curated(1), curated(1), curated(3))
    produce(flow, DISCARDED, discarded(4, "id-2"))
    found = run(flow)

    assert found["residual"] == 3
    assert [found["stages"][0][kind] for kind in ("missing", "doubled", "dangling")] == [1, 1, 1]
    assert found["stages"][0]["first"] == "missing: traffic/2 at offset 2"


def test_verify__of_anchors__closes_the_books_of_both_stages(flow: Settings) -> None:
    """They come from gold: no ending of traffic and no repeated text, but inputs of the label stage like any other."""
    flow.workloads_dir.mkdir()
    flow.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    anchors = [
        curated(n % 2, origin=Origin(topic="gold", partition=2, offset=n), record_id="anchor", kind=CuratedKind.ANCHOR)
        for n in range(4)
    ]
    labels = [
        LabelRecord(record_id="r", workload="news", origin=Origin(topic="curated", partition=2, offset=n),
                    event_time=NOW, text="t", cluster_id="c", label="up")
        for n in range(8)
    ]  # fmt: skip
    produce(flow, CURATED, *(curated(n) for n in range(5)), *anchors)
    produce(flow, LABELS, *labels)
    commit(flow, "label", CURATED, 8)
    curate, label = verify(flow)

    assert (curate.residual, curate.ended) == (0, {"curated": 5})
    assert (label.residual, label.inputs, label.ended, label.in_flight) == (0, 9, {"labels": 8}, 1)


def replayed(offset: int) -> list[tuple[str, bytes]]:
    return [(REPLAYED_HEADER, f"2:{offset}".encode())]


def dead_letter(topic: str, offset: int, stage: str) -> DeadLetter:
    return DeadLetter(
        reason="processing_failed", detail="", stage=stage, origin=Origin(topic=topic, partition=2, offset=offset),
        time=NOW, payload=b"", payload_bytes=0, payload_sha256="", workload="news",
    )  # fmt: skip


def test_verify__counts_a_replayed_curated_record_as_an_input_of_the_label_stage_only(flow: Settings) -> None:
    """A curated record that is there twice ends its traffic record once, and needs an ending for each place."""
    produce(flow, CURATED, *(curated(n) for n in range(5)))
    produce(flow, CURATED, curated(1), headers=replayed(1))
    produce(flow, DEAD_LETTERS, dead_letter("curated", 1, "label"), dead_letter("labels", 0, "window"))
    commit(flow, "label", CURATED, 6)
    curate, label = verify(flow)

    assert (curate.residual, curate.ended) == (0, {"curated": 5})
    assert (label.inputs, label.ended) == (6, {"dead-letters": 1})
    assert label.missing == [(2, n) for n in (0, 2, 3, 4, 5)]


def test_verify__counts_a_replayed_traffic_record_by_its_own_place(topics: Settings) -> None:
    """A re-keyed record that was replayed ended as a dead letter; its replay does not re-key it a second time."""
    value = TrafficRecord(workload="news", event_time=NOW, text="t")
    produce(topics, TRAFFIC, value, partition=0)
    rekeyed = [(REKEYED_HEADER, b"0:0")]
    produce(topics, TRAFFIC, value, headers=rekeyed)
    produce(topics, TRAFFIC, value, headers=rekeyed + replayed(0))
    produce(topics, TRAFFIC, value, headers=[(REKEYED_HEADER, b"an application's own")])
    produce(topics, DEAD_LETTERS, dead_letter("traffic", 0, "curate"))
    produce(topics, CURATED, curated(1), curated(2))
    commit(topics, "curate", TRAFFIC, 3)
    commit(topics, "curate", TRAFFIC, 1, partition=0)
    curate = verify(topics)[0]

    assert (curate.inputs, curate.residual) == (4, 0)
    assert curate.ended == {"re-keyed": 1, "dead-letters": 1, "curated": 2}


def test_verify__with_a_workload_file__finds_texts_that_were_taken_for_new_twice(flow: Settings) -> None:
    """By the file's horizon; without one it says which workload it could not check."""
    produce(flow, CURATED, *(curated(n) for n in range(4)), curated(4, record_id="another", text_key="k-1"))
    unchecked = run(flow)
    flow.workloads_dir.mkdir()
    flow.workloads_dir.joinpath("news.toml").write_text('name = "news"\nlabels = ["up", "down"]\n')
    found = run(flow)

    assert (unchecked["residual"], unchecked["unchecked"]) == (0, ["news"])
    assert (found["residual"], found["unchecked"]) == (1, [])
    assert (
        found["stages"][0]["first"]
        == "repeated: traffic/2 at offset 4 has the text of the record at 2:1 and was taken for new"
    )


@pytest.mark.parametrize("taken", [2, 4])
def test_verify__where_retention_took_endings__does_not_call_their_inputs_missing(flow: Settings, taken: int) -> None:
    """Some of a partition's endings gone, or all of them: what was settled before is not counted, what comes is."""
    produce(flow, CURATED, *(curated(n) for n in range(4)))
    produce(flow, DISCARDED, discarded(4, "id-1"))
    admin = AdminClient(librdkafka(flow))
    name = topic_name(flow, CURATED)
    short = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)])  # fmt: skip
    admin.incremental_alter_configs([short])[short].result(20)
    place = TopicPartition(name, 2, taken)
    admin.delete_records([place])[place].result(20)
    curate = verify(flow)[0]

    assert (curate.residual, curate.in_flight) == (0, 1)
