"""`millrace labels spend` on a real broker."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from deploy.commands.labels.__main__ import main
from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from schemas.codec import encode
from schemas.records import LabelRecord, Provenance
from schemas.topics import LABELS
from tests.streams.doubles import NAME, PARTITION, label

pytestmark = pytest.mark.broker

FILE = """
name = "news"
labels = ["earnings", "mergers", "other"]
[teacher.price]
currency = "EUR"
prompt_per_million = 1000.0
completion_per_million = 2000.0
[teacher.budget]
day = { calls = 50 }
"""


def write(topics: Settings, *records: LabelRecord) -> None:
    topics.workloads_dir.mkdir(exist_ok=True)
    topics.workloads_dir.joinpath("news.toml").write_text(FILE)
    client = Producer(producer(topics))
    for record in records:
        client.produce(topic_name(topics, LABELS), encode(record), NAME.encode(), PARTITION)
    assert client.flush(20) == 0


def spend(topics: Settings, *arguments: str) -> Result:
    environment = {
        "MILLRACE_BOOTSTRAP_SERVERS": topics.bootstrap_servers,
        "MILLRACE_TOPIC_PREFIX": topics.topic_prefix,
        "MILLRACE_WORKLOADS_DIR": str(topics.workloads_dir),
        "COLUMNS": "200",
    }
    return CliRunner(env=environment).invoke(main, ["spend", *arguments])


def test_spend__shows_the_ledger_and_what_is_left(topics: Settings) -> None:
    """Calls by purpose and in batches, then calls, tokens and money beside their limits; a residual is an exit code."""
    paid: dict[str, Any] = {"provenance": Provenance.TEACHER, "prompt_tokens": 900, "completion_tokens": 50}
    write(
        topics,
        label(1, "mergers", teacher_calls=1, calls={"first": 1}, **paid),
        label(2, "mergers", teacher_calls=3, calls={"first": 1, "retry": 1, "second_prompt": 1}, **paid),
        label(6, "mergers", teacher_calls=1, calls={"first": 1}, batched=True, **paid),
        label(3, "other", provenance=Provenance.HARVEST),
        label(4, "mergers", provenance=Provenance.CLUSTER),
    )
    result = spend(topics)
    lines = [line.split() for line in result.output.splitlines()]

    assert result.exit_code == 0
    assert ["labels", "5"] in lines
    assert ["=", "calls", "5"] in lines
    assert ["of", "these", "in", "batches", "1"] in lines
    assert ["calls", "5", "5", "(50)", "5"] in lines
    assert ["money,", "EUR", "2.5000", "2.5000", "2.5000"] in lines

    write(topics, label(5, "mergers", teacher_calls=2, calls={"first": 1}, **paid))
    assert spend(topics).exit_code == 1


def test_spend__unknown_workload(topics: Settings) -> None:
    """A name that no workload has is reported with those there are."""
    write(topics)
    result = spend(topics, "nws")

    assert result.exit_code == 2
    assert "choose one of news" in result.output
