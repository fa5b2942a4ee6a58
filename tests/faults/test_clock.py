"""A worker whose clock is wrong; every decision is by the broker's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from deploy.edge.settings import Settings
from schemas.errors import DeadLetterReason
from schemas.records import DeadLetter, TrafficRecord
from schemas.topics import DEAD_LETTERS, TRAFFIC
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated
from tests.faults.conftest import Tell
from tests.faults.topics import messages, publish, records
from tests.faults.traffic import WORKLOADS, Traffic, write_workloads
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

MOVES: Final = (600, -600)  # seconds against the true time, one after the other
# A record may be 600 s ahead of the broker's clock. By a clock that is 600 s wrong, one of these would be misjudged.
AHEAD_SECONDS: Final = (300, 900)


def test_clock__ten_minutes_off__changes_no_decision(topics: Settings, tell: Tell) -> None:
    """Forwards, then back by twenty: records in the future are told, and state is rebuilt, by the broker's clock."""
    write_workloads(topics.workloads_dir)
    traffic = Traffic(topics)
    sent = 0
    for move in MOVES:
        # The clock moves between two starts: libfaketime 0.9.10 cannot move it under a process that sleeps in Python
        # without moving the monotonic clock along, which no real clock does.
        worker = Worker(topics, 0, environment=_faked(move))
        with ending(worker):
            traffic.send(300)
            for name in WORKLOADS:
                publish(topics, TRAFFIC, name, *(_ahead(name, move, seconds) for seconds in AHEAD_SECONDS))
            sent += 300 + len(WORKLOADS) * len(AHEAD_SECONDS)
            until(lambda: (it := curated(topics)).inputs == sent and it.in_flight == 0, 60, "curated", worker)  # noqa: B023
            assert worker.stop() == 0
    appended = {(one.partition, one.offset): one.appended for one in messages(topics, TRAFFIC)}
    letters = records(topics, DEAD_LETTERS, DeadLetter)
    off = [(each.time - appended[each.origin.partition, each.origin.offset]).total_seconds() for each in letters]
    tell("the worker's clock against the broker's, by its dead letters: "
         + ", ".join(f"{seconds:+.0f} s" for seconds in sorted(off)))  # fmt: skip

    for move in MOVES:
        assert sum(abs(seconds - move) < 60 for seconds in off) == len(WORKLOADS), "the clock was not moved"
    assert [each.reason for each in letters] == [DeadLetterReason.IN_FUTURE] * len(MOVES) * len(WORKLOADS)
    assert_nothing_lost_or_doubled(topics, sent, tell)


def _ahead(workload: str, move: int, seconds: int) -> TrafficRecord:
    text = f"{workload} heard of a clock that runs {move} off and a record {seconds} ahead of everyone"
    return TrafficRecord(workload=workload, event_time=datetime.now(UTC) + timedelta(seconds=seconds), text=text)


def _faked(move: int) -> dict[str, str]:
    """Return the environment of a process whose clock is so many seconds off."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("no libfaketime: install Debian's package faketime to move a clock")
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{move:+d}s"}
