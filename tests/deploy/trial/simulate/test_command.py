"""`millrace simulate` on a real broker: each record on its partition, acknowledged; and what was planted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import librdkafka, topic_name
from deploy.trial.simulate.__main__ import main
from deploy.trial.simulate.poison import UNKNOWN
from schemas.rules.partition import partition_of
from schemas.topics import PARTITIONS, TRAFFIC


def read_all(settings: Settings) -> Counter[tuple[bytes | None, int | None]]:
    """Count the records on `traffic` by key and partition."""
    config = librdkafka(
        settings, group_id="t", enable_auto_commit=False, enable_partition_eof=True, fetch_wait_max_ms=20
    )
    consumer, name = Consumer(config), topic_name(settings, TRAFFIC)
    found = Counter[tuple[bytes | None, int | None]]()
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    ended: set[int | None] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(30)
        assert message is not None
        error = message.error()
        if error is None:
            found[message.key(), message.partition()] += 1
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
    consumer.close()
    return found


@pytest.mark.broker
def test_simulate__to_kafka(topics: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All records arrive, keyed by workload on its partition; poison of an unknown workload on its own."""
    monkeypatch.setenv("MILLRACE_BOOTSTRAP_SERVERS", topics.bootstrap_servers)
    monkeypatch.setenv("MILLRACE_TOPIC_PREFIX", topics.topic_prefix)
    ledger = tmp_path / "ledger.jsonl"
    result = CliRunner().invoke(main, ["simulate", "--records", "400", "--poison", "0.1", "--ledger", str(ledger)])
    assert result.exit_code == 0, result.output
    planted = [json.loads(line) for line in ledger.read_bytes().splitlines()]
    ghosts = sum(entry["poison"] == "unknown_workload" for entry in planted)
    found = read_all(topics)

    assert ghosts > 0
    assert found == {
        (b"newswire", partition_of("newswire", PARTITIONS)): 400 - ghosts,
        (UNKNOWN.encode(), partition_of(UNKNOWN, PARTITIONS)): ghosts,
    }


def test_simulate__with_an_unknown_workload() -> None:
    """A workload that no file names is refused with those that are known."""
    result = CliRunner().invoke(main, ["simulate", "--workload", "newswires"])

    assert result.exit_code == 2
    assert "newswire" in result.output
