"""The worker's clock moved while it works; every decision is by the broker's."""

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

MOVES: Final = (0, 600, -600)  # seconds against the true time, one after the other
# A record may be 600 s ahead of the broker's clock. By a clock that is 600 s wrong, one of these would be misjudged.
AHEAD_SECONDS: Final = (300, 900)


def test_clock__moved_by_ten_minutes__changes_no_decision(topics: Settings, tell: Tell, tmp_path: Path) -> None:
    """Forwards and backwards under a running worker: records in the future are told by the broker's clock."""
    write_workloads(topics.workloads_dir)
    clock = tmp_path / "clock"
    clock.write_text("+0s")
    traffic = Traffic(topics)
    worker = Worker(topics, 0, environment=_faked(clock))
    sent = 0
    with ending(worker):
        for move in MOVES:
            clock.write_text(f"{move:+d}s")
            traffic.send(120)
            for name in WORKLOADS:
                publish(topics, TRAFFIC, name, *(_ahead(name, move, seconds) for seconds in AHEAD_SECONDS))
            sent += 120 + len(WORKLOADS) * len(AHEAD_SECONDS)
            until(lambda: (it := curated(topics)).inputs == sent and it.in_flight == 0, 60, "curated", worker)  # noqa: B023
        code = worker.stop()
    appended = {(one.partition, one.offset): one.appended for one in messages(topics, TRAFFIC)}
    letters = records(topics, DEAD_LETTERS, DeadLetter)
    off = [(each.time - appended[each.origin.partition, each.origin.offset]).total_seconds() for each in letters]
    tell("the worker's clock against the broker's, by its dead letters: "
         + ", ".join(f"{seconds:+.0f} s" for seconds in sorted(off)[:: len(WORKLOADS)]))  # fmt: skip

    assert code == 0
    for move in MOVES:
        assert sum(abs(seconds - move) < 60 for seconds in off) == len(WORKLOADS), "the clock was not moved"
    assert [each.reason for each in letters] == [DeadLetterReason.IN_FUTURE] * len(MOVES) * len(WORKLOADS)
    assert_nothing_lost_or_doubled(topics, sent, tell)


def _ahead(workload: str, move: int, seconds: int) -> TrafficRecord:
    text = f"{workload} heard of a clock that runs {move} off and a record {seconds} ahead of everyone"
    return TrafficRecord(workload=workload, event_time=datetime.now(UTC) + timedelta(seconds=seconds), text=text)


def _faked(clock: Path) -> dict[str, str]:
    """Return the environment of a process whose clock follows a file; the time that only ever grows stays true."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("no libfaketime: install Debian's package faketime to move a clock")
    return {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
