"""The worker's clock moved while it works; every decision is by the broker's."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from deploy.edge.process.settings import Settings
from schemas.errors import DeadLetterReason
from schemas.records import DeadLetter, TrafficRecord
from schemas.topics import DEAD_LETTERS, TRAFFIC
from tests.faults.accounts import assert_nothing_lost_or_doubled, curated
from tests.faults.conftest import Note
from tests.faults.topics import messages, publish, records
from tests.faults.traffic import WORKLOADS, Traffic, write_workloads
from tests.faults.workers import Worker, ending, until

pytestmark = [pytest.mark.broker, pytest.mark.faults]

# The signal that moves the clock, and its offset from the true time then, in seconds.
MOVES: Final = ((None, 0), (signal.SIGUSR1, 600), (signal.SIGUSR2, -600))
# A record may be 600 s ahead of the broker's clock. By a clock that is 600 s wrong, one of these would be misjudged.
AHEAD_SECONDS: Final = (300, 900)


def test_clock__moved_by_ten_minutes__changes_no_decision(topics: Settings, note: Note) -> None:
    """Forwards, then back by twenty, under a running worker: the broker's clock decides."""
    write_workloads(topics.workloads_dir)
    traffic, ahead = Traffic(topics), 0
    worker = Worker(topics, 0, program=("tests.faults.shifted",))
    with ending(worker):
        until(lambda: worker.said("rebuilt from") is not None, 60, "the worker works", worker)
        for move, seconds in MOVES:
            if move is not None:
                worker.process.send_signal(move)
                until(lambda: worker.said(f"the clock is at {seconds:+d} s") is not None, 60, "moved", worker)  # noqa: B023
            traffic.send(300)
            ahead += _send_ahead(topics)
            until(lambda: _settled(topics, len(traffic.sent) + ahead), 60, "all traffic is curated", worker)  # noqa: B023
        code = worker.stop()
    arrivals = {(one.partition, one.offset): one.appended for one in messages(topics, TRAFFIC)}
    letters = records(topics, DEAD_LETTERS, DeadLetter)

    assert (code, worker.starts) == (0, 1)
    assert [each.time for each in letters] == [arrivals[each.origin.partition, each.origin.offset] for each in letters]
    assert [each.reason for each in letters] == [DeadLetterReason.IN_FUTURE] * len(MOVES) * len(WORKLOADS)
    assert_nothing_lost_or_doubled(topics, len(traffic.sent) + ahead, note)


def _send_ahead(settings: Settings) -> int:
    now = datetime.now(UTC)
    for name in WORKLOADS:
        for seconds in AHEAD_SECONDS:
            time = now + timedelta(seconds=seconds)
            publish(settings, TRAFFIC, name, TrafficRecord(workload=name, event_time=time, text=f"{name} at {time}"))
    return len(WORKLOADS) * len(AHEAD_SECONDS)


def _settled(settings: Settings, sent: int) -> bool:
    account = curated(settings)
    return account.inputs == sent and account.in_flight == 0
