"""Traffic at its worst: a third of it poison, or ten times as much of it as a moment ago."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import psutil
import pytest

from deploy.edge.process.settings import Settings
from schemas.errors import DeadLetterReason
from schemas.records import DeadLetter
from schemas.topics import DEAD_LETTERS
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated, ended
from tests.faults.conftest import Note
from tests.faults.topics import records
from tests.faults.traffic import Traffic, flowing, write_workloads
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

REASONS: Final = {
    "malformed_bytes": DeadLetterReason.BAD_ENCODING,
    "truncated_avro": DeadLetterReason.BAD_SCHEMA,
    "wrong_types": DeadLetterReason.BAD_FIELD,
    "invalid_utf8": DeadLetterReason.BAD_ENCODING,
    "too_deep": DeadLetterReason.TOO_DEEP,
    "too_long": DeadLetterReason.TOO_LONG,
    "in_future": DeadLetterReason.IN_FUTURE,
    "unknown_workload": DeadLetterReason.UNKNOWN_WORKLOAD,
    "empty_text": DeadLetterReason.NO_TEXT,
}
BURST_SECONDS: Final = 8.0
GROWTH_MB: Final = 200  # the backlog that librdkafka may hold is 64 MB a topic; the index of this test is bounded


def test_poison__in_three_records_of_ten__stops_nothing(topics: Settings, note: Note) -> None:
    """Every poison record is a dead letter for its own reason, every good one is curated."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics, poison=0.3)
    worker = Worker(topics, 0)
    with ending(worker):
        traffic.send(3_000)
        until(lambda: (it := curated(topics)).inputs > 0 and it.in_flight == 0, 90, "all traffic has ended", worker)
    planted = {sent.place: kind for sent in traffic.sent if (kind := sent.planted.entry.poison) is not None}
    letters = records(topics, DEAD_LETTERS, DeadLetter)
    note(f"{len(planted)} of {len(traffic.sent)} records were poison: {dict(Counter(planted.values()))}")

    assert set(planted.values()) == set(REASONS)
    assert worker.starts == 1
    assert {(letter.origin.partition, letter.origin.offset): letter.reason for letter in letters} == {
        place: REASONS[kind] for place, kind in planted.items()
    }
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)


def test_traffic__ten_times_as_much__is_caught_up_with_in_bounded_memory(topics: Settings, note: Note) -> None:
    """The lag of a burst goes back to nothing; memory grows by no more than buffers that have a limit."""
    write_workloads(topics.workloads_dir, {"duplicates": {"horizon": 500}})
    traffic = Traffic(topics)
    worker = Worker(topics, 0)
    with ending(worker):
        with flowing(traffic, records=6):
            until(lambda: ended(curated(topics)) > 300, 60, "a steady stream is curated", worker)
        process, steady = psutil.Process(worker.process.pid), len(traffic.sent)
        before = process.memory_info().rss
        seen: list[tuple[float, int, int]] = []  # seconds, records not ended, resident bytes

        def observed() -> int:
            account = curated(topics)
            seen.append((time.monotonic() - began, account.in_flight, process.memory_info().rss))
            return account.in_flight

        began = time.monotonic()
        with flowing(traffic, records=60):
            until(lambda: observed() >= 0 and time.monotonic() - began > BURST_SECONDS, 60, "the burst is over")
        until(lambda: observed() == 0, 90, "the lag is gone", worker)
    burst = len(traffic.sent) - steady
    peak = max(resident for _, _, resident in seen)
    note(f"burst of {burst} records in {BURST_SECONDS:.0f} s; lag at most {max(lag for _, lag, _ in seen)}, gone after "
         f"{seen[-1][0]:.0f} s; resident {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most")  # fmt: skip

    assert peak - before < GROWTH_MB * 1e6
    assert_nothing_lost_or_doubled(topics, len(traffic.sent), note)
