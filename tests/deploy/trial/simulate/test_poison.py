"""Poison: the stream's own decoder and checks refuse every kind, for the reason it was made for."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from deploy.trial.simulate.forms import RecordContent
from deploy.trial.simulate.poison import POISONS, UNKNOWN, poisoned
from schemas.errors import DeadLetterReason, RecordRejected
from schemas.rules.chat import template_fingerprint
from schemas.topics import RECORD_BYTES, TRAFFIC
from schemas.workload import Workload
from streams.core.stage import Message
from streams.curate.decode import decode_traffic
from streams.curate.validate import check_exchange, check_time, find_text

NOW = datetime(2025, 6, 1, tzinfo=UTC)
REASONS = {
    "malformed_bytes": DeadLetterReason.BAD_ENCODING,
    "truncated_avro": DeadLetterReason.BAD_SCHEMA,
    "wrong_types": DeadLetterReason.BAD_FIELD,
    "invalid_utf8": DeadLetterReason.BAD_ENCODING,
    "too_deep": DeadLetterReason.TOO_DEEP,
    "too_long": DeadLetterReason.TOO_LONG,
    "in_future": DeadLetterReason.IN_FUTURE,
    "empty_text": DeadLetterReason.NO_TEXT,
}


def judge(message: Message, workload: Workload) -> None:
    """Do to a message what the curate stage does first."""
    record = decode_traffic(message)
    check_exchange(record, len(message.value or b""), workload.limits)
    check_time(record.event_time, NOW, workload.limits)
    find_text(record, workload, template_fingerprint(workload))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", POISONS)
def test_poisoned__of_each_kind(kind: str, seed: int, newswire: Workload) -> None:
    """It is small enough for the topic, and refused for its reason; an unknown workload is keyed by its own name."""
    content = RecordContent("p-1", "Torvadane Group lifts its dividend by 4 percent", NOW, "desk", "tidewire", None)
    wire = poisoned(content, newswire, kind, random.Random(seed))
    assert len(wire.value) < RECORD_BYTES
    if kind == "unknown_workload":
        assert wire.workload == UNKNOWN
        return
    message = Message(
        topic=TRAFFIC, partition=0, offset=0, key=None, value=wire.value, headers=wire.headers, appended=NOW
    )
    with pytest.raises(RecordRejected) as refused:
        judge(message, newswire)

    assert refused.value.reason is REASONS[kind]
