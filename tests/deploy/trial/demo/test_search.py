"""Planted personal data is found wherever it is, and only there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from deploy.edge.process.settings import Settings
from deploy.edge.topics.clients import producer, topic_name
from deploy.trial.demo import search
from schemas.codec import encode
from schemas.records import DiscardedRecord, Origin, TrafficRecord
from schemas.topics import DISCARDED, TRAFFIC

PLANTED = ["jane.doe@example.org", "4111 1111 1111 1111"]


def test_in_files__finds_a_value_across_two_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that begins in one read and ends in the next is found; a folder left out is not searched."""
    monkeypatch.setattr(search, "_CHUNK_BYTES", 64)
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "ledger.jsonl").write_text(PLANTED[1])
    (tmp_path / "worker.log").write_bytes(b"x" * 55 + PLANTED[0].encode() + b"y" * 90)

    assert search.in_files(tmp_path, PLANTED, [tmp_path / "apart"]) == {PLANTED[0]: {"worker.log"}}


@pytest.mark.broker
def test_in_topics__looks_everywhere_but_in_traffic(topics: Settings) -> None:
    """A planted value in a compressed batch of another topic is found; in traffic it is allowed."""
    now = datetime.now(UTC)
    writer = Producer(producer(topics))
    raw = TrafficRecord(workload="w", event_time=now, text=f"write to {PLANTED[0]}")
    leak = DiscardedRecord(
        record_id="r", workload="w", origin=Origin(topic="traffic", partition=0, offset=0), event_time=now,
        detail=f"paid with {PLANTED[1]}",
    )  # fmt: skip
    writer.produce(topic_name(topics, TRAFFIC), encode(raw), partition=0)
    for _ in range(50):
        writer.produce(topic_name(topics, DISCARDED), encode(leak), partition=3)
    assert writer.flush(30) == 0

    assert search.in_topics(topics, PLANTED) == {PLANTED[1]: {topic_name(topics, DISCARDED)}}
